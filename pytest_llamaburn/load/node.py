"""One of several machines: its sending processes, its clock and its rows, or what it asks.

`Node` runs there, in an actor or in a test's own process. The process that leads the load, on
another machine, calls it (`nodes.py`).
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import tempfile
import uuid
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llamaburn.backends._secrets import KEY_VARIABLE
from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.load import clocks, rows
from pytest_llamaburn.load.sender import Health
from pytest_llamaburn.load.workers import WorkerEndedError, Workers, connected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.backends._base import Backend, Body, Likely
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.load.clocks import Times
    from pytest_llamaburn.load.workers import Setup, Task
    from pytest_llamaburn.trace import Trace

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class NodeReport(msgspec.Struct):
    """How a machine is getting on: what its processes count, and its new rows as bytes.

    `health` ends a step, `error` ends the run. `ended` says that a process ended by itself: the
    machine cannot send its share.
    """

    counts: dict[str, int] = {}
    recent_ms: list[float] = []
    gone: bool = False
    rows: bytes = b""
    health: Health | None = None
    error: str | None = None
    ended: str | None = None


class Node:
    """The sending processes of one machine."""

    def __init__(self) -> None:
        """Begin without processes; they start in `start`."""
        self._workers: Workers | None = None
        self._sending: asyncio.Task[Health] | None = None
        self._home: Path | None = None
        self._reader: rows.Reader | None = None
        self._backends: list[Backend] = []

    async def facts(self) -> Document:
        """Return the name and the versions of this machine, and whether it has an API key."""
        return {
            "host": platform.node(),
            "machine": machine(),
            "python": platform.python_version(),
            "llamaburn": version("pytest-llamaburn"),
            "has_key": bool(os.environ.get(KEY_VARIABLE)),
        }

    async def times(self) -> Times:
        """Return what the clocks of this machine show."""
        return clocks.times()

    async def unreached(self, setup: Setup) -> list[str]:
        """Return the URLs of the servers to which this machine cannot connect."""
        backends = [connected(connection, setup.settings) for connection in setup.connections]
        return [one.address.url for one in backends if not await one.alive()]

    async def connect(self, setup: Setup) -> None:
        """Connect to the servers that `ask` sends to."""
        self._backends = [connected(connection, setup.settings) for connection in setup.connections]

    async def ask(self, place: int, body: Body) -> tuple[Trace, Likely]:
        """Send one chat request to a server; return as `exchanged` does.

        The machine's own API key goes with it.
        """
        return await exchanged(self._backends[place], body)

    async def start(self, setup: Setup, count: int) -> None:
        """Start so many sending processes."""
        _allow_files()
        self._home = Path(tempfile.mkdtemp(prefix="llamaburn-"))
        folder = self._home / (setup.folder or "rows")
        folder.mkdir()
        self._reader = rows.Reader(folder)
        self._workers = Workers(setup)
        await self._workers.start(count, folder, setup.worker)

    async def begin(self, task: Task, shares: Sequence[Any]) -> None:
        """Begin a step: each process sends its share, from `task.start_ns` of this clock on."""
        assert self._workers is not None  # noqa: S101 - `start` was called
        self._workers.deadlines = task.deadlines
        self._sending = asyncio.create_task(self._workers.send_shares(task, shares))

    async def poll(self, wait_s: float) -> NodeReport:
        """Return how the step goes, at the latest after `wait_s`; sooner if it has ended."""
        assert self._workers is not None  # noqa: S101 - `start` was called
        health, error, ended = None, None, None
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=wait_s)
            if self._sending.done():
                try:
                    health = self._sending.result()
                except (WorkerEndedError, OSError) as err:
                    ended = str(err)
                except LlamaBurnError as err:
                    error = str(err)
        workers = self._workers
        found = (dict(workers.counts), workers.recent_ms, workers.gone)
        return NodeReport(*found, self._new_rows(), health, error, ended)

    async def leave(self) -> bytes:
        """Let the load end; return the rows that came meanwhile."""
        if self._workers is not None:
            await self._workers.leave()
        return self._new_rows()

    async def close(self) -> bytes:
        """End the processes, also in the middle of a step; return their last rows."""
        if self._sending is not None:
            self._sending.cancel()
        if self._workers is not None:
            await self._workers.close()
        left = self._new_rows()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
        return left

    def _new_rows(self) -> bytes:
        return b"".join(self._reader.lines()) if self._reader is not None else b""


async def exchanged(backend: Backend, body: Body) -> tuple[Trace, Likely]:
    """Send a chat request on a connection of its own; return its trace.

    With it come the likeliest first tokens, if the request asks for log probabilities.
    """
    wire = backend.wire()
    try:
        if "logprobs" in body:
            return await backend.first_token(wire, body)
        return await backend.stream(wire, backend.request(body)), []
    finally:
        wire.close()


def machine() -> str:
    """Return an id that two processes share only if they run on the same machine."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.getnode())


def _allow_files() -> None:
    """Raise the limit of open files as far as this machine allows; its processes inherit it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
