"""Where a server fails: how a search rises and narrows, in a closed and in an open loop.

The search rises until a level fails or latency says that the next one would, then goes back and
forth around the estimate. What it asks for and how it ends is in `probing`.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from pytest_llamaburn.load import knee, overload
from pytest_llamaburn.load.probing import (
    LEAST,
    TOLERANCE,
    Level,
    Limits,
    Pursuit,
    Search,
    Sending,
    StoppedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.load.records import Record

_STEP = 30  # requests between two looks
_PROBE, _RESERVE = 40, 200  # requests of a rate, and those that must be left to try the next
_LEAP = 4.0  # the most that a level rises at once, where latency says that the point is far


def search(limits: Limits) -> Search:
    """Yield probes; send each one's records, in order of sending, every one followed to its end.

    Returns the failure point (the generator's value). Sending no records ends the search.
    """
    kind = _Closed(limits) if limits.alone is None else _Open(limits, limits.alone)
    try:
        yield from kind.rise()
        if kind.reached:
            yield from kind.narrow()
    except StoppedError:
        kind.stopped = True
    return kind.found()


def at_deadline(
    levels: Mapping[float, Sequence[Record]], deadline_ns: int, waited_ns: int, rate: float
) -> float | None:
    """Return where a closed loop's failures would cross `rate` had the deadline been this one.

    From the same counted records by level, whose requests waited up to `waited_ns`: so for a
    shorter deadline only, None for a longer one or where nothing points to a level. What a
    request given up earlier would have spared the others is not known; the true point is a
    little higher.
    """
    if deadline_ns > waited_ns:
        return None
    samples = [knee.sample(v, rows) for v, rows in sorted(levels.items()) if rows]
    beyond = [s.timed_out | (s.latency > deadline_ns) for s in samples]
    late = [i for i, cut in enumerate(beyond) if cut.mean() > 2 * rate]
    kept = samples[: late[0] + 1] if late else samples  # what is far beyond the point tells nothing
    return knee.crossing(kept, deadline_ns, rate) if kept else None


def least(start: float, maximum: float, *, rates: bool) -> int:
    """Return the requests that reach a maximum where each level is twice the one before."""
    levels = [start]
    while levels[-1] < maximum:
        levels.append(min(2 * levels[-1], maximum))
    if rates:
        return _PROBE * len(levels) + (_RESERVE - _PROBE if len(levels) > 1 else 0)
    return sum(math.ceil(level + max(LEAST, level * 0.8)) for level in levels)


class _Closed(Pursuit):
    """Levels are whole numbers of clients; their first round, one burst, is sent but not judged."""

    def crossing(self, samples: Sequence[knee.Sample]) -> float | None:
        limits = self.limits
        return knee.crossing(samples, limits.deadline_ns, limits.failure_rate, limits.think_ns)

    def spread(self) -> float:
        """Return the relative standard error of a quantile of latency / level.

        A latency is a sum over as many services as there are clients, so n latencies at a level
        hold n / level independent ones; of that many, a normal quantile z standard deviations out
        has an error of √(1 + z²/2) standard deviations of the mean.
        """
        samples = [level.seen()[0] for level in self.levels.values()]
        top = max(s.level for s in samples)
        near = [s for s in samples if s.level >= top / 2]
        independent = sum(len(s.latency) / s.level for s in near)
        scaled = np.concatenate([s.latency / s.level for s in near])
        z = NormalDist().inv_cdf(self.limits.failure_rate)
        cv = float(scaled.std() / scaled.mean())
        return cv * math.sqrt((1 + z * z / 2) / independent)

    def begin(self, value: int) -> Sending:
        yield from self.send(value, value + max(LEAST, value * 0.8), burst=value)

    def rise(self) -> Sending:
        """Rise until a level fails, or until latency says that the next one would."""
        value = int(self.limits.start)
        while True:
            yield from self.begin(value)
            point = self.estimate()
            far = 2 * value if point is None else point
            if self.fails(self.levels[value]) or far <= value * (1 + TOLERANCE):
                self.reached = True
                return
            if value >= self.limits.maximum or self.left < 3 * value:
                return
            value = math.ceil(min(_LEAP * value, max(0.97 * far, 1.25 * value)))
            value = min(value, int(self.limits.maximum))

    def narrow(self) -> Sending:
        """Spend the rest in turn just below and just above the estimate as it moves."""
        above = False
        while not self.done():
            point = self.estimate() or self.limits.start
            below = math.floor(point * (0.96 if self.held(point) else 0.92))
            value = max(self.over(point), below + 1) if above else below
            low, high = self.bounds()
            if low is not None and high is not None and high - low == 2:
                value = round(low + 1)
            value = min(max(value, 1), int(self.limits.maximum))
            yield from self.stay(value, point, above=above)
            above = not above and self.held(point)

    def over(self, point: float) -> int:
        """Return a level above that may fail: half way to one that does, or 10 % up."""
        failed = min((v for v, x in self.levels.items() if v >= point and self.bad(x)), default=0)
        if not failed:
            return math.ceil(point * 1.1)
        held = [v for v, x in self.levels.items() if v < failed and not self.bad(x)]
        return math.ceil((max(held, default=point) + failed) / 2)

    def held(self, point: float) -> bool:
        """Return whether a level just below the estimate was seen to hold.

        Where all near it fail, nothing is known of how far below the point is.
        """
        rate = self.limits.failure_rate
        near = [x for v, x in self.levels.items() if 0.8 * point < v < 1.02 * point]
        return any(level.seen()[1][0] <= rate for level in near)

    def stay(self, value: int, point: float, *, above: bool) -> Sending:
        """Measure a level until it has had its share or the estimate has left it.

        A level that fails tells less than one that holds, so it gets half of the other's share.
        """
        yield from self.begin(value)
        turn = (0.7 if above and self.bad(self.levels[value]) else 1.5) * max(4 * value, 120)
        end = 0 if self.left - turn < value + 40 else self.left - turn
        while self.left - end > 0 and not self.done():
            moved = abs((self.estimate() or point) / point - 1) > 0.1
            worse = self.levels[value].seen()[1][0] > 2 * self.limits.failure_rate
            if (moved or (worse and not self.held(point))) and self.left > value + _STEP:
                return
            yield from self.send(value, min(_STEP, self.left - end))


class _Open(Pursuit):
    """Levels are requests per second; each probe starts on an idle server."""

    def __init__(self, limits: Limits, alone: overload.Idle) -> None:
        super().__init__(limits)
        self.alone = alone
        self.queues: dict[tuple[float, int], tuple[bool, bool]] = {}

    def crossing(self, samples: Sequence[knee.Sample]) -> float | None:
        limits, runs = self.limits, [run for x in self.levels.values() for run in x.runs]
        return overload.crossing(samples, runs, self.alone, limits.deadline_ns, limits.failure_rate)

    def spread(self) -> float:
        runs = [run for level in self.levels.values() for run in level.runs]
        return overload.precision(runs, self.alone)

    def fails(self, level: Level) -> bool | None:
        found = super().fails(level)
        if found:
            return True
        waits, grows = self.queue(level)
        return True if grows else None if waits else found

    def bad(self, level: Level) -> bool:
        return super().bad(level) or any(self.queue(level))

    def queue(self, level: Level) -> tuple[bool, bool]:
        """Return whether much of a level's load waited, and whether a backlog grew."""
        key = (level.value, level.issued)
        if key not in self.queues:
            alone, rate = self.alone, self.limits.failure_rate
            grows = [overload.backlog(run, level.value, alone, rate).grows for run in level.runs]
            waits = overload.capacity(level.runs, self.alone) is not None
            self.queues[key] = (waits, any(grows))
        return self.queues[key]

    def rise(self) -> Sending:
        """Double the rate until a backlog grows or requests fail."""
        value = self.limits.start
        while True:
            yield from self.send(value, _PROBE, fresh=True)
            if self.fails(self.levels[value]) or self.over(value):
                self.reached = True
                return
            if value >= self.limits.maximum or self.left < _RESERVE:
                return
            value = min(2 * value, self.limits.maximum)

    def over(self, value: float) -> bool:
        most = overload.capacity(self.levels[value].runs, self.alone)
        return most is not None and value > 1.1 * most

    def narrow(self) -> Sending:
        """Measure the capacity where it is exceeded; every fourth probe is one that should hold."""
        turn = 0
        while not self.done():
            point = self.estimate() or self.limits.start
            value = _rounded(point * (0.94 if turn % 4 == 3 else 1.25))
            until_cut = 4 * self.limits.deadline_ns / 1e9 * point
            yield from self.send(value, max(min(until_cut, 150), _PROBE), fresh=True)
            turn += 1


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
