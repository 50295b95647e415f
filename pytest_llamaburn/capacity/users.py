"""Users of a server that pause between their requests, simulated on a model of the server.

Requests wait for a slot in the order of arrival. If reading and writing share the processor, the
server works step by step: a step reads all prompts that got a slot, or writes a token of each
answer. Otherwise each slot works by itself. A request that exceeds its deadline is dropped and
frees its slot. The lengths come in the measured order, because a load sends its prompts in turn.
The spread of the times is drawn from the measured one.
"""

from __future__ import annotations

import math
import random
from heapq import heapify, heappop, heappush
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_llamaburn.load.think import pause_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pytest_llamaburn.capacity.service import Service

    Floats = NDArray[np.float64]

REPEATS = 100
_LEAST_MS = 1e-3  # of a step
QUANTILES = {"p50": 0.5, "p95": 0.95}
_DRAWS = 997  # spreads of a simulation, repeated if it needs more


class Users(NamedTuple):
    """So many users, with the shortest and longest pause of each in seconds.

    They send until `requests` were sent, or for `seconds`. The first `skipped` requests do not
    count. `deadline_ms` limits the whole of a request.
    """

    number: int
    think_s: tuple[float, float] = (0.0, 0.0)
    requests: int | None = None
    seconds: float | None = None
    deadline_ms: float = math.inf
    skipped: int = 0


class Simulated(NamedTuple):
    """What the users of one simulation see, an entry per request; NaN for what did not come."""

    ttft_ms: Floats
    itl_ms: Floats
    total_ms: Floats
    failed: NDArray[np.bool_]
    seconds: float


class Predicted(NamedTuple):
    """A predicted number: the median of all simulations, and the middle 95 % of them."""

    value: float | None
    interval: tuple[float, float] | None


class _Request:
    """A request in a slot."""

    __slots__ = ("first_ms", "left", "pace", "prompt", "sent_ms", "tokens")

    def __init__(self, sent_ms: float, prompt: float, tokens: float) -> None:
        self.sent_ms, self.prompt, self.tokens = sent_ms, prompt, tokens
        self.first_ms = math.nan
        self.left = max(tokens - 1.0, 0.0)
        self.pace = 1.0  # its time per token / the fitted one, where slots do not wait


