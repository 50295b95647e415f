"""The journal of a run: one JSON line per fact, written at once.

`results/.journal/{run_id}/{worker}.jsonl` has a header, the plan, one row per finished request and
the end. Every result file is made from the journal, so that finished requests are kept however the
process ends. A last line that was cut is ignored.

If the results directory is removed or moved during the run, the open files are copied to a new
directory, and the run continues there.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pytest_llamaburn import files
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.store.ledger import Ledger
from pytest_llamaburn.texts import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_llamaburn.documents import Document, GateVerdict, Header

FOLDER = ".journal"
RESERVE_BYTES = 1 << 20
_RESERVE = "reserve"
_LOCK = ".lock"
_REFUGE = "llamaburn-rescued"


class Record(NamedTuple):
    """The content of the journals of one run."""

    header: Header | None
    planned: int
    rows: list[Any]  # documents.RequestRow, with the fields of its kind
    facts: Document
    gates: list[GateVerdict]
    interrupted: bool
    folder: Path = Path()
    others: dict[str, list[Any]] = {}  # noqa: RUF012 - lines of other types, by type

    @property
    def opened(self) -> Header:
        """The header; raises ResultsError if the journal is gone."""
        if self.header is None:
            raise ResultsError(f"the journal {self.folder} is gone: was it removed, or moved away?")
        return self.header

    @property
    def idle(self) -> bool:
        """Whether nothing was planned and nothing was measured."""
        return not (self.planned or self.rows or self.others.keys() - {"profile"})

    @property
    def profile(self) -> list[Document]:
        """The entries of the profilers."""
        return self.others.get("profile", [])


class Journal:
    """The journal of one run, written by one worker.

    While it is open, it holds a lock in its directory. The lock distinguishes a running run from a
    killed one.
    """

    def __init__(self, results_dir: Path, run_id: str, worker: str) -> None:
        """Open the journal for appending.

        Raises ResultsError when the results directory cannot be written.
        """
        self.results_dir, self._run_id, self._worker = results_dir, run_id, worker
        self.lost: str | None = None  # a sentence that says where the run continued
        self.closed = False
        self._one_at_a_time = threading.RLock()
        try:
            self._enter(results_dir)
            self._ledger = Ledger(self.directory / f"{worker}.jsonl")
            self._end_cut_line()
        except OSError as err:
            raise ResultsError(_unwritable(results_dir, err)) from err

    def write(self, kind: str, **fields: object) -> None:
        """Append one fact and give it to the kernel, which keeps it if this process is killed.

        Raises ResultsError if the disk is full or cannot be written.
        """
        line = dumps({"type": kind, **fields})
        try:
            with self._one_at_a_time:
                self.settle()
                self._ledger.write(line.encode() + b"\n")
        except OSError as err:
            raise ResultsError(
                f"{self._ledger.path} cannot be written: {err.strerror or err}; what was finished "
                "before is kept: make room, then continue it with --resume last, in pytest with "
                "--llamaburn-resume=last"
            ) from err

    def sync(self) -> None:
        """Write the journal to disk; only between items, never during a measurement.

        Raises ResultsError if that fails.
        """
        try:
            self._ledger.sync()
        except OSError as err:
            words = f"{self._ledger.path} cannot be written to disk: {err.strerror or err}"
            raise ResultsError(words) from err

    def settle(self) -> None:
        """Continue in a new directory if the old one was removed or moved; `lost` says where.

        The same path is tried first, then the `refuges`. Raises ResultsError if all fail.
        """
        with self._one_at_a_time:
            if self._ledger.here:
                return
            was = self.results_dir
            found = first_that_works(self._move, chain([self._whole], refuges()))
            if self.closed:
                self._lock.release()
            self.lost = (
                f"{was} was removed or moved while the run went on: what was measured is kept in "
                f"{found}"
            )

    def close(self) -> None:
        """Sync and release the lock; `settle` still works afterwards."""
        if not self.closed:
            with suppress(ResultsError):  # the result file is made from what the kernel has
                self.sync()
            self.closed = True
            self._lock.release()

    def forget(self) -> None:
        """Close the file, after the result file was written."""
        self.close()
        self._ledger.close()

    def _enter(self, results_dir: Path) -> None:
        """Create and lock the run's directory in a results directory; raises OSError."""
        from filelock import FileLock

        self.results_dir, self._whole = results_dir, results_dir.absolute()
        self.directory = directory(results_dir, self._run_id)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._reserve()
        self._lock = FileLock(self.directory / f"{self._worker}{_LOCK}")
        self._lock.acquire()

    def _move(self, results_dir: Path) -> Path:
        self._lock.release()  # the lock of the old directory
        self._enter(results_dir)
        self._ledger.move(self.directory / f"{self._worker}.jsonl")
        return results_dir

    def _end_cut_line(self) -> None:
        """End an incomplete last line of a killed process."""
        content = self._ledger.read()
        if content and not content.endswith(b"\n"):
            self._ledger.write(b"\n")

    def _reserve(self) -> None:
        """Reserve the disk space for the result file, in case the disk fills up."""
        path = self.directory / _RESERVE
        if not path.exists():
            path.write_bytes(os.urandom(RESERVE_BYTES))  # zeros could be stored as a hole


