"""Searches as result files keep them, and a search that replays them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypedDict

from pytest_llamaburn import files
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.search._base import Hit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_llamaburn.search._base import Search


class HitRecord(TypedDict):
    """A hit in a file."""

    title: str
    url: str
    text: str


class Record(TypedDict):
    """One search: `limit` is how many hits were asked for, `timestamp` is UTC.

    In a replay, time and time stamp are those of the search that was recorded.
    """

    query: str
    backend: str
    limit: int
    timestamp: str
    time_ms: float
    replayed: bool
    hits: list[HitRecord]


class Replay:
    """Recorded searches; a query that is not among them is refused, never searched anew."""

    name = "replay"

    def __init__(self, path: Path) -> None:
        """Read a result file, or JSON lines. Raises ResultsError naming what is wrong."""
        self._path = path
        self._records = {record["query"]: record for record in _read(path)}

    def recall(self, query: str, limit: int) -> Record:
        """Return the search of this query, the last if there are several.

        Raises ResultsError where there is none, or one for fewer hits.
        """
        found = self._records.get(query)
        if found is None:
            raise ResultsError(f"--search-replay: {self._path} has no search for '{query[:200]}'")
        if found["limit"] < limit:
            raise ResultsError(
                f"--search-replay: {self._path} was recorded with {found['limit']} results a "
                f"question, fewer than {limit}: set --search-results {found['limit']}"
            )
        return {**found, "limit": limit, "replayed": True, "hits": found["hits"][:limit]}

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return the hits that were recorded; raises as `recall` does."""
        return hits_of(self.recall(query, limit))


async def look_up(search: Search, query: str, limit: int) -> Record:
    """Return what a search found, as it belongs in a result file. Raises what `find` raises."""
    if isinstance(search, Replay):
        return search.recall(query, limit)
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    started = perf_counter()
    found = await search.find(query, limit)
    return {
        "query": query,
        "backend": search.name,
        "limit": limit,
        "timestamp": timestamp,
        "time_ms": (perf_counter() - started) * 1e3,
        "replayed": False,
        "hits": [{"title": h.title, "url": h.url, "text": h.text} for h in found],
    }


def hits_of(record: Record) -> list[Hit]:
    """Return the hits of a recorded search."""
    return [Hit(**hit) for hit in record["hits"]]


def _read(path: Path) -> list[Record]:
    import msgspec

    try:
        content = _decode(files.text(files.plain_bytes(path)))
        found = [msgspec.convert(one, Record) for one in _searches(content)]
    except (OSError, ValueError, RecursionError) as err:
        reason = str(err) or type(err).__name__
        raise ResultsError(f"--search-replay: {path} cannot be replayed: {reason}") from None
    if not found:
        raise ResultsError(f"--search-replay: {path} has no recorded search")
    return found


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.split("\n") if line.strip()]


def _searches(content: Any) -> Iterator[Any]:
    """Yield the searches anywhere in a document, in order."""
    if isinstance(content, dict):
        if {"query", "backend", "hits"} <= content.keys():
            yield content
            return
        content = list(content.values())
    if isinstance(content, list):
        for value in content:
            yield from _searches(value)
