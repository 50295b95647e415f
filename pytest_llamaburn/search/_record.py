"""Recorded searches in result files, and a search that replays them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from pytest_llamaburn import files
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.search._base import Hit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_llamaburn.search._base import Search


class HitRecord(TypedDict):
    """A recorded hit."""

    title: str
    url: str
    text: str


class SearchRecord(TypedDict):
    """One recorded search: `limit` is the requested number of hits, `timestamp` is in UTC.

    In a replay, `time_ms` and `timestamp` are those of the original search.
    """

    query: str
    backend: str
    limit: int
    timestamp: str
    time_ms: float
    replayed: bool
    hits: list[HitRecord]


class Replay:
    """Recorded searches; an unknown query is an error and is never searched again."""

    name = "replay"

    def __init__(self, path: Path) -> None:
        """Read a result file or JSON lines. Raises ResultsError if the file cannot be used."""
        self._path = path
        self._records = {record["query"]: record for record in _read(path)}

    def recall(self, query: str, limit: int) -> SearchRecord:
        """Return the last recorded search for this query.

        Raises ResultsError if there is none, or if it requested fewer hits.
        """
        record = self._records.get(query)
        if record is None:
            raise ResultsError(f"--search-replay: {self._path} has no search for '{query[:200]}'")
        if record["limit"] < limit:
            raise ResultsError(
                f"--search-replay: {self._path} was recorded with {record['limit']} results per "
                f"question, fewer than {limit}: set --search-results {record['limit']}"
            )
        return {**record, "limit": limit, "replayed": True, "hits": record["hits"][:limit]}

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return the recorded hits; raises the same errors as `recall`."""
        return hits_of(self.recall(query, limit))


async def look_up(search: Search, query: str, limit: int) -> SearchRecord:
    """Search and return the record for the result file. Raises the same errors as `find`."""
    if isinstance(search, Replay):
        return search.recall(query, limit)
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    started = perf_counter()
    hits = await search.find(query, limit)
    return {
        "query": query,
        "backend": search.name,
        "limit": limit,
        "timestamp": timestamp,
        "time_ms": (perf_counter() - started) * 1e3,
        "replayed": False,
        "hits": [{"title": h.title, "url": h.url, "text": h.text} for h in hits],
    }


def hits_of(record: SearchRecord) -> list[Hit]:
    """Return the hits of a recorded search."""
    return [Hit(**hit) for hit in record["hits"]]


def _read(path: Path) -> list[SearchRecord]:
    import msgspec

    try:
        content = _decode(files.text(files.plain_bytes(path)))
        records = [msgspec.convert(search, SearchRecord) for search in _searches(content)]
    except (OSError, ValueError, RecursionError) as err:
        reason = str(err) or type(err).__name__
        raise ResultsError(f"--search-replay: {path} cannot be replayed: {reason}") from None
    if not records:
        raise ResultsError(f"--search-replay: {path} has no recorded search")
    return records


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.split("\n") if line.strip()]


def _searches(content: object) -> Iterator[Any]:
    """Yield all searches in a document, at any depth and in order."""
    if isinstance(content, dict):
        if {"query", "backend", "hits"} <= content.keys():
            yield content
            return
        content = list(content.values())
    if isinstance(content, list):
        for value in content:
            yield from _searches(value)
