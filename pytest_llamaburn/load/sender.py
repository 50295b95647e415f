"""Sends the load of a step from this process, and measures whether the process keeps up."""

from __future__ import annotations

import asyncio
import itertools
import random
from array import array
from collections import Counter, deque
from time import perf_counter, perf_counter_ns, process_time
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.load import arrivals
from pytest_llamaburn.load.driver import closed_loop, open_loop, until
from pytest_llamaburn.load.prompts import conversation
from pytest_llamaburn.load.rows import row_of
from pytest_llamaburn.load.status import RECENT_S
from pytest_llamaburn.load.step import CLIENTS, Step
from pytest_llamaburn.load.think import pause_s, think_seconds
from pytest_llamaburn.trace import answered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pytest_llamaburn.backends._base import Model
    from pytest_llamaburn.backends._http import Deadlines, Payload
    from pytest_llamaburn.datasets import Prompt
    from pytest_llamaburn.load.rows import Rows
    from pytest_llamaburn.load.servers import Line, Servers
    from pytest_llamaburn.load.step import Burst
    from pytest_llamaburn.trace import Trace

_LAG_EVERY_S = 0.02
_MOST_RECENT = 500  # latencies that are kept: enough for a p95
_SPARE_FAILURES = 4  # failures per client that a held-open step may see beyond its requests
_BURST_LEAD_NS = 100_000_000  # the schedule of a burst is made this long before it begins
_BURST_SEED = 7919  # gives bursts other gaps than the load below them


class RequestRange(NamedTuple):
    """Which requests of a run a process sends.

    `step` is the step that the visit to their level began with, `attempt` counts the run's
    resumptions, `first` is the number of the first request of the visit that is wanted now. The
    process sends every `workers`-th of them, from number `worker` on.
    """

    step: int
    attempt: int = 0
    first: int = 0
    worker: int = 0
    workers: int = 1

    def numbers(self, count: int) -> range:
        """Return the numbers, of the next `count` requests, that this process sends."""
        begin = self.first + (self.worker - self.first) % self.workers
        return range(begin, self.first + count, self.workers)


class PendingRequest(NamedTuple):
    """A request whose bytes are ready to send, to each server."""

    number: int
    prompt_id: str
    due_ns: int
    payloads: Sequence[Payload]


class Answer(NamedTuple):
    """The answer to a request, and the place of the server that gave it."""

    server: int
    trace: Trace


class Health(NamedTuple):
    """How a process kept up during a step: its processor time and the lags of its event loop."""

    cpu_s: float
    wall_s: float
    loop_lag_ms: list[float]


class _Visit:
    """A load that goes on until it is left: which of its requests are wanted, which have ended."""

    def __init__(self, wanted: RequestRange) -> None:
        self.wanted = wanted
        self.task: asyncio.Task[None] | None = None
        self.hold_open = False
        self.next = wanted.worker  # the number of the next request to send
        self.end: int | None = None  # requests below this number are wanted; None: it ends by time
        self.spare_failures = 0  # failures it may still see beyond that number
        self.over = False  # its clients are leaving, or have left
        self.done: set[int] = set()
        self.missing: set[int] = set()
        self.complete = asyncio.Event()

    def take(self) -> int:
        """Return the number of the next request."""
        number, self.next = self.next, self.next + self.wanted.workers
        return number

    @property
    def goes_on(self) -> bool:
        """Whether its clients send more requests.

        If the visit is held open they do until it is left, however long planning the next step
        takes. They stop early if the server fails requests beyond the wanted ones: it might refuse
        them without end.
        """
        if self.end is None or self.next < self.end:
            return True
        return self.hold_open and self.spare_failures > 0

    def want(self, numbers: range, spare_failures: int) -> None:
        """Want these requests; `complete` is set when all have ended."""
        self.end, self.spare_failures = numbers.stop, spare_failures
        self.missing = {*numbers} - self.done
        self.complete.clear()
        self._check()

    def note(self, number: int, *, failed: bool) -> None:
        """Record that a request has ended."""
        if self.hold_open:  # no later step asks for others; over hours they would fill the memory
            self.done.add(number)
        if failed and self.end is not None and number >= self.end:
            self.spare_failures -= 1
        self.missing.discard(number)
        self._check()

    def _check(self) -> None:
        if not self.missing:
            self.complete.set()


