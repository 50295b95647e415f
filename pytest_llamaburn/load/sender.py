"""Sends the load of one step from this process, and watches whether it keeps up."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from time import perf_counter, perf_counter_ns, process_time
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.load import arrivals
from pytest_llamaburn.load.driver import closed_loop, open_loop, until
from pytest_llamaburn.load.rows import row_of
from pytest_llamaburn.load.run import conversation
from pytest_llamaburn.load.step import CLIENTS, Step
from pytest_llamaburn.load.windows import think_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_llamaburn.backends._base import Backend, Model
    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.datasets import Prompt
    from pytest_llamaburn.load.rows import Rows
    from pytest_llamaburn.load.step import Burst
    from pytest_llamaburn.trace import Trace

_LAG_EVERY_S = 0.02
_NO_SERVER = ("connect_refused", "server_crash", "dns")
_DEAD_IN_A_ROW = 20
_BURST_LEAD_NS = 100_000_000  # before a burst its schedule is made
_BURST_SEED = 7919  # bursts draw other gaps than the load they come upon


class Place(NamedTuple):
    """Which step of a run this is, which try at it, and which of how many processes sends it."""

    step: int
    attempt: int = 0
    worker: int = 0
    workers: int = 1


class Turn(NamedTuple):
    """One request, its bytes ready."""

    number: int
    prompt_id: str
    due_ns: int
    payload: bytes


class Health(NamedTuple):
    """How a process kept up during a step: the processor time it took, and its loop's lag."""

    cpu_s: float
    wall_s: float
    loop_lag_ms: list[float]


class Sender:
    """One process's way of sending a run's prompts to a model."""

    def __init__(
        self, backend: Backend, model: Model, prompts: Sequence[Prompt], rows: Rows
    ) -> None:
        """Take what to send to whom, and where finished requests are written."""
        self._backend, self._model, self._rows = backend, model, rows
        self._settings: Any = backend.settings
        self._prompts = itertools.cycle(prompts)
        self._fresh: random.Random | None = None
        self._numbers = itertools.count()
        self._dead = 0
        self.counts = Counter[str]()  # of the current step: in_flight, done, failed, tokens

    @property
    def gone(self) -> bool:
        """Whether so many requests in a row found no server that there is none."""
        return self._dead >= _DEAD_IN_A_ROW

    async def send(self, step: Step, place: Place, start_ns: int) -> Health:
        """Send a step's load from `start_ns` on, until all of it has ended."""
        settings, seed = self._settings, f"{self._settings.seed}/{place}"
        self._fresh = random.Random(seed) if settings.cache == "bust" else None  # noqa: S311
        self._numbers = itertools.count(place.worker, place.workers)
        self.counts.clear()
        self._pauses = random.Random(f"{seed}/pauses")  # noqa: S311 - reproducible, no secret
        await until(start_ns)
        lags: list[float] = []
        watch = asyncio.create_task(_watch(lags))
        cpu, wall = process_time(), perf_counter()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._loop(step, place, start_ns))
                for burst in step.bursts:
                    group.create_task(self._burst(burst, place, start_ns))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several
        finally:
            watch.cancel()
        return Health(process_time() - cpu, perf_counter() - wall, lags)

    async def close(self) -> None:
        """Close the rows."""
        self._rows.close()

    async def _loop(self, step: Step, place: Place, start_ns: int, *, burst: bool = False) -> None:
        if step.unit == CLIENTS:
            place = place._replace(workers=min(place.workers, int(step.level)))
            clients = _share(int(step.level), place)
            turns = self._turns(step, place, start_ns)
            pause = self._pause if self._settings.think_time else None
            tell = self._teller(place, burst=burst)
            await closed_loop(turns, clients, self._backend.wire, self._send, tell, pause)
            return
        seed = self._settings.seed + (_BURST_SEED if burst else 0)
        pattern = self._settings.arrival or "poisson"
        limit: dict[str, Any] = {"seconds": step.seconds, "count": step.requests}
        times = arrivals.schedule(pattern, step.level, **limit, seed=seed + place.step)
        mine = arrivals.share(times, place.worker, place.workers)
        due = (start_ns + int(offset * 1e9) for offset in mine)
        arriving = (
            (at, self._turn(at)) for at in itertools.takewhile(lambda _: not self.gone, due)
        )
        await open_loop(arriving, self._backend.wire, self._send, self._teller(place, burst=burst))

    async def _burst(self, burst: Burst, place: Place, start_ns: int) -> None:
        begin_ns = start_ns + int(burst.start_s * 1e9)
        await until(begin_ns - _BURST_LEAD_NS)
        step = Step(burst.level, burst.unit, seconds=burst.seconds)
        await self._loop(step, place, begin_ns, burst=True)

    def _turns(self, step: Step, place: Place, start_ns: int) -> Iterator[Turn]:
        """Yield a closed loop's requests as its clients ask for them."""
        limit = None if step.requests is None else _share(step.requests, place)
        end_ns = start_ns + int(step.seconds * 1e9) if limit is None and step.seconds else None
        for _ in itertools.repeat(None) if limit is None else range(limit):
            now = perf_counter_ns()
            if self.gone or (end_ns is not None and now >= end_ns):
                return
            yield self._turn(now)

    def _turn(self, due_ns: int) -> Turn:
        prompt = next(self._prompts)
        messages = conversation(prompt.text, self._fresh)
        payload = self._backend.payload(self._model, messages)
        return Turn(next(self._numbers), prompt.id, due_ns, payload)

    async def _send(self, wire: Wire, turn: Turn) -> Trace:
        self.counts["in_flight"] += 1
        try:
            return await self._backend.stream(wire, turn.payload)
        finally:
            self.counts["in_flight"] -= 1

    def _teller(self, place: Place, *, burst: bool) -> Callable[[Turn, Trace], None]:
        def tell(turn: Turn, trace: Trace) -> None:
            dead = trace.failure is not None and trace.failure.kind in _NO_SERVER
            self._dead = self._dead + 1 if dead else 0
            where = (place.step, place.attempt, turn.number)
            self._rows.write(row_of(where, turn.prompt_id, turn.due_ns, trace, burst=burst))
            self.counts["failed" if trace.failure else "done"] += 1
            self.counts["tokens"] += trace.usage.completion or 0

        return tell

    async def _pause(self) -> None:
        shortest, longest = think_seconds(self._settings.think_time)
        await asyncio.sleep(self._pauses.uniform(shortest, longest))


def _share(count: int, place: Place) -> int:
    """Return one process's part of a count."""
    return len(range(place.worker, count, place.workers))


async def _watch(lags: list[float]) -> None:
    """Note by how much each short sleep came back late, in ms."""
    while True:
        began = perf_counter()
        await asyncio.sleep(_LAG_EVERY_S)
        lags.append((perf_counter() - began - _LAG_EVERY_S) * 1e3)
