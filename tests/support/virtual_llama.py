"""A server that works as llama.cpp does, on a clock of its own: its slots and rates are known.

It is written token by token, on the event loop of `virtual_time.py`, and the real sender loads it.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.load import driver, rows, sender
from pytest_llamaburn.load.rows import Rows
from pytest_llamaburn.load.sender import RequestRange, Sender
from pytest_llamaburn.load.servers import Servers
from pytest_llamaburn.load.step import CLIENTS, Step
from pytest_llamaburn.trace import Delta, Failed, Finished, Headers, Sent, Usage, fold
from support import virtual_time
from support.fake_backend import PROMPTS, FakeBackend

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.load.rows import Row
    from pytest_llamaburn.trace import Trace

_PROMPTS = 12


@dataclass
class Llama:
    """The rules of a server; `write_ms` is the time of a step by batch, the last one for more.

    If it is `shared`, a step reads the waiting prompts or writes a token of each answer; else each
    slot works by itself. `queue` is the number of requests that may wait, `cached` the share of a
    prompt that it has in its cache, `noise` the coefficient of variation of each step.
    """

    slots: int = 4
    fixed_ms: float = 8.0
    read_ms: float = 0.4
    write_ms: tuple[float, ...] = (10.0, 12.0, 14.0, 17.0)
    prompt: tuple[float, float] = (60.0, 400.0)
    tokens: tuple[float, float] = (8.0, 60.0)
    shared: bool = True
    noise: float = 0.05
    queue: int | None = None
    cached: float = 0.0

    def step_ms(self, batch: int) -> float:
        """Return the time of a step that writes a token of each of so many answers."""
        return self.write_ms[min(batch, len(self.write_ms)) - 1] if batch else 0.0


class _Item(NamedTuple):
    prompt: int
    cached: int
    tokens: int
    stamps: list[int]
    done: asyncio.Event


class LlamaBackend(FakeBackend):
    """The backend of such a server, for a sender in virtual time."""

    def __init__(self, rules: Llama, seed: int, **asked: Any) -> None:
        super().__init__(**asked)
        self._rules, self._luck = rules, random.Random(seed)  # noqa: S311 - not a secret
        self._waiting, self._active = deque[_Item](), list[_Item]()
        self._asked = 0
        self._work: set[asyncio.Task[None]] = set()
        self._wake, self._busy = asyncio.Event(), 0

    async def stream(self, wire: Any, payload: bytes) -> Trace:
        sent = _now()
        if self._rules.queue is not None and len(self._waiting) >= self._rules.queue:
            await asyncio.sleep(0.001)
            full = Failed(_now(), "queue_full", "response", 503, "full")
            return fold([Sent(sent), Headers(_now(), 503), full])
        item = self._item()
        self._waiting.append(item)
        self._wake.set()
        if not self._work:
            workers = 1 if self._rules.shared else self._rules.slots
            work = self._steps if self._rules.shared else self._slot
            self._work = {asyncio.create_task(work()) for _ in range(workers)}
        await item.done.wait()
        deltas = [Delta(stamp, "content", " token") for stamp in item.stamps]
        usage = Usage(item.prompt, item.cached, item.tokens)
        first, last = item.stamps[0], item.stamps[-1]
        return fold([Sent(sent), Headers(first, 200), *deltas, usage, Finished(last, "stop")])

    def stop(self) -> None:
        """Stop to work."""
        for task in self._work:
            task.cancel()

    def _item(self) -> _Item:
        """Return the next request, of one prompt after another; answers vary by a tenth."""
        asked = self._asked = self._asked + 1
        sizes = random.Random(asked % _PROMPTS)  # noqa: S311 - not a secret
        prompt, tokens = (
            math.exp(sizes.uniform(math.log(low), math.log(high)))
            for low, high in (self._rules.prompt, self._rules.tokens)
        )
        tokens *= self._luck.uniform(0.9, 1.1)
        cached = int(self._rules.cached * prompt)
        return _Item(round(prompt), cached, round(tokens), [], asyncio.Event())

    async def _steps(self) -> None:
        """Read and write step by step, as continuous batching does."""
        while True:
            read = list[_Item]()
            while self._waiting and len(self._active) + len(read) < self._rules.slots:
                read.append(self._waiting.popleft())
            if not read and not self._active:
                await self._sleeping()
                continue
            ms = self._rules.step_ms(len(self._active))
            if read:
                tokens = sum(item.prompt - item.cached for item in read)
                ms += self._rules.fixed_ms + self._rules.read_ms * tokens
            await self._pass(ms)
            self._active += read
            for item in self._active:
                item.stamps.append(_now())
            self._leave()

    async def _slot(self) -> None:
        """Serve one request after another, whatever the other slots do."""
        while True:
            while not self._waiting:
                await self._sleeping()
            item = self._waiting.popleft()
            read = self._rules.read_ms * (item.prompt - item.cached)
            await self._pass(self._rules.fixed_ms + read)
            self._active.append(item)
            item.stamps.append(_now())
            while len(item.stamps) < item.tokens:
                await self._pass(self._rules.step_ms(len(self._active)))
                item.stamps.append(_now())
            self._leave()

    def _leave(self) -> None:
        for item in self._active:
            if len(item.stamps) >= item.tokens:
                item.done.set()
        self._active = [item for item in self._active if not item.done.is_set()]

    async def _sleeping(self) -> None:
        self._wake.clear()
        await self._wake.wait()

    async def _pass(self, ms: float) -> None:
        spread = math.sqrt(math.log1p(self._rules.noise**2))
        await asyncio.sleep(ms / 1e3 * math.exp(self._luck.gauss(-(spread**2) / 2, spread)))


def _now() -> int:
    return cast("virtual_time.VirtualLoop", asyncio.get_running_loop()).perf_counter_ns()


def loaded(
    folder: Path, rules: Llama, steps: Sequence[Step], seed: int = 0, **asked: Any
) -> list[list[Row]]:
    """Return the rows of each step that the real sender sends to such a server."""

    async def work() -> None:
        backend = LlamaBackend(rules, seed, **asked)
        own = Rows(folder, "main")
        one = Sender(Servers([cast("Backend", backend)]), Model("m", "m"), PROMPTS, own)
        for number, step in enumerate(steps):
            start = _now() + 10**9
            await one.send(step, RequestRange(number), start)
        await one.close()
        backend.stop()
        await asyncio.sleep(0)
        own.close()

    with pytest.MonkeyPatch.context() as patch:
        virtual_time.run(work(), patch, driver, sender)
    found: list[list[Row]] = [[] for _ in steps]
    for row in rows.read(folder):
        row.gaps_ms = [*row.gaps_ms]  # so that it can be written again
        found[row.step].append(row)
    return found


def swept(folder: Path, rules: Llama, seed: int = 0, *levels: int) -> list[list[Row]]:
    """Return the rows of a short sweep, without pauses."""
    steps = [Step(n, CLIENTS, max(24, 8 * n), pauses=False) for n in levels or (1, 2, 4, 8)]
    return loaded(folder, rules, steps, seed)


def other(rules: Llama, **fields: Any) -> Llama:
    """Return a server that differs in some rules."""
    return replace(rules, **fields)
