"""The journal of a run: one JSON line per fact, written as it happens.

`results/.journal/{run_id}/{worker}.jsonl` holds a header, what is planned, one row per finished
request and the end. A result file is always made from it, so that whatever ends the process, what
was finished is kept. Reading tolerates a last line that was cut.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import files
from pytest_llamaburn.errors import ResultsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDER = ".journal"
RESERVE_BYTES = 1 << 20
_RESERVE = "reserve"
_LOCK = ".lock"


class Record(NamedTuple):
    """What the journals of one run say."""

    header: dict[str, Any] | None
    planned: int
    rows: list[dict[str, Any]]
    facts: dict[str, Any]
    gates: list[dict[str, Any]]
    interrupted: bool
    folder: Path = Path()
    others: dict[str, list[dict[str, Any]]] = {}  # noqa: RUF012 - what one kind of run alone writes

    @property
    def idle(self) -> bool:
        """Whether nothing was to be measured, and nothing was."""
        return not (self.planned or self.rows or self.others.keys() - {"profile"})

    @property
    def profile(self) -> list[dict[str, Any]]:
        """What profilers said and read."""
        return self.others.get("profile", [])


class Journal:
    """The journal of one run, as one worker writes it.

    While it is open a lock on its directory is held: that is how a run which was killed is told
    from one that goes on.
    """

    def __init__(self, results_dir: Path, run_id: str, worker: str) -> None:
        """Open the journal for appending.

        Raises ResultsError when the results directory cannot be written.
        """
        from filelock import FileLock

        self.directory = directory(results_dir, run_id)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._reserve()
            self._lock = FileLock(self.directory / f"{worker}{_LOCK}")
            self._lock.acquire()
            self._file = (self.directory / f"{worker}.jsonl").open("ab", buffering=0)
            self._end_cut_line()
        except OSError as err:
            raise ResultsError(_unwritable(results_dir, err)) from err

    def write(self, kind: str, **fields: Any) -> None:
        """Append one fact and hand it to the kernel, where it outlives this process.

        Raises ResultsError when the disk is full or no longer to be written.
        """
        line = json.dumps({"type": kind, **fields}, ensure_ascii=False, allow_nan=False)
        try:
            self._file.write(line.encode() + b"\n")
        except OSError as err:
            raise ResultsError(
                f"{self._file.name} cannot be written: {err.strerror or err}; what was finished "
                "before is kept: make room, then continue it with --resume last, in pytest with "
                "--llamaburn-resume=last"
            ) from err

    def sync(self) -> None:
        """Have the disk hold what was written; called between items, never while measuring."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Sync and close."""
        if not self._file.closed:
            self.sync()
            self._file.close()
            self._lock.release()

    def _end_cut_line(self) -> None:
        """Begin a new line where a killed process left half of one."""
        if self._file.tell() and not Path(self._file.name).read_bytes().endswith(b"\n"):
            self._file.write(b"\n")

    def _reserve(self) -> None:
        """Take the space that the result file will need, in case the disk fills up."""
        path = self.directory / _RESERVE
        if not path.exists():
            path.write_bytes(os.urandom(RESERVE_BYTES))  # zeros could be stored as a hole


def directory(results_dir: Path, run_id: str) -> Path:
    """Return the directory of a run's journals."""
    return results_dir / FOLDER / run_id


def read(folder: Path, skipped: Iterable[str] = ()) -> Record:
    """Return what the journals in a run's directory say, workers merged.

    What the session expected of `skipped` items is not planned; what they measured before is.
    """
    header: dict[str, Any] | None = None
    expected: dict[str, int] = {}
    planned: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    gates: list[dict[str, Any]] = []
    others: dict[str, list[dict[str, Any]]] = {}
    endings: list[str] = []
    for path in sorted(filter(files.exists, folder.glob("*.jsonl"))):
        ending = "killed"
        for line in _lines(path):
            match line.pop("type"):
                case "header":
                    header, ending = _header(header, line), "killed"
                case "expected":
                    expected.update(line["items"])
                case "planned":
                    planned.update(line["items"])
                case "request":
                    rows.append(line)
                case "facts":
                    facts.update(line)
                case "gate":
                    gates.append(line)
                case "end":
                    ending = line["reason"]
                case other:
                    others.setdefault(other, []).append(line)
        endings.append(ending)
    interrupted = any(ending != "finished" for ending in endings)
    kept = {key: count for key, count in expected.items() if key not in skipped}
    count = sum({**kept, **planned}.values())
    return Record(header, count, rows, facts, gates, interrupted, folder, others)


def _header(first: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """Return a run's header: its first, with the settings by which it went on."""
    return {**(first or now), **{name: now[name] for name in ("config",) if name in now}}


def of_session(results_dir: Path, session_id: str) -> list[str]:
    """Return the ids of a session's runs that have a journal."""
    return sorted(folder.name for folder in (results_dir / FOLDER).glob(f"{session_id}-*/"))


def leftovers(results_dir: Path) -> list[Path]:
    """Return the journal directories of ended runs, oldest first."""
    folders = files.found(results_dir / FOLDER, "*/")
    return [folder for folder in folders if not _alive(folder)]


def _alive(folder: Path) -> bool:
    from filelock import FileLock, Timeout

    for path in filter(files.exists, folder.glob(f"*{_LOCK}")):
        try:
            with FileLock(path, timeout=0):
                continue
        except (Timeout, PermissionError):  # one that another user holds is not ours to try
            return True
        except OSError:
            continue
    return False


def release(folder: Path) -> None:
    """Give the reserved space back, for the result file to use."""
    (folder / _RESERVE).unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove a journal whose run is complete and whose result file is written."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.rmdir()
    except OSError:
        return  # other runs' journals are there


_NEEDED: dict[str, tuple[str, type]] = {
    "expected": ("items", dict),
    "planned": ("items", dict),
    "end": ("reason", str),
}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the facts of a journal; a line that is none, as a killed process leaves, is skipped.

    Raises ResultsError where the file cannot be read.
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


def _is_fact(line: Any) -> bool:
    if not (isinstance(line, dict) and isinstance(line.get("type"), str)):
        return False
    name, kind = _NEEDED.get(line["type"], ("type", str))
    return isinstance(line.get(name), kind)


def _unwritable(results_dir: Path, err: OSError) -> str:
    return (
        f"--results-dir: {results_dir} cannot be written: {err.strerror or err}; "
        "name another directory with --results-dir"
    )
