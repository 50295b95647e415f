"""Where a server fails: a search that asks for probes, and the estimate over all of them.

A level (clients, or requests per second) fails when more than `failure_rate` of its requests do;
the deadline is part of the definition, since a server that queues without limit rejects nothing.
The search rises, then goes back and forth around the estimate. The point comes from all probes
together (`knee`, `overload`), because a probe near the point alone is a toss of a coin; what is
certain of single levels (`verdict`) bounds it. Requests of one level share its queue, so their
number is an effective one, and every interval is wide enough for looking many times (`clusters`).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from pytest_llamaburn.load import clusters, knee, overload
from pytest_llamaburn.load.records import Record

FAILURE_RATE = 0.05
BUDGET = 750
_TOLERANCE = 0.05  # a proven bracket this narrow ends the search
_JUST = 1.03  # above a level that certainly passes
_CLUSTERS = 8  # failures, at least, that are more than one or two clusters
_LEAST = 12  # requests that a level is measured with
_STEP = 30  # requests between two looks
_LEAP = 4.0  # the most that a level rises at once, where latency says that the point is far
_Z = 2.5  # 95 % of an estimate that decided four times where to probe next


class Limits(NamedTuple):
    """What is searched: levels from `start` to `maximum`, with at most `budget` requests.

    `alone` is what one client saw: given, levels are requests per second in an open loop.
    """

    start: float
    maximum: float
    deadline_ns: int
    failure_rate: float = FAILURE_RATE
    budget: int = BUDGET
    alone: overload.Idle | None = None


class Probe(NamedTuple):
    """What to send next: `requests` at a level, on an idle server if `fresh`, else going on."""

    level: float
    requests: int
    fresh: bool


class FailurePoint(NamedTuple):
    """How a search ended.

    `passing` is the highest level seen to hold, `failing` the lowest seen to fail, None without
    one; `proven` says whether both lie beyond chance. `estimate` is where the failure rate is
    crossed, with its 95 % interval: None unless `reached`. `reason` is why the search stopped:
    bracketed, budget, maximum or fails_at_start.
    """

    passing: float | None
    failing: float | None
    proven: bool
    estimate: float | None
    interval: tuple[float, float] | None
    reached: bool
    reason: str
    requests: int


Search: TypeAlias = Generator[Probe, Sequence[Record], FailurePoint]
Sending: TypeAlias = Generator[Probe, Sequence[Record], None]


def search(limits: Limits) -> Search:
    """Yield probes; send each one's records, in order of sending, every one followed to its end.

    Returns the failure point (the generator's value).
    """
    kind = _Closed(limits) if limits.alone is None else _Open(limits, limits.alone)
    yield from kind.rise()
    if kind.reached:
        yield from kind.narrow()
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
    samples = [knee.sample(level, rows, deadline_ns) for level, rows in levels.items() if rows]
    return knee.crossing(samples, deadline_ns, rate) if samples else None


@dataclass
class Level:
    """All that was seen at one level, a run for each time that it began on an idle server."""

    value: float
    burst: int  # of each run's first requests are left out: clients that start at once
    runs: list[list[Record]] = field(default_factory=list)
    _known: tuple[int, Any] = (0, None)

    @property
    def issued(self) -> int:
        """How many requests were sent."""
        return sum(map(len, self.runs))

    def seen(self) -> tuple[knee.Sample, tuple[float, float, float]]:
        """Return the counted requests and (share failed, its lower, its upper bound)."""
        if self._known[0] != self.issued:
            counted = [run[self.burst :] or run[-1:] for run in self.runs]
            sample = knee.sample(self.value, [r for run in counted for r in run])
            self._known = (self.issued, (sample, self._bounds(counted)))
        found: tuple[knee.Sample, tuple[float, float, float]] = self._known[1]
        return found

    def _bounds(self, counted: Sequence[Sequence[Record]]) -> tuple[float, float, float]:
        flags = [np.array([r.failure is not None for r in run], bool) for run in counted]
        n = sum(map(len, flags))
        share = sum(int(run.sum()) for run in flags) / n
        effect = clusters.design_effect(flags)
        if share and n < 4 * self.burst:  # too short to show how long the queue remembers
            effect = max(effect, self.burst / 4)
        return share, *clusters.interval(share, max(n / effect, 1))


@dataclass
class _Search:
    """What both loops share; `last` is the level that the server is at."""

    limits: Limits
    levels: dict[float, Level] = field(default_factory=dict)
    last: float | None = None
    reached: bool = False
    _known: tuple[int, float | None] = (0, None)

    @property
    def left(self) -> int:
        return self.limits.budget - sum(level.issued for level in self.levels.values())

    def send(
        self, value: float, requests: float, burst: int = 0, *, fresh: bool = False
    ) -> Sending:
        fresh = fresh or value != self.last
        count = min(math.ceil(requests), self.left)
        level = self.levels.setdefault(value, Level(value, burst))
        records = yield Probe(value, count, fresh)
        if fresh:
            level.runs.append([])
        level.runs[-1].extend(records)
        self.last = value

    def fails(self, level: Level) -> bool | None:
        """Return whether a level fails, None where it is not certain."""
        sample, (share, low, high) = level.seen()
        rate = self.limits.failure_rate
        if low > rate and share * len(sample.failed) >= _CLUSTERS:
            return True
        return False if high < rate and level.issued >= 3 * level.burst else None

    def bad(self, level: Level) -> bool:
        """Return whether more than the rate failed at a level, be it by chance."""
        return level.seen()[1][0] > self.limits.failure_rate

    def bounds(self) -> tuple[float | None, float | None]:
        """Return the highest level that certainly passes below the lowest that certainly fails."""
        failing = [v for v, level in self.levels.items() if self.fails(level)]
        top = min(failing, default=math.inf)
        passing = [v for v, x in self.levels.items() if v < top and self.fails(x) is False]
        return max(passing, default=None), min(failing, default=None)

    def estimate(self) -> float | None:
        """Return the level at which the rate is crossed, inside of what is certain."""
        if self._known[0] != self.left:
            self._known = (self.left, self._estimate())
        return self._known[1]

    def _estimate(self) -> float | None:
        found = self.crossing([level.seen()[0] for level in self.levels.values()])
        low, high = self.bounds()
        if high is not None and (found is None or found >= high):
            held = [v for v in self.levels if v < high]
            return (max(held, default=high) + high) / 2
        if low is not None and found is not None and found <= low:
            return min(low * _JUST, (low + high) / 2 if high else math.inf)
        return found

    def crossing(self, samples: Sequence[knee.Sample]) -> float | None:
        raise NotImplementedError

    def done(self) -> bool:
        low, high = self.bounds()
        narrow = low is not None and high is not None and high - low <= max(1, _TOLERANCE * high)
        return self.left < _LEAST or (narrow and self.limits.alone is None)

    def found(self) -> FailurePoint:
        """Return the end of the search."""
        estimate = self.estimate() if self.reached else None
        proven = self.bounds()
        at = math.inf if estimate is None else estimate
        bad = {v: self.bad(level) for v, level in self.levels.items()}
        failing = min(
            (v for v, x in bad.items() if x and (v >= at or v == proven[1])), default=None
        )
        top = math.inf if failing is None else failing
        passing = max((v for v, x in bad.items() if not x and v < top), default=None)
        return FailurePoint(
            passing,
            failing,
            proven == (passing, failing),
            estimate,
            None if estimate is None else self.interval(estimate, passing, failing),
            self.reached,
            self.reason(),
            self.limits.budget - self.left,
        )

    def reason(self) -> str:
        if not self.reached:
            return "maximum"
        if self.fails(self.levels[self.limits.start]):
            return "fails_at_start"
        return "budget" if self.left < _LEAST else "bracketed"

    def interval(
        self, estimate: float, passing: float | None, failing: float | None
    ) -> tuple[float, float]:
        """Return the estimate's interval from its standard error; the bracket lies within it."""
        half = math.exp(_Z * self.spread())
        low, high = passing or estimate, failing or estimate
        return min(estimate / half, low), max(estimate * half, high)

    def spread(self) -> float:
        raise NotImplementedError


class _Closed(_Search):
    """Levels are whole numbers of clients; their first round, one burst, is sent but not judged."""

    def crossing(self, samples: Sequence[knee.Sample]) -> float | None:
        return knee.crossing(samples, self.limits.deadline_ns, self.limits.failure_rate)

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
        yield from self.send(value, value + max(_LEAST, value * 0.8), burst=value)

    def rise(self) -> Sending:
        """Rise until a level fails, or until latency says that the next one would."""
        value = math.ceil(self.limits.start)
        while True:
            yield from self.begin(value)
            point = self.estimate()
            far = 2 * value if point is None else point
            if self.fails(self.levels[value]) or far <= value * (1 + _TOLERANCE):
                self.reached = True
                return
            if value >= self.limits.maximum or self.left < 3 * value:
                return
            value = math.ceil(min(_LEAP * value, max(0.97 * far, 1.25 * value)))
            value = min(value, math.floor(self.limits.maximum))

    def narrow(self) -> Sending:
        """Spend the rest in turn just below and just above the estimate as it moves."""
        above = False
        while not self.done():
            point = self.estimate() or self.limits.start
            below = math.floor(point * (0.96 if self.held(point) else 0.92))
            value = max(math.ceil(point * 1.03), below + 1) if above else below
            value = min(max(value, 1), math.floor(self.limits.maximum))
            yield from self.stay(value, point, above=above)
            above = not above and self.held(point)

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


class _Open(_Search):
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
            cv2, rate = self.alone.cv2, self.limits.failure_rate
            grows = [overload.backlog(run, level.value, cv2, rate).grows for run in level.runs]
            waits = overload.capacity(level.runs, self.alone) is not None
            self.queues[key] = (waits, any(grows))
        return self.queues[key]

    def rise(self) -> Sending:
        """Double the rate until a backlog grows or requests fail."""
        value = self.limits.start
        while True:
            yield from self.send(value, 40, fresh=True)
            if self.fails(self.levels[value]) or self.over(value):
                self.reached = True
                return
            if value >= self.limits.maximum or self.left < 200:
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
            yield from self.send(value, max(min(until_cut, 150), 40), fresh=True)
            turn += 1


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
