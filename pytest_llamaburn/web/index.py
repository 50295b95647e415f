"""What is in the result files of a folder, kept in memory and checked against the files each time.

A file is read again when anything about it changed. What was not read yet is read in the
background: a list says how many files it lacks.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from pytest_llamaburn.errors import LlamaBurnError, sentence
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PATIENCE_S = 0.1  # to read files while a client waits
_MOST_BYTES = 500_000_000
_SETTLED_NS = 100_000_000  # a file changed later than this before it was read may change unseen


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


class Index:
    """The result files of all folders. Any thread may use it.

    Most lists find all files as they were. They get the rows of the list before, which costs no
    more than the look at each file.
    """

    def __init__(self, results_dir: Path) -> None:
        """Know nothing yet of the files in a directory."""
        self._results_dir = results_dir
        self._entries: dict[str, dict[str, _Entry]] = {}
        self._whole: dict[str, tuple[dict[str, Stamp], list[Row]]] = {}
        self._one_at_a_time = threading.Lock()

    def rows(self, folder: str, patience_s: float = PATIENCE_S) -> tuple[Sequence[Row], int]:
        """Return what is known of a folder's files, and how many were not read yet.

        No row is older than its file. The newest files are read first.
        """
        with self._one_at_a_time:
            now = stamps(self._results_dir / folder)
            before, rows = self._whole.get(folder, ({}, []))
            if now == before:
                return rows, 0
            return self._looked_up(folder, now, patience_s)

    def _looked_up(
        self, folder: str, now: dict[str, Stamp], patience_s: float
    ) -> tuple[list[Row], int]:
        """Return the rows of files that changed since the last time, and of those that did not."""
        entries = self._current(folder, now)
        missing = sorted(now.keys() - entries.keys(), key=now.__getitem__)
        until = time.monotonic() + patience_s
        while missing and time.monotonic() < until:
            name = missing.pop()
            entries[name] = self._read(folder, name, now[name])
        rows = [entry.row for entry in entries.values()]
        if not missing and all(entry.settled for entry in entries.values()):
            self._whole[folder] = now, rows
        return rows, len(missing)

    def _current(self, folder: str, now: dict[str, Stamp]) -> dict[str, _Entry]:
        """Return the entries of a folder whose files are as they were."""
        known = self._entries.get(folder, {})
        found = {
            name: entry
            for name, entry in known.items()
            if entry.settled and now.get(name) == entry.stamp
        }
        self._entries[folder] = found
        return found

    def _read(self, folder: str, name: str, stamp: Stamp) -> _Entry:
        settled = time.time_ns() - max(stamp[:2]) > _SETTLED_NS
        return _Entry(stamp, settled, _row(self._results_dir / folder / name, stamp))


def stamps(folder: Path) -> dict[str, Stamp]:
    """Return the stamps of the result files in a folder, by name; nothing where it is gone."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    about = stamp(entry)
                    if about is not None:
                        found[entry.name] = about
    except OSError:
        return {}
    return found


def stamp(path: Path | os.DirEntry[str]) -> Stamp | None:
    """Return the stamp of a file, None where it is gone."""
    try:
        about = path.stat()
    except OSError:
        return None
    return Stamp(about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino)


def _row(path: Path, about: Stamp) -> Row:
    fields: dict[str, Any] = {
        "id": path.stem,
        "type": path.parent.name,
        "size_bytes": about.size,
        "time": _stamp(about.changed_ns),
    }
    try:
        if about.size > _MOST_BYTES:
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
