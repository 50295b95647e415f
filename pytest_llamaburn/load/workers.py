"""Several processes that send one load together, for a load that one process cannot send on time.

Each worker takes its share of the clients, or every k-th request of the one schedule, and writes
its own rows; only those raw rows are ever merged. A worker is started by
`python -m pytest_llamaburn.load.workers`. It reads its tasks as lines of JSON, answers with lines
of JSON, the first of which says that it is ready, and ends when its standard input closes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llamaburn import registry
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.backends._http import Deadlines
from pytest_llamaburn.datasets import Prompt
from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.load.loop import loop_factory
from pytest_llamaburn.load.rows import Rows
from pytest_llamaburn.load.sender import Health, RequestRange, Sender
from pytest_llamaburn.load.servers import Servers
from pytest_llamaburn.load.step import CLIENTS, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.backends._base import Backend

_REPORT_EVERY_S = 0.5
_LONGEST_LINE = 1 << 26  # bytes; the lags of a minute exceed the default limit of asyncio


class WorkerEndedError(LlamaBurnError):
    """A sending process ended by itself, or was killed."""


class Setup(msgspec.Struct):
    """What a worker is told first: what to send to whom, and where its rows go."""

    connections: list[dict[str, str]]  # to each server
    settings: dict[str, Any]
    model: Model
    prompts: list[Prompt]
    folder: str = ""
    worker: str = ""
    number: int = 0  # of the worker


class Task(msgspec.Struct):
    """A step for a worker to send its share of; without a step it lets the load end."""

    step: Step | None = None
    wanted: RequestRange = RequestRange(0)
    start_ns: int = 0
    deadlines: Deadlines = Deadlines()


class Report(msgspec.Struct):
    """How a worker is getting on; `health` ends a step, `error` ends the run."""

    counts: dict[str, int] = {}
    recent_ms: list[float] = []
    gone: bool = False
    health: Health | None = None
    error: str | None = None


def setup_of(servers: Servers, model: Model, prompts: Sequence[Prompt]) -> Setup:
    """Return what workers are told first."""
    return Setup(
        connections=[one.connection_info() for one in servers.backends],
        settings=servers.settings.model_dump(mode="json"),
        model=model,
        prompts=[*prompts],
    )


class Workers:
    """The workers, seen from the process that leads them; sends as a Sender does.

    `deadlines` are those of the next step.
    """

    lead_ns = Sender.lead_ns

    def __init__(self, setup: Setup) -> None:
        """Take what to send to; the workers start in `start`."""
        self._setup, self.deadlines = setup, Deadlines()
        self._workers: list[asyncio.subprocess.Process] = []
        self._reports: dict[int, Report] = {}  # the last of each worker
        self._gone = self._sending = False

    @property
    def gone(self) -> bool:
        """Whether the workers no longer reach the server."""
        return self._gone

    @property
    def counts(self) -> Counter[str]:
        """What all workers did in the current step: in_flight, done, failed, tokens."""
        return sum((Counter(one.counts) for one in self._reports.values()), Counter[str]())

    @property
    def recent_ms(self) -> list[float]:
        """The latencies of requests that succeeded in the last few seconds."""
        return [latency_ms for one in self._reports.values() for latency_ms in one.recent_ms]

    async def start(self, count: int, folder: Path, worker: str) -> None:
        """Start so many workers, and wait until they can send; their rows go into `folder`."""
        for number in range(count):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __spec__.name),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
            )
            self._workers.append(process)
            own = {"folder": str(folder), "worker": f"{worker}-{number}", "number": number}
            await _write(process, msgspec.structs.replace(self._setup, **own))
        await asyncio.gather(*map(_read, self._workers))

    async def send(self, step: Step, wanted: RequestRange, start_ns: int) -> Health:
        """Send a step's load, each worker its share; return the health of the worst of them."""
        shares = shares_of(step, wanted, len(self._workers))
        return await self.send_shares(Task(step, wanted, start_ns, self.deadlines), shares)

    async def send_shares(self, task: Task, shares: Sequence[RequestRange]) -> Health:
        """Send these shares of a step's load, one by each worker; return the worst health."""
        self._reports, self._sending = {}, True
        tasks = [msgspec.structs.replace(task, wanted=mine) for mine in shares]
        found = await asyncio.gather(*itertools.starmap(self._share, enumerate(tasks)))
        self._sending = False
        return worst(found)

    async def leave(self) -> None:
        """Let the load end, and wait for what is in flight."""
        for process in self._workers:
            await _write(process, Task())
            await _read(process)

    async def close(self) -> None:
        """End the workers, also in the middle of a step: their rows are already written."""
        for process in self._workers:
            if self._sending and process.returncode is None:
                process.terminate()
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()

    async def _share(self, number: int, task: Task) -> Health:
        process = self._workers[number]
        await _write(process, task)
        while True:
            report = self._reports[number] = await _read(process)
            if report.health is not None:
                self._gone |= report.gone
                return report.health