class _Arena:
    """The users outside the server: when each sends next, and what has come of their requests."""

    def __init__(self, service: Service, users: Users, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.luck = random.Random(seed)  # noqa: S311 - not a secret
        self.users = users
        first = int(rng.integers(0, len(service.lengths)))
        pairs = [*service.lengths[first:], *service.lengths[:first]]
        self._lengths: Iterator[tuple[float, float]] = cycle(pairs)
        self.read_spread = cycle(rng.choice(service.read_spread, _DRAWS).tolist())
        self.write_spread = cycle(rng.choice(service.write_spread, _DRAWS).tolist())
        drawn = service.draws[rng.integers(0, len(service.draws))]
        self.line, self.steps = drawn[:3], [max(step, _LEAST_MS) for step in drawn[3:]]
        self._ready = [self._pause_ms(first=True) for _ in range(users.number)]
        heapify(self._ready)
        self._sent = 0
        self._most = users.requests or math.inf
        self._end_ms = math.inf if users.seconds is None else 1e3 * users.seconds
        self.done: list[tuple[float, float, float, float, bool]] = []

    def next_ms(self) -> float:
        """Return when the next request is sent; infinite if there is none."""
        ready, going = self._ready, self._sent < self._most
        return ready[0] if going and ready and ready[0] < self._end_ms else math.inf

    def arrived(self, now_ms: float, *, before: bool) -> _Request | None:
        """Return the next request that waits for a slot, if one was sent by now.

        With `before`, a request that is sent at this moment is too late for the step that begins.
        """
        while self.next_ms() < now_ms or (self.next_ms() == now_ms and not before):
            sent_ms = heappop(self._ready)
            self._sent += 1
            if now_ms - sent_ms < self.users.deadline_ms:
                return _Request(sent_ms, *next(self._lengths))
            self._ended(sent_ms, sent_ms + self.users.deadline_ms, math.nan, math.nan, failed=True)
        return None

    def leave(self, request: _Request, now_ms: float) -> None:
        """Note that a request has ended, or that its time is over."""
        limit_ms = request.sent_ms + self.users.deadline_ms
        failed = now_ms > limit_ms
        gaps = request.tokens - 1.0
        itl_ms = (now_ms - request.first_ms) / gaps if gaps > 0 else math.nan
        ttft_ms = request.first_ms - request.sent_ms
        self._ended(request.sent_ms, min(now_ms, limit_ms), ttft_ms, itl_ms, failed=failed)

    def late(self, request: _Request, now_ms: float) -> bool:
        """Return whether the deadline of a request is over."""
        return now_ms > request.sent_ms + self.users.deadline_ms

    def seen(self) -> Simulated:
        """Return what the users saw, without the first requests."""
        rows = sorted(self.done)[self.users.skipped :]
        sent, ended, ttft, itl, failed = np.array(rows, float).reshape(-1, 5).T
        lost = failed.astype(bool)
        seconds = (ended.max() - sent.min()) / 1e3 if len(rows) else 0.0
        good = np.where(lost, math.nan, 1.0)
        return Simulated(ttft * good, itl * good, (ended - sent) * good, lost, float(seconds))

    def _ended(
        self, sent_ms: float, end_ms: float, ttft_ms: float, itl_ms: float, *, failed: bool
    ) -> None:
        self.done.append((sent_ms, end_ms, ttft_ms, itl_ms, failed))
        heappush(self._ready, end_ms + self._pause_ms())

    def _pause_ms(self, *, first: bool = False) -> float:
        return 1e3 * pause_s(self.users.think_s, self.luck.uniform, first=first)


def simulate(service: Service, users: Users, seed: int = 0) -> Simulated:
    """Return what users see in one simulation."""
    arena = _Arena(service, users, seed)
    (_step_by_step if service.shared else _slot_by_slot)(arena, service.slots)
    return arena.seen()


def _step_by_step(arena: _Arena, slots: int) -> None:
    """Let a server work that reads and writes in turns."""
    now, active = 0.0, list[_Request]()
    fixed_ms, token_ms, beside = arena.line
    pace = 1.0
    while active or arena.next_ms() < math.inf:
        if not active:
            now = max(now, arena.next_ms())
        read = _admitted(arena, slots - len(active), now, before=bool(active))
        if read:
            step_ms = arena.steps[len(active) - 1] if active else 0.0
            tokens = sum(request.prompt for request in read)
            now += next(arena.read_spread) * (fixed_ms + token_ms * tokens + beside * step_ms)
            pace = next(arena.write_spread)
            count = 1.0
            for request in read:
                request.first_ms = now
        elif active:
            step_ms = pace * arena.steps[len(active) - 1]
            count = min(request.left for request in active)
            if len(active) < slots:
                until = (arena.next_ms() - now) / step_ms
                count = min(count, max(1.0, math.ceil(min(until, count))))
            now += count * step_ms
        else:
            continue
        for request in active:
            request.left -= count
        active = _left(arena, [*active, *read], now)


def _slot_by_slot(arena: _Arena, slots: int) -> None:
    """Let a server work whose slots do not wait for each other."""
    now, number, active = 0.0, 0, list[_Request]()
    reading: list[tuple[float, int, _Request]] = []
    fixed_ms, token_ms, beside = arena.line
    while active or reading or arena.next_ms() < math.inf:
        step_ms = arena.steps[len(active) - 1] if active else 0.0
        for request in _admitted(arena, slots - len(active) - len(reading), now):
            took_ms = fixed_ms + token_ms * request.prompt + beside * step_ms
            heappush(reading, (now + next(arena.read_spread) * took_ms, number, request))
            request.pace, number = next(arena.write_spread), number + 1
        written = min((request.left * request.pace for request in active), default=math.inf)
        ends = [now + step_ms * written] if active else []
        ends += [when for when, _, _ in reading[:1]]
        if len(active) + len(reading) < slots:
            ends.append(arena.next_ms())
        then = min(ends, default=math.inf)
        if then == math.inf:
            break
        for request in active:
            request.left -= (then - now) / (step_ms * request.pace)
        now = then
        while reading and reading[0][0] <= now:
            request = heappop(reading)[2]
            request.first_ms = now
            active.append(request)
        active = _left(arena, active, now)


def _admitted(arena: _Arena, free: int, now: float, *, before: bool = False) -> list[_Request]:
    """Return the waiting requests that get a slot."""
    found = list[_Request]()
    while len(found) < free and (request := arena.arrived(now, before=before)):
        found.append(request)
    return found


def _left(arena: _Arena, active: Sequence[_Request], now: float) -> list[_Request]:
    """Return the requests that stay in their slots."""
    stay = []
    for request in active:
        if request.left <= 1e-9 or arena.late(request, now):
            arena.leave(request, now)
        else:
            stay.append(request)
    return stay


def predicted(service: Service, users: Users, repeats: int = REPEATS) -> dict[str, Predicted]:
    """Return what users will see: quantiles of `ttft_ms` and `itl_ms`, rates and failures."""
    runs = [simulate(service, users, seed) for seed in range(repeats)]
    found = {}
    for name in ("ttft_ms", "itl_ms"):
        for label, quantile in QUANTILES.items():
            values = [_quantile(getattr(run, name), quantile) for run in runs]
            found[f"{name}.{label}"] = _predicted(values)
    found["error_rate"] = _predicted([float(run.failed.mean()) for run in runs])
    good = [(~run.failed).sum() / run.seconds if run.seconds else math.nan for run in runs]
    found["requests_per_sec"] = _predicted(good)
    return found


def _quantile(values: Floats, quantile: float) -> float:
    known = values[~np.isnan(values)]
    return float(np.quantile(known, quantile)) if len(known) else math.nan


def _predicted(values: Sequence[float]) -> Predicted:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return Predicted(None, None)
    low, middle, high = np.percentile(known, [2.5, 50, 97.5])
    return Predicted(float(middle), (float(low), float(high)))
