"""Any text can be written to any file, and keys never are."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from support.benchmark_documents import header, row, trace_of

from pytest_llamaburn.backends._failures import classify, malformed, no_stream
from pytest_llamaburn.backends._secrets import redacted, without
from pytest_llamaburn.kinds.eval import answering
from pytest_llamaburn.kinds.eval.answer_cache import Cache
from pytest_llamaburn.store import journal, results
from pytest_llamaburn.texts import counted, dumps, span, whole

if TYPE_CHECKING:
    from collections.abc import Callable

HALF = chr(0xD83D)  # of a surrogate pair
ANY = st.text(st.characters() | st.sampled_from([HALF, chr(0xDE00)]))


@given(ANY)
def test_whole_text_can_be_encoded_and_is_what_it_was(text: str) -> None:
    found = whole(text)
    found.encode()
    assert whole(found) == found
    if not any(0xD800 <= ord(c) < 0xE000 for c in text):
        assert found == text


def test_halves_that_came_apart_are_joined_and_lone_ones_replaced() -> None:
    assert whole(f"{HALF}{chr(0xDE00)} {HALF}") == "😀 \N{REPLACEMENT CHARACTER}"
    assert json.loads(dumps({"a": [f"x{HALF}"]})) == {"a": ["x\N{REPLACEMENT CHARACTER}"]}


@how(max_examples=30, deadline=None)
@given(ANY)
def test_any_text_goes_through_journal_and_result_file(text: str) -> None:
    with TemporaryDirectory() as name:
        place = Path(name)
        made = journal.Journal(place, "run-1", "main")
        made.write("header", **header())
        made.write("request", **row(trace_of([100, 120]), iteration=0, prompt_id=f"p{text}"))
        made.write("judgment", evidence=[text])
        made.close()
        record = journal.read(journal.directory(place, "run-1"))
        assert record.others["judgment"] == [{"evidence": [whole(text)]}]
        document = results.build(record)
        assert results.check(document) is None
        results.load(results.write(place, document))
        cache = Cache(place)
        answer: Any = {"error": None, "answer": text}
        cache.put("key", answer)
        assert cache.get("key") == {**answer, "answer": whole(text)}


def test_answer_whose_characters_came_in_halves_is_whole() -> None:
    trace = trace_of([100, 120], thinking=1)
    trace.text, trace.thinking = f"yes {HALF}{chr(0xDE00)}", f"hm {HALF}"
    found = answering.facts_of(trace, "prompt")
    assert (found["answer"], found["thinking"]) == ("yes 😀", "hm \N{REPLACEMENT CHARACTER}")


def test_model_of_any_name_has_a_file_name() -> None:
    assert results.safe_name(f"a{HALF}b") == "a_b"


# Keys

KEY = "sk_live-7f/3+9a=c&d'e"
NOTATIONS: tuple[Callable[[str], str], ...] = (
    lambda key: key,
    quote,
    lambda key: quote(key, safe=""),
    lambda key: quote_plus(quote_plus(key)),
    lambda key: quote(key, safe="").lower(),
    lambda key: json.dumps(key).replace("/", r"\/"),
    lambda key: json.dumps(json.dumps({"key": key})),
    lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    lambda key: "".join(f"%{ord(c):02X}" for c in key),
    html.escape,
    lambda key: repr(key.encode()),
    lambda key: key.upper(),
)


@pytest.mark.parametrize("notation", NOTATIONS, ids=range(len(NOTATIONS)))
def test_key_is_left_out_in_every_notation(notation: Callable[[str], str]) -> None:
    found = redacted(f"GET /v1?key={notation(KEY)}&x=1", KEY)
    assert "[key]" in found
    assert "7f" not in found.lower()
    assert found.startswith("GET /v1?key=")


@pytest.mark.parametrize("around", ["", "a", "ab", "user:"])
def test_key_in_base64_is_left_out_wherever_it_stands(around: str) -> None:
    text = b64encode(f"{around}{KEY}{around}".encode()).decode()
    assert "[key]" in redacted(f"Basic {text}", KEY)
    assert "[key]" in redacted(text.replace("+", "-").replace("/", "_"), KEY)


@given(
    st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=8, max_size=60),
    st.sampled_from(NOTATIONS),
)
def test_no_key_survives(key: str, notation: Callable[[str], str]) -> None:
    assert key not in redacted(f"it is {key} or {notation(key)}.", key)


def test_beginning_of_a_key_that_was_cut_is_left_out_too() -> None:
    assert redacted(f"bad key: {KEY[:9]}", KEY) == "bad key: [key]"
    assert redacted("bad key: s", KEY) == "bad key: s"


def test_short_key_is_looked_for_as_it_is() -> None:
    assert redacted("the KEY is none", "none") == "the KEY is [key]"
    assert redacted("No words", "") == "No words"
    assert without("it is none of sk-learn", "none") == "it is none of sk-learn"
    assert without("it is sk_live of sk-learn", "sk_live-7") == "it is sk_live of sk-learn"
    assert without(f"it is {KEY} of sk-learn", KEY) == "it is [key] of sk-learn"


def test_key_of_the_server_under_test_is_not_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMABURN_API_KEY", KEY)
    body: Any = {"error": {"message": f"no such key: {quote(KEY, safe='')}"}}
    assert classify(401, body) == ("auth", "no such key: [key]")


@pytest.mark.parametrize("cut", [0, 190])
def test_key_in_a_page_or_a_broken_chunk_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    monkeypatch.setenv("LLAMABURN_API_KEY", KEY)
    body = b"x" * cut + f"Authorization: Bearer {quote(KEY, safe='')}".encode()
    for failure in (
        malformed(0, b"\xff" + body, "odd"),
        no_stream(0, body),
        no_stream(0, b"<title>" + body + b"</title>"),
    ):
        assert failure.message
        assert KEY[:9] not in failure.message


@pytest.mark.parametrize("key", ["", KEY])
def test_broken_chunk_is_shown_as_it_came(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("LLAMABURN_API_KEY", key)
    assert malformed(0, b'{"a\xff":\n', "odd").message == "odd: b'{\"a\\xff\":\\n'"


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 requests"), (1, "1 request"), (2, "2 requests")]
)
def test_a_number_of_things_is_in_the_right_form(count: int, words: str) -> None:
    assert counted(count, "request") == words


def test_a_number_of_things_may_have_a_form_of_its_own() -> None:
    assert counted(1, "request is", "requests are") == "1 request is"
    assert counted(3, "request is", "requests are") == "3 requests are"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (807, "13 min 27 s"),
        (7500, "2 h 5 min"),
        (7201, "2 h"),
    ],
)
def test_a_time_is_told_in_seconds_minutes_or_hours(seconds: float, words: str) -> None:
    assert span(seconds) == words
