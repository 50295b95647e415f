"""Which search a run uses, and that a recorded one is replayed and never searched anew."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_llamaburn import registry
from pytest_llamaburn.errors import MissingExtraError, ResultsError, SettingsError, UsageError
from pytest_llamaburn.option import model_of
from pytest_llamaburn.search._base import Hit
from pytest_llamaburn.search._choose import choose
from pytest_llamaburn.search._record import Replay, hits_of, look_up
from pytest_llamaburn.settings import Searching

if TYPE_CHECKING:
    from pathlib import Path

HITS = [Hit("Sky", "https://a.example", "The sky is blue."), Hit("Sea", "b.md", "Blue.")]
NOBODY = "127.0.0.1:9"  # the discard port: nothing listens
KEYS = {"TAVILY_API_KEY": "t", "BRAVE_API_KEY": "b", "OLLAMA_API_KEY": "o"}
RECORD = {
    "query": "q",
    "backend": "brave",
    "limit": 5,
    "timestamp": "2026-01-13T10:30:00.000Z",
    "time_ms": 12.5,
    "replayed": False,
    "hits": [hit._asdict() for hit in HITS],
}


class Fake:
    """A search that knows two hits."""

    name = "fake"

    async def find(self, query: str, limit: int) -> list[Hit]:
        return HITS[:limit]


def options(**values: Any) -> Searching:
    return cast("Searching", model_of(Searching)(**{"host": NOBODY, **values}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("text")
    return tmp_path


def test_auto_takes_the_first_that_can_be_used(folder: Path) -> None:
    environ = {"SEARXNG_URL": "http://localhost:8080", **KEYS}
    found = [choose(options(corpus=str(folder)), environ).name]
    for name in ("SEARXNG_URL", "OLLAMA_API_KEY", "BRAVE_API_KEY", "TAVILY_API_KEY"):
        found.append(choose(options(), environ).name)
        del environ[name]
    found.append(choose(options(), environ).name)
    assert found == ["corpus", "searxng", "ollama", "brave", "tavily", "ddgs"]


def test_every_search_is_listed_with_its_reason_if_none_can_be_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ddgs", None)
    with pytest.raises(UsageError) as caught:
        choose(options(), {})
    assert str(caught.value) == (
        "--with-web-search: no search can be used: corpus (--corpus is not set), "
        "searxng (SEARXNG_URL is not set), ollama (OLLAMA_API_KEY is not set and no signed-in "
        f"Ollama answers at http://{NOBODY}), brave (BRAVE_API_KEY is not set), "
        "tavily (TAVILY_API_KEY is not set), "
        f"ddgs ({MissingExtraError('search', 'it')}); "
        "the simplest search is a directory of documents: --corpus DIR"
    )


def test_a_corpus_that_is_broken_is_an_error_and_the_web_is_not_asked_instead() -> None:
    with pytest.raises(SettingsError, match="is not a directory"):
        choose(options(corpus="/nonexistent"), KEYS)


def test_a_named_search_is_used_or_refused_and_never_replaced(folder: Path) -> None:
    assert choose(options(search="tavily", corpus=str(folder)), KEYS).name == "tavily"
    with pytest.raises(UsageError, match=r"can be used: searxng \(SEARXNG_URL is not set\); "):
        choose(options(search="searxng", corpus=str(folder)), KEYS)


def test_an_unknown_search_is_refused() -> None:
    words = ("auto", *registry.names("search"))
    assert set(words) == {"auto", "brave", "corpus", "ddgs", "ollama", "searxng", "tavily"}
    with pytest.raises(ValueError, match="must be one of auto, brave, corpus, ddgs, ollama"):
        options(search="google")


def test_a_search_is_recorded_with_its_time_and_hits() -> None:
    record = asyncio.run(look_up(Fake(), "q", 1))
    assert {k: v for k, v in record.items() if k not in ("time_ms", "timestamp")} == {
        "query": "q",
        "backend": "fake",
        "limit": 1,
        "replayed": False,
        "hits": [HITS[0]._asdict()],
    }
    assert record["time_ms"] >= 0
    assert record["timestamp"].endswith("Z")
    assert hits_of(record) == HITS[:1]
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"results": {"items": [{"id": "a", "search": RECORD}, {"search": None}]}}),
        json.dumps(RECORD),
        json.dumps([RECORD]),
        f"{json.dumps({**RECORD, 'query': 'x'})}\n\n{json.dumps(RECORD)}\n",
        "\ufeff" + json.dumps({**RECORD, "x": "a\u2028b"}, ensure_ascii=False) + "\n\n[]",
    ],
)
def test_a_result_file_or_lines_are_replayed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recorded.json"
    path.write_text(text, encoding="utf-8")
    replay = choose(options(search_replay=str(path)), {})
    assert asyncio.run(replay.find("q", 5)) == HITS
    record = asyncio.run(look_up(replay, "q", 1))
    assert record == {**RECORD, "limit": 1, "replayed": True, "hits": [HITS[0]._asdict()]}


def test_what_was_recorded_can_be_replayed_and_recorded_again(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    first = asyncio.run(look_up(Fake(), "q", 2))
    path.write_text(json.dumps(first), encoding="utf-8")
    again = asyncio.run(look_up(Replay(path), "q", 2))
    assert again == {**first, "replayed": True}
    path.write_text(json.dumps(again), encoding="utf-8")
    assert asyncio.run(look_up(Replay(path), "q", 2)) == again


def replay_of(path: Path, **fields: Any) -> Replay:
    path.write_text(json.dumps({**RECORD, **fields}), encoding="utf-8")
    return Replay(path)


def test_a_query_that_was_not_recorded_is_refused(tmp_path: Path) -> None:
    replay = replay_of(tmp_path / "a.json")
    with pytest.raises(ResultsError, match=r"a\.json has no search for 'other'$"):
        asyncio.run(replay.find("other", 5))


def test_more_results_than_were_asked_for_are_refused(tmp_path: Path) -> None:
    replay = replay_of(tmp_path / "a.json")
    with pytest.raises(
        ResultsError, match="recorded with 5 results per question, fewer than 6: set"
    ):
        asyncio.run(look_up(replay, "q", 6))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{}", "has no recorded search"),
        (b"", "has no recorded search"),
        (b"{'", "cannot be replayed: "),
        (b"\xff", "cannot be replayed: "),
        (b"[" * 100_000, "cannot be replayed: "),
        (json.dumps({**RECORD, "hits": [{"title": 1}]}).encode(), r"at `\$\.hits\[0\]"),
        (json.dumps({**RECORD, "limit": None}).encode(), r"Expected `int`, got `null`"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_refused_by_name(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(ResultsError, match=rf"^--search-replay: .*bad\.json .*{reason}"):
        Replay(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"none\.json cannot be replayed: .*No such file"):
        Replay(tmp_path / "none.json")
