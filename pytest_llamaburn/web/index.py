"""What is in the result files of a list, kept in memory and checked against the files each time.

A file is read again when anything about it changed. What was not read yet is read in the
background: a list says how many files it lacks.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from pytest_llamaburn.errors import LlamaBurnError, sentence
from pytest_llamaburn.store import results
from pytest_llamaburn.web import lists
from pytest_llamaburn.web.lists import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PATIENCE_S = 0.1  # to read files while a client waits
_SUFFIX = ".json"
_MOST_ORDERS = 4  # of a list, that are kept
MOST_BYTES = 500_000_000
SETTLED_NS = 100_000_000  # a file changed later than this before it was read may change unseen


class Requests(BaseModel):
    """How many requests succeeded, of how many that were planned or sent."""

    succeeded: int
    planned: int


class Row(BaseModel):
    """A result file in a list.

    `status` is `unreadable` where `reason` says what is wrong with the file. `time` is when the run
    began. `measures` has the few numbers that say most; what was not measured is not there.
    """

    id: str
    type: str
    status: str
    reason: str | None = None
    time: str | None
    models: list[str] = []
    run_id: str | None = None
    requests: Requests | None = None
    measures: dict[str, float] = {}
    size_bytes: int


class Stamp(NamedTuple):
    """What tells one content of a file from another."""

    changed_ns: int
    status_changed_ns: int
    size: int
    number: int

    @property
    def tag(self) -> str:
        """The stamp as one word."""
        return "-".join(f"{part:x}" for part in self)


class _Entry(NamedTuple):
    stamp: Stamp
    settled: bool
    row: Row


class _Whole:
    """All files of a list as they were when all of them were known, sorted as they were wanted."""

    def __init__(self, stamps: dict[str, Stamp], rows: list[Row]) -> None:
        self.stamps, self.rows = stamps, rows
        self.sorted: OrderedDict[str, list[Row]] = OrderedDict()

    def by(self, sort: str) -> list[Row]:
        """Return the rows in an order; the orders that were wanted last are kept."""
        if sort not in self.sorted:
            self.sorted[sort] = ordered(self.rows, sort)
        self.sorted.move_to_end(sort)
        while len(self.sorted) > _MOST_ORDERS:
            self.sorted.popitem(last=False)
        return self.sorted[sort]


class Index:
    """The result files of all lists. Any thread may use it.

    Most of the time all files are as they were. Then the rows of the last time are given, which
    costs no more than the look at each file.
    """

    def __init__(self, results_dir: Path) -> None:
        """Know nothing yet of the files in a directory."""
        self._results_dir = results_dir
        self._entries: dict[str, dict[str, _Entry]] = {}
        self._whole: dict[str, _Whole] = {}
        self._one_at_a_time = threading.Lock()

    def rows(
        self, name: str, sort: str = "-time", patience_s: float = PATIENCE_S
    ) -> tuple[Sequence[Row], int]:
        """Return what is known of a list's files, and how many were not read yet.

        No row is older than its file. `sort` is as in `ordered`. The newest files are read first.
        """
        with self._one_at_a_time:
            whole = self._whole.get(name)
            if whole and self._is_unchanged(name, whole.stamps):
                return whole.by(sort), 0
            return self._looked_up(name, sort, patience_s)

    def _is_unchanged(self, name: str, before: dict[str, Stamp]) -> bool:
        """Return whether a list's files are those of before.

        Each page of each list asks it, so for 10,000 files it does no more than look at each.
        """
        same = 0
        for start, folder in lists.folders(self._results_dir, name).items():
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    known = before.get(start + entry.name)
                    if known is not None:
                        a = entry.stat()
                        if known != (a.st_mtime_ns, a.st_ctime_ns, a.st_size, a.st_ino):
                            return False
                        same += 1
                    elif _is_result(entry.name):
                        return False
        return same == len(before)

    def _looked_up(self, name: str, sort: str, patience_s: float) -> tuple[Sequence[Row], int]:
        """Return the rows of files that changed since the last time, and of those that did not."""
        files = dict(_files(self._results_dir, name))
        now = {place: about for place, entry in files.items() if (about := stamp(entry))}
        entries = self._current(name, now)
        missing = sorted(now.keys() - entries.keys(), key=now.__getitem__)
        until = time.monotonic() + patience_s
        while missing and time.monotonic() < until:
            place = missing.pop()
            reference = Reference(type=name, id=place.removesuffix(_SUFFIX))
            entries[place] = _read(reference, Path(files[place]), now[place])
        rows = [entry.row for entry in entries.values()]
        if missing or not all(entry.settled for entry in entries.values()):
            return ordered(rows, sort), len(missing)
        self._whole[name] = _Whole(now, rows)
        return self._whole[name].by(sort), 0

    def _current(self, name: str, now: dict[str, Stamp]) -> dict[str, _Entry]:
        """Return the entries of a list whose files are as they were."""
        known = self._entries.get(name, {})
        found = {
            place: entry
            for place, entry in known.items()
            if entry.settled and now.get(place) == entry.stamp
        }
        self._entries[name] = found
        return found


def count(results_dir: Path, name: str) -> int:
    """Return how many result files a list has."""
    return sum(1 for _ in _files(results_dir, name))


def _files(results_dir: Path, name: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files of a list by their ids and suffixes; none where their folder is gone."""
    for start, folder in lists.folders(results_dir, name).items():
        with suppress(OSError), os.scandir(folder) as entries:
            yield from ((start + one.name, one) for one in entries if _is_result(one.name))


def _is_result(name: str) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith(".")


def stamp(path: Path | os.DirEntry[str]) -> Stamp | None:
    """Return the stamp of a file, None where it is gone."""
    try:
        about = path.stat()
    except OSError:
        return None
    return Stamp(about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino)


def ordered(rows: Sequence[Row], sort: str) -> list[Row]:
    """Return rows by a fact or a measure, `-x` from the largest; those that lack it come last."""
    name = sort.removeprefix("-")
    value = _FACTS.get(name) or partial(_measure, name)
    known = [row for row in rows if value(row) is not None]
    known.sort(key=lambda row: (value(row), row.id), reverse=sort.startswith("-"))
    return known + [row for row in rows if value(row) is None]


def _measure(name: str, row: Row) -> float | None:
    return row.measures.get(name)


_FACTS: dict[str, Callable[[Row], Any]] = {
    **{name: attrgetter(name) for name in ("time", "status", "id")},
    "model": lambda row: ", ".join(row.models),
}


def _read(reference: Reference, path: Path, about: Stamp) -> _Entry:
    settled = time.time_ns() - max(about[:2]) > SETTLED_NS
    return _Entry(about, settled, row_of(reference, path, about))


def row_of(reference: Reference, path: Path, about: Stamp) -> Row:
    """Return the row of a file; one that cannot be read says why."""
    fields: dict[str, Any] = {
        **reference.model_dump(),
        "size_bytes": about.size,
        "time": _stamp(about.changed_ns),
    }
    try:
        if about.size > MOST_BYTES:
            return Row(**fields, status="unreadable", reason="the file is too large to be listed")
        found = results.brief(path)
    except LlamaBurnError as err:
        return Row(**fields, status="unreadable", reason=sentence(str(err)))
    counts = found.results.requests
    return Row(
        **{**fields, "time": found.timestamp or fields["time"]},
        status=found.status,
        models=found.models,
        run_id=found.run_id,
        requests=counts and Requests(succeeded=counts[0], planned=counts[1]),
        measures=found.results.headlines,
    )


def _stamp(when_ns: int) -> str:
    return datetime.fromtimestamp(when_ns // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")
