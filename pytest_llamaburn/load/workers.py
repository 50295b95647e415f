"""Several processes that send one load together, for loads that one process cannot send truly.

Each worker takes its share of the clients, or every k-th request of the one schedule, and writes
its own rows; nothing but those raw rows is ever merged. A worker is started by
`python -m pytest_llamaburn.load.workers`. It reads its tasks as lines of JSON and ends when its
standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import registry
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.backends._http import Deadlines
from pytest_llamaburn.datasets import Prompt
from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.load.loop import loop_factory
from pytest_llamaburn.load.rows import Rows
from pytest_llamaburn.load.sender import Health, Place, Sender
from pytest_llamaburn.load.step import CLIENTS, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.backends._base import Backend

_TELL_S = 0.5
_LONGEST_LINE = 1 << 26  # bytes: a minute of a loop's lags alone is more than asyncio takes


class Crew:
    """The workers, seen from the process that leads them; sends as a Sender does."""

    def __init__(self, backend: Backend, model: Model, prompts: Sequence[Prompt]) -> None:
        """Take what to send to; the workers start in `start`."""
        self._backend, self._model, self._prompts = backend, model, prompts
        self._workers: list[asyncio.subprocess.Process] = []
        self._told: dict[int, Counter[str]] = {}
        self._recent: dict[int, list[float]] = {}
        self._gone = self._sending = False

    @property
    def gone(self) -> bool:
        """Whether the workers found no server any more."""
        return self._gone

    @property
    def counts(self) -> Counter[str]:
        """What all workers did in the current step: in_flight, done, failed, tokens."""
        return sum(self._told.values(), Counter[str]())

    @property
    def recent_ms(self) -> list[float]:
        """The latencies of requests that succeeded in the last few seconds."""
        return [latency_ms for told in self._recent.values() for latency_ms in told]

    async def start(self, count: int, folder: Path, worker: str) -> None:
        """Start so many workers; their rows go into `folder`."""
        told = {
            **self._backend.connection_info(),
            "settings": self._backend.settings.model_dump(mode="json"),  # type: ignore[attr-defined]
            "model": asdict(self._model),
            "prompts": self._prompts,
            "folder": str(folder),
        }
        for number in range(count):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __spec__.name),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
            )
            self._workers.append(process)
            await _tell(process, {**told, "worker": f"{worker}-{number}"})

    async def send(self, step: Step, place: Place, start_ns: int) -> Health:
        """Send a step's load, each worker its share; return the health of the worst of them."""
        self._told, self._recent, self._sending = {}, {}, True
        count = len(self._workers)
        if step.unit == CLIENTS:
            count = min(count, int(step.level))  # a worker without a client has nothing to send
        shared = [place._replace(worker=n, workers=count) for n in range(count)]
        found = await asyncio.gather(*(self._share(step, mine, start_ns) for mine in shared))
        self._sending = False
        lags = [lag for health in found for lag in health.loop_lag_ms]
        longest = max(health.wall_s for health in found)
        return Health(max(health.cpu_s for health in found), longest, lags)

    async def leave(self) -> None:
        """Let the load end, and wait for what is in flight."""
        for process in self._workers:
            await _tell(process, {"leave": True})
            await _answer(process)

    async def close(self) -> None:
        """Have the workers leave, in the middle of a step if need be: rows are on disk at once."""
        for process in self._workers:
            if self._sending and process.returncode is None:
                process.terminate()
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()

    async def _share(self, step: Step, place: Place, start_ns: int) -> Health:
        process, limits = self._workers[place.worker], self._backend.deadlines
        await _tell(process, {"step": step, "place": place, "start": start_ns, "limits": limits})
        said: dict[str, Any] = {}
        while "health" not in said:
            said = await _answer(process)
            self._told[place.worker] = Counter(said["counts"])
            self._recent[place.worker] = said["recent_ms"]
        self._gone |= said["gone"]
        return Health(*said["health"])


async def _tell(process: asyncio.subprocess.Process, words: dict[str, Any]) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.write(json.dumps(words).encode() + b"\n")
    await process.stdin.drain()


async def _answer(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Return what a worker says next; raises LlamaBurnError for its errors and its end."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    line = await process.stdout.readline()
    if not line:
        raise LlamaBurnError(f"a sending process ended with {await process.wait()}")
    said: dict[str, Any] = json.loads(line)
    if "error" in said:
        raise LlamaBurnError(said["error"])
    return said


class _Worker:
    """One worker, in its own process."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._leader = os.getppid()
        asked: Any = SimpleNamespace(**told["settings"])  # the process that leads us checked them
        self._backend: Backend = registry.load("backends", told["backend"]).Backend(asked)
        self._backend.connect_to(told)
        prompts = [Prompt(*prompt) for prompt in told["prompts"]]
        self._folder = Path(told["folder"])
        self._rows = Rows(self._folder, told["worker"])
        self._sender = Sender(self._backend, Model(**told["model"]), prompts, self._rows)

    async def take(self, told: dict[str, Any]) -> None:
        """Send this worker's share of a step, telling how it goes, or let the load end."""
        if "leave" in told:
            await self._sender.leave()
            _say(left=True)
            return
        self._backend.deadlines = Deadlines(*told["limits"])
        step = Step.restored(told["step"])
        telling = asyncio.create_task(self._tell())
        try:
            health = await self._sender.send(step, Place(*told["place"]), told["start"])
        finally:
            telling.cancel()
        self._rows.settle(self._folder)
        self._say(health=_plain(health), gone=self._sender.gone)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_TELL_S)
            if os.getppid() != self._leader:
                os.kill(
                    os.getpid(), signal.SIGTERM
                )  # who leads us is gone; what we wrote is with the kernel
            self._rows.settle(self._folder)
            self._say()

    def _say(self, **words: Any) -> None:
        _say(counts=self._sender.counts, recent_ms=self._sender.recent_ms, **words)


def _say(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def _plain(health: Health) -> list[Any]:
    return [*health[:2], list(health.loop_lag_ms)]


async def _work() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    worker = _Worker(json.loads(await reader.readline()))
    while line := await reader.readline():
        try:
            await worker.take(json.loads(line))
        except LlamaBurnError as err:
            _say(error=str(err))


def main() -> None:
    """Work until standard input closes; a terminal's signals are for the process that leads us."""
    for name in ("SIGINT", "SIGHUP", "SIGQUIT"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_work())


if __name__ == "__main__":
    main()
