"""The rows of a load: one line per finished request, on disk, so that memory stays flat for hours.

They are stored beside the journal as `{worker}.rows`, one JSON object per line, written as each
request ends. Every sending process has its own file; readers merge the files.
"""

from __future__ import annotations

import gzip
import shutil
from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pytest_llamaburn import metrics
from pytest_llamaburn.documents import Failure
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.store.ledger import Ledger
from pytest_llamaburn.trace import CLIENT_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pytest_llamaburn.trace import Trace

SUFFIX = ".rows"
TIMED_OUT = "timeout_total"  # the failure of a request that exceeded its total deadline


class Row(msgspec.Struct, gc=False):
    """One request of a load; all `*_ns` are on the monotonic clock that processes share.

    `step` is the step of the load that it belongs to, `attempt` counts the run's resumptions.
    `values` are the metrics, `gaps_ms` the times between pieces of the answer (written as a list,
    read as an array), `error` how it failed. `burst` says that it was sent by a burst on top of the
    step's own load. `doubts` say why metrics are null that such a server normally gives. `server`
    and `node` are the places of its server and of the machine that sent it, in the run's lists.
    """

    step: int
    attempt: int
    number: int
    prompt_id: str
    scheduled_ns: int
    sent_ns: int
    first_ns: int | None
    last_ns: int | None
    end_ns: int
    values: dict[str, float | None]
    gaps_ms: Any
    error: Failure | None = None
    burst: bool = False
    doubts: dict[str, str] | None = None
    server: int = 0
    node: int = 0


class Request(NamedTuple):
    """What statistics and searches need of a request: its times, and the kind of its failure.

    Times are on the monotonic clock. `first_ns` and `last_token_ns` are the first and the last
    token, None if none came; `end_ns` is the end of the stream, also of a failed request. `limited`
    says that our own process was the bottleneck when it was sent, so that its times say nothing
    about the server.
    """

    scheduled_ns: int
    sent_ns: int
    first_ns: int | None
    end_ns: int
    failure: str | None = None
    limited: bool = False
    last_token_ns: int | None = None

    @property
    def timed_out(self) -> bool:
        """Whether the total deadline ended it, which is part of what failing means.

        A shorter limit (connection, first token, next token) is a failure like any other: it does
        not say how long the whole request would have taken.
        """
        return self.failure == TIMED_OUT


class Rows:
    """The rows file of one process."""

    def __init__(self, folder: Path, worker: str) -> None:
        """Open it for appending. Raises ResultsError if that fails."""
        self.folder = folder
        try:
            self._ledger = Ledger(folder / f"{worker}{SUFFIX}")
        except OSError as err:
            raise ResultsError(f"{folder} cannot be written: {err.strerror or err}") from err

    def write(self, row: Row) -> None:
        """Append a row and hand it to the kernel. Raises ResultsError if the disk is full."""
        try:
            self._ledger.write(msgspec.json.encode(row) + b"\n")
        except OSError as err:
            raise ResultsError(
                f"{self._ledger.path} cannot be written: {err.strerror or err}; what was finished "
                "before is kept: make room, then llamaburn stress --resume last"
            ) from err

    def settle(self, folder: Path) -> None:
        """Continue in a folder, with all rows, if the folder of before was removed or moved.

        Raises ResultsError if that fails.
        """
        if self._ledger.here:
            return
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._ledger.move(folder / self._ledger.path.name)
        except OSError as err:
            raise ResultsError(f"{folder} cannot be written: {err.strerror or err}") from err

    def close(self) -> None:
        """Close the file."""
        self._ledger.close()


def unsent(row: Row) -> bool:
    """Return whether our own process could not send it, which is no failure of the server."""
    return row.error is not None and row.error["kind"] == CLIENT_FILES


def request_of(row: Row) -> Request:
    """Return the request of a row."""
    failure = row.error["kind"] if row.error else None
    times = (row.scheduled_ns, row.sent_ns, row.first_ns, row.end_ns)
    return Request(*times, failure, last_token_ns=row.last_ns)


def row_of(
    place: tuple[int, int, int],
    prompt_id: str,
    due_ns: int,
    trace: Trace,
    *,
    burst: bool = False,
    server: int = 0,
) -> Row:
    """Return the row of a finished request; `place` is its step, attempt and number."""
    values, reasons = metrics.compute(trace)
    doubts = {name: why for name, why in reasons.items() if why in metrics.DOUBTS}
    gaps = [round(gap, 4) for gap in metrics.chunk_gaps_ms(trace)]
    return Row(
        *place,
        prompt_id,
        due_ns,
        trace.sent_ns,
        trace.first_ns,
        trace.last_ns,
        trace.end_ns,
        values,
        gaps,
        trace.error,
        burst,
        doubts or None,
        server,
    )


class Reader:
    """Reads the rows of a run while they are written: at each call the new ones."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of the run."""
        self._folder = folder
        self._read: dict[Path, int] = {}  # bytes

    def new(self) -> Iterator[Row]:
        """Yield the new rows, file by file; an incomplete last line is left for the next call."""
        return decoded(self.lines())

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the new rows."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # it is being written, or its process was killed meanwhile
                    self._read[path] = self._read.get(path, 0) + len(line)
                    yield line


def decoded(lines: Iterable[bytes]) -> Iterator[Row]:
    """Yield the rows of lines."""
    decode = msgspec.json.Decoder(Row).decode
    for line in lines:
        try:
            row = decode(line)
        except (msgspec.DecodeError, msgspec.ValidationError):
            continue  # it was cut by a kill, and a resumed run appended to it
        row.gaps_ms = array("d", row.gaps_ms)  # a fifth of the memory of a list
        yield row


def read(folder: Path) -> Iterator[Row]:
    """Yield all rows of a run, file by file."""
    return Reader(folder).new()


def export(folder: Path, target: Path) -> None:
    """Write the rows of a run, gzipped, to `target`. Raises ResultsError if that fails."""
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        with gzip.open(temporary, "wb", compresslevel=6) as packed:
            for path in sorted(folder.glob(f"*{SUFFIX}")):
                with path.open("rb") as file:
                    shutil.copyfileobj(file, packed)
        temporary.replace(target)
    except OSError as err:
        temporary.unlink(missing_ok=True)
        raise ResultsError(f"{target} cannot be written: {err.strerror or err}") from err
