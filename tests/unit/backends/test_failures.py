"""A refusal has one kind, told by the server's words before its status."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.backends._failures import KIND_WORDS, MESSAGE_LIMIT, classify, retry_after

KINDS = {kind for kind, _ in KIND_WORDS} | {
    "auth",
    "not_found",
    "bad_request",
    "server_error",
    "host_rejected",
}
SHAPES = [
    lambda words: words,
    lambda words: words.encode(),
    json.dumps,
    lambda words: {"error": words},
    lambda words: {"error": {"message": words}},
    lambda words: {"message": words},
    lambda words: json.dumps({"error": {"message": words}}).encode(),
    lambda words: json.dumps({"error": json.dumps({"error": {"message": words}})}),
    lambda words: {"error": {"error": {"message": json.dumps({"error": words})}}},
]


@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
def test_the_words_are_found_in_an_error_of_any_shape(shape: Any) -> None:
    assert classify(400, shape("it is gr\u00fcn")) == ("bad_request", "it is gr\u00fcn")


@pytest.mark.parametrize(
    ("kind", "needle"), [(kind, needle) for kind, needles in KIND_WORDS for needle in needles]
)
@pytest.mark.parametrize("status", [400, 404, 500, 503, None])
def test_known_words_outweigh_the_status(kind: str, needle: str, status: int | None) -> None:
    words = f"llama runner: {needle.upper()} (code 7)"
    assert classify(status, {"error": words}) == (kind, words)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "auth"),
        (403, "auth"),
        (404, "not_found"),
        (422, "bad_request"),
        (429, "queue_full"),
        (500, "server_error"),
        (501, "unsupported"),
        (503, "server_error"),
        (302, "not_found"),
        (None, "server_error"),
    ],
)
def test_without_known_words_the_status_decides(status: int | None, kind: str) -> None:
    assert classify(status, {"error": "hm"}) == (kind, "hm")


def test_an_empty_403_refuses_our_host_header() -> None:
    assert classify(403, b"") == ("host_rejected", "")


@pytest.mark.parametrize(("status", "kind"), [(200, "not_found"), (None, "not_found"), (500, None)])
def test_an_error_in_a_stream_has_its_own_code(status: int | None, kind: str | None) -> None:
    body = {"error": {"code": 404, "message": "gone"}}
    assert classify(status, body) == (kind or "server_error", "gone")


def test_a_code_that_is_no_number_decides_nothing() -> None:
    body = {"error": {"code": "404", "message": "gone", "type": "missing"}}
    assert classify(200, body) == ("server_error", "gone (missing)")


def test_the_type_of_an_error_is_a_witness_too() -> None:
    body = {"error": {"message": "sorry", "type": "exceed_context_size_error"}}
    assert classify(400, body)[0] == "context_overflow"


def test_words_are_bounded_but_judged_whole() -> None:
    kind, words = classify(500, "x" * 10_000 + " out of memory")
    assert (kind, words) == ("oom", "x" * MESSAGE_LIMIT)


def test_half_a_surrogate_pair_does_not_get_into_files() -> None:
    _, words = classify(400, b'{"error": "cut \\ud83d emoji"}')
    assert words == "cut \N{REPLACEMENT CHARACTER} emoji"
    assert words.encode()


NOW = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:44 GMT", "date": NOW}, 7.0),
        ({"retry-after": "Sunday, 06-Nov-94 08:49:44 GMT", "date": NOW}, 7.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:44 -0000", "date": NOW}, 7.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:30 GMT", "date": NOW}, 0.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:44 GMT"}, 0.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:44 GMT", "date": "today"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 99 Nov 1994 08:49:44 GMT"}, None),
        ({}, None),
    ],
)
def test_wait_is_told_as_a_number_or_as_a_date(
    headers: dict[str, str], wait_s: float | None
) -> None:
    assert retry_after(headers) == wait_s


def test_date_to_come_is_waited_for_by_our_own_clock_where_the_server_tells_none() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 60 < (retry_after({"retry-after": until}) or 0) <= 90


@given(st.text())
def test_any_wait_is_understood_or_none(text: str) -> None:
    wait_s = retry_after({"retry-after": text, "date": text})
    assert wait_s is None or wait_s >= 0


@pytest.mark.parametrize(
    "wrap", [lambda x: {"error": x}, lambda x: {"message": {"x": x}}], ids=["error", "message"]
)
def test_an_error_nested_without_end_is_still_an_error(wrap: Any) -> None:
    body: Any = "x"
    for _ in range(5_000):
        body = wrap(body)
    assert classify(500, body)[0] == "server_error"
    assert classify(500, b'{"error":' * 5_000 + b"1" + b"}" * 5_000)[0] == "server_error"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type"]) | st.text(max_size=5), inner
        )
    ),
    max_leaves=10,
)


@given(st.none() | st.integers(100, 599), json_values | json_values.map(json.dumps) | st.binary())
def test_any_reply_has_a_known_kind_and_bounded_words(status: int | None, body: Any) -> None:
    kind, words = classify(status, body)
    assert kind in KINDS
    assert len(words) <= MESSAGE_LIMIT
    assert words.encode().decode() == words