def refuges() -> Iterator[Path]:
    """Yield the places for files whose directory is gone: here, at home, then a temporary one.

    If the current directory is gone too, `files.lasting` is the first.
    """
    for find in (Path.cwd, files.lasting, files.temporary):
        try:
            place = find()
        except OSError:  # the current directory was removed, or there is none for temporary files
            continue
        yield place / _REFUGE


def first_that_works(work: Callable[[Path], Path], places: Iterable[Path]) -> Path:
    """Return the result of `work` in the first place that can be written.

    Raises ResultsError if no place can be written.
    """
    problems = []
    for place in places:
        try:
            return work(place)
        except ResultsError as err:
            problems.append(str(err))
        except OSError as err:
            problems.append(f"{place}: {err.strerror or err}")
    raise ResultsError(f"no place to write to: {'; '.join(dict.fromkeys(problems))}")


def directory(results_dir: Path, run_id: str) -> Path:
    """Return the directory of a run's journals."""
    return results_dir / FOLDER / run_id


def read(folder: Path, skipped: Iterable[str] = ()) -> Record:
    """Return the merged content of the journals in a run's directory.

    The expected requests of `skipped` items are not planned; those that they already sent are.
    """
    header: Header | None = None
    expected: dict[str, int] = {}
    planned: dict[str, int] = {}
    rows: list[Document] = []
    facts: Document = {}
    gates: list[GateVerdict] = []
    others: dict[str, list[Any]] = {}
    endings: list[str] = []
    for path in filter(files.exists, files.found(folder, "*.jsonl")):
        ending = "killed"
        for line in _lines(path):
            match line.pop("type"):
                case "header":
                    header, ending = _header(header, cast("Header", line)), "killed"
                case "expected":
                    expected.update(line["items"])
                case "planned":
                    planned.update(line["items"])
                case "request":
                    rows.append(line)
                case "facts":
                    facts.update(line)
                case "gate":
                    gates.append(cast("GateVerdict", line))
                case "end":
                    ending = line["reason"]
                case other:
                    others.setdefault(other, []).append(line)
        endings.append(ending)
    interrupted = any(ending != "finished" for ending in endings)
    kept = {key: count for key, count in expected.items() if key not in skipped}
    count = sum({**kept, **planned}.values())
    return Record(header, count, rows, facts, gates, interrupted, folder, others)


def _header(first: Header | None, now: Header) -> Header:
    """Return the first header of a run, with the settings of its last part."""
    header = (first or now).copy()
    if "config" in now:
        header["config"] = now["config"]
    return header


def of_session(results_dir: Path, session_id: str) -> list[str]:
    """Return the ids of a session's runs that have a journal."""
    return [folder.name for folder in files.found(results_dir / FOLDER, f"{session_id}-*/")]


def leftovers(results_dir: Path) -> list[Path]:
    """Return the journal directories of ended runs, oldest first."""
    folders = files.found(results_dir / FOLDER, "*/")
    return [folder for folder in folders if not _alive(folder)]


def _alive(folder: Path) -> bool:
    from filelock import FileLock, Timeout

    for path in filter(files.exists, files.found(folder, f"*{_LOCK}")):
        try:
            with FileLock(path, timeout=0):
                continue
        except (Timeout, PermissionError):  # a lock of another user raises PermissionError
            return True
        except OSError:
            continue
    return False


def release(folder: Path) -> None:
    """Free the reserved disk space for the result file."""
    (folder / _RESERVE).unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove the journal of a run."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.rmdir()
    except OSError:
        return  # it contains journals of other runs


_NEEDED: dict[str, tuple[str, type]] = {
    "expected": ("items", dict),
    "planned": ("items", dict),
    "end": ("reason", str),
}


def _lines(path: Path) -> Iterator[Document]:
    """Yield the facts of a journal; invalid lines, which a killed process leaves, are skipped.

    Raises ResultsError if the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for text in file:
                with suppress(ValueError, RecursionError):
                    line = json.loads(text)
                    if _is_fact(line):
                        yield line
    except OSError as err:
        raise ResultsError(f"{path} cannot be read: {err.strerror or err}") from err


def _is_fact(line: object) -> bool:
    if not (isinstance(line, dict) and isinstance(line.get("type"), str)):
        return False
    name, kind = _NEEDED.get(line["type"], ("type", str))
    return isinstance(line.get(name), kind)


def _unwritable(results_dir: Path, err: OSError) -> str:
    return (
        f"--results-dir: {results_dir} cannot be written: {err.strerror or err}; "
        "name another directory with --results-dir"
    )