class Sender:
    """Sends a run's prompts to a model, on one or more servers, from one process."""

    lead_ns = 20_000_000  # a step starts so much later, so that every sender is ready

    def __init__(
        self, servers: Servers, model: Model, prompts: Sequence[Prompt], rows: Rows
    ) -> None:
        """Take the servers, the model, the prompts, and where finished requests are written."""
        self._servers, self._model, self._rows = servers, model, rows
        self._settings: Any = servers.settings
        self._prompts = itertools.cycle(prompts)
        self._visit: _Visit | None = None
        self.counts = Counter[str]()  # of the current step: in_flight, done, failed, tokens
        self._ended: deque[tuple[int, float]] = deque(maxlen=_MOST_RECENT)

    @property
    def deadlines(self) -> Deadlines:
        """The time limits of the requests."""
        return self._servers.deadlines

    @deadlines.setter
    def deadlines(self, limits: Deadlines) -> None:
        self._servers.deadlines = limits

    @property
    def gone(self) -> bool:
        """Whether so many requests in a row found no server that all must be gone."""
        return self._servers.gone

    @property
    def recent_ms(self) -> list[float]:
        """The latencies of requests that succeeded in the last few seconds."""
        since_ns = perf_counter_ns() - RECENT_S * 1e9
        return [latency_ms for end_ns, latency_ms in self._ended if end_ns >= since_ns]

    async def send(self, step: Step, wanted: RequestRange, start_ns: int) -> Health:
        """Send a step's load from `start_ns` on, until all its requests have ended.

        A step that is held open leaves its clients at work until `leave`, or for the next step.
        """
        lags = array("d")
        watch = asyncio.create_task(_watch(lags))
        cpu, wall = process_time(), perf_counter()
        try:
            visit = self._visit
            if wanted.first == 0 or visit is None:
                await self.leave()
                visit = self._visit = await self._arrive(wanted, start_ns)
            await self._ask(visit, step, wanted, start_ns)
            await self._await_wanted(visit)
        finally:
            watch.cancel()
        return Health(process_time() - cpu, perf_counter() - wall, lags.tolist())

    async def leave(self) -> None:
        """Let the load end, and wait for what is in flight."""
        visit, self._visit = self._visit, None
        if visit is not None and visit.task is not None:
            visit.hold_open, visit.end = False, 0
            await visit.task

    async def close(self) -> None:
        """Drop what is in flight; the rows file stays open, so that it can still be moved."""
        if self._visit is not None and self._visit.task is not None:
            self._visit.task.cancel()
            await asyncio.wait({self._visit.task})

    async def _arrive(self, wanted: RequestRange, start_ns: int) -> _Visit:
        seed = f"{self._settings.seed}/{wanted}"
        self._pauses = random.Random(f"{seed}/pauses")  # noqa: S311 - not a secret
        # The run is part of the seed: the server may still cache the prompts of the last run.
        fresh = random.Random(f"{seed}/{self._rows.folder.name}")  # noqa: S311
        self._fresh = fresh if self._settings.cache == "bust" else None
        self.counts.clear()
        self._ended.clear()
        await until(start_ns)
        return _Visit(wanted)

    async def _ask(self, visit: _Visit, step: Step, wanted: RequestRange, start_ns: int) -> None:
        """Have a visit send a step's requests with all its clients."""
        if visit.over and visit.task is not None:
            await visit.task  # clients that have left return together with the others
        visit.hold_open = step.hold_open
        if step.requests is not None:
            numbers = wanted.numbers(step.requests)
            visit.want(numbers, _SPARE_FAILURES * int(step.level))
        if visit.task is None or visit.task.done():
            visit.over = False
            visit.task = asyncio.create_task(self._loops(step, visit, start_ns))

    async def _await_wanted(self, visit: _Visit) -> None:
        """Wait for the wanted requests of a visit that is held open, else for all of them."""
        assert visit.task is not None  # noqa: S101 - `_ask` began it
        if visit.hold_open:
            complete = asyncio.create_task(visit.complete.wait())
            try:
                await asyncio.wait({complete, visit.task}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                complete.cancel()
            if not visit.task.done() or (visit.complete.is_set() and not visit.task.exception()):
                return
        self._visit = None
        await visit.task

    async def _loops(self, step: Step, visit: _Visit, start_ns: int) -> None:
        """Send a step's own load and its bursts."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._loop(step, visit, start_ns))
                for burst in step.bursts:
                    group.create_task(self._burst(burst, visit, start_ns))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several

    async def _loop(self, step: Step, visit: _Visit, start_ns: int, *, burst: bool = False) -> None:
        note = self._noting(visit, burst=burst)
        if step.unit == CLIENTS:
            wanted = visit.wanted
            clients = len(range(wanted.worker, int(step.level), wanted.workers))
            requests = self._requests(step, visit, start_ns)
            pause = self._pause if self._settings.think_time and step.pauses else None
            await closed_loop(requests, clients, self._servers.line, self._send, note, pause)
        else:
            arriving = self._arrivals(step, visit, start_ns, burst=burst)
            await open_loop(arriving, self._servers.line, self._send, note)

    async def _burst(self, burst: Burst, visit: _Visit, start_ns: int) -> None:
        begin_ns = burst.begin_ns(start_ns)
        await until(begin_ns - (0 if burst.unit == CLIENTS else _BURST_LEAD_NS))
        step = Step(burst.level, burst.unit, seconds=burst.seconds)
        await self._loop(step, visit, begin_ns, burst=True)

    def _requests(self, step: Step, visit: _Visit, start_ns: int) -> Iterator[PendingRequest]:
        """Yield a closed loop's requests as its clients ask for them."""
        end_ns = start_ns + int(step.seconds * 1e9) if step.seconds is not None else None
        while not self.gone and visit.goes_on:
            now = perf_counter_ns()
            if end_ns is not None and now >= end_ns:
                break
            yield self._pending(visit.take(), now)
        visit.over = True

    def _arrivals(
        self, step: Step, visit: _Visit, start_ns: int, *, burst: bool
    ) -> Iterator[tuple[int, PendingRequest]]:
        """Yield an open loop's requests, each with the time at which it is due."""
        for offset in due_times(self._settings, step, visit.wanted, burst=burst):
            if self.gone:
                return
            due_ns = start_ns + int(offset * 1e9)
            yield due_ns, self._pending(visit.take(), due_ns)

    def _pending(self, number: int, due_ns: int) -> PendingRequest:
        prompt = next(self._prompts)
        messages = conversation(prompt.text, self._fresh)
        payloads = self._servers.payloads(self._model, messages)
        return PendingRequest(number, prompt.id, due_ns, payloads)

    async def _send(self, line: Line, request: PendingRequest) -> Answer:
        place = line.choose()
        backend = self._servers.backends[place]
        self.counts["in_flight"] += 1
        try:
            trace = await backend.stream(line.wire(place), request.payloads[place])
            return Answer(place, answered(trace))
        finally:
            line.done()
            self.counts["in_flight"] -= 1

    def _noting(self, visit: _Visit, *, burst: bool) -> Callable[[PendingRequest, Answer], None]:
        def note(request: PendingRequest, answer: Answer) -> None:
            server, trace = answer
            self._servers.note(server, trace.failure.kind if trace.failure else None)
            where = (visit.wanted.step, visit.wanted.attempt, request.number)
            about = (where, request.prompt_id, request.due_ns, trace)
            self._rows.write(row_of(*about, burst=burst, server=server))
            self.counts["failed" if trace.failure else "done"] += 1
            if trace.failure is None:
                self._ended.append((trace.end_ns, round((trace.end_ns - trace.sent_ns) / 1e6, 2)))
            self.counts["tokens"] += int(trace.usage.completion or 0)
            visit.note(request.number, failed=trace.failure is not None)

        return note

    async def _pause(self, first: bool) -> None:
        """Pause between two requests."""
        bounds = think_seconds(self._settings.think_time)
        await asyncio.sleep(pause_s(bounds, self._pauses.uniform, first=first))


def due_times(
    settings: Any, step: Step, wanted: RequestRange, *, burst: bool = False
) -> NDArray[np.float64]:
    """Return when a process sends its share of a schedule, in seconds after the step's start."""
    seed = settings.seed + wanted.step + (_BURST_SEED if burst else 0)
    limit: dict[str, Any] = {"seconds": step.seconds, "count": step.requests}
    times = arrivals.schedule(settings.arrival or "poisson", step.level, **limit, seed=seed)
    return arrivals.share(times, wanted.worker, wanted.workers)


async def _watch(lags: array[float]) -> None:
    """Record how late each short sleep ended, in ms."""
    while True:
        began = perf_counter()
        await asyncio.sleep(_LAG_EVERY_S)
        lags.append((perf_counter() - began - _LAG_EVERY_S) * 1e3)