def shares_of(step: Step, wanted: RequestRange, count: int) -> list[RequestRange]:
    """Return the shares of a step for at most `count` processes: together they are the step.

    A process without a client would have nothing to send.
    """
    if step.unit == CLIENTS:
        count = min(count, int(step.level))
    return [wanted._replace(worker=number, workers=count) for number in range(count)]


def worst(found: Sequence[Health]) -> Health:
    """Return the health of several processes as that of the worst of them."""
    lags = [lag for health in found for lag in health.loop_lag_ms]
    longest = max(health.wall_s for health in found)
    return Health(max(health.cpu_s for health in found), longest, lags)


async def _write(process: asyncio.subprocess.Process, message: Setup | Task) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.write(msgspec.json.encode(message) + b"\n")
    await process.stdin.drain()


async def _read(process: asyncio.subprocess.Process) -> Report:
    """Return a worker's next report; raises WorkerEndedError, or LlamaBurnError for its error."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    line = await process.stdout.readline()
    if not line:
        raise WorkerEndedError(f"a sending process ended with {await process.wait()}")
    report = msgspec.json.decode(line, type=Report)
    if report.error is not None:
        raise LlamaBurnError(report.error)
    return report


class _Worker:
    """One worker, in its own process."""

    def __init__(self, setup: Setup) -> None:
        self._leader = os.getppid()
        backends = [connected(connection, setup.settings) for connection in setup.connections]
        self._servers = Servers(backends, setup.settings["balance"], setup.number)
        self._folder = Path(setup.folder)
        self._rows = Rows(self._folder, setup.worker)
        self._sender = Sender(self._servers, setup.model, setup.prompts, self._rows)

    async def take(self, task: Task) -> None:
        """Send this worker's share of a step, reporting meanwhile, or let the load end."""
        if task.step is None:
            await self._sender.leave()
            _report(Report())
            return
        self._servers.deadlines = task.deadlines
        reporting = asyncio.create_task(self._keep_reporting())
        try:
            health = await self._sender.send(task.step, task.wanted, task.start_ns)
        finally:
            reporting.cancel()
        self._rows.settle(self._folder)
        _report(self._now(health))

    async def _keep_reporting(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_EVERY_S)
            if os.getppid() != self._leader:  # it is gone; our rows are with the kernel
                os.kill(os.getpid(), signal.SIGTERM)
            self._rows.settle(self._folder)
            _report(self._now())

    def _now(self, health: Health | None = None) -> Report:
        sender = self._sender
        return Report(sender.counts, sender.recent_ms, sender.gone, health)


def connected(connection: dict[str, str], settings: dict[str, Any]) -> Backend:
    """Return a backend for a server that another process is connected to."""
    own = {**settings, "host": connection.get("host")}  # the setting may name several servers
    asked: Any = SimpleNamespace(**own)  # the process that leads us checked them
    backend: Backend = registry.load("backends", connection["backend"]).Backend(asked)
    backend.connect_to(connection)
    return backend


def _report(report: Report) -> None:
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    sys.stdout.flush()


async def _work() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    # A schedule needs numpy: its import, or ours, would make the first requests late.
    import numpy as np  # noqa: F401

    worker = _Worker(msgspec.json.decode(await reader.readline(), type=Setup))
    _report(Report())
    decode = msgspec.json.Decoder(Task).decode
    while line := await reader.readline():
        try:
            await worker.take(decode(line))
        except LlamaBurnError as err:
            _report(Report(error=str(err)))


def main() -> None:
    """Work until standard input closes; the leading process handles a terminal's signals."""
    for name in ("SIGINT", "SIGHUP", "SIGQUIT"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_work())


if __name__ == "__main__":
    main()
