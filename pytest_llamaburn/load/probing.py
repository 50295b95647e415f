"""A search for the failure point: what it asks for, what it has seen, how it ends.

A level (clients, or requests per second) fails when more than `failure_rate` of its requests do;
the deadline is part of the definition, since a server that queues without limit rejects nothing.
The point comes from all probes together, because a probe near it alone is a toss of a coin: roughly
and at once where it guides the search (`knee`, `overload`), from the server's queue played again at
its end (`replay`). What is certain of single levels bounds it. Requests of one level share its
queue, so their number is an effective one, and every interval is wide enough for looking many times
(`clusters`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from pytest_llamaburn.load import (
    clusters,
    degradation,
    knee,
    overload,
    replay,
    steady,
    visits,
)
from pytest_llamaburn.load.records import Probe, Record
from pytest_llamaburn.load.step import CLIENTS, RATE

FAILURE_RATE = 0.05
BUDGET = 750
TOLERANCE = 0.05  # a proven bracket this narrow ends the search
LEAST = 12  # requests that a level is measured with
_JUST = 1.03  # above a level that certainly passes, below one that certainly fails
_CLUSTERS = 8  # failures, at least, that are more than one or two clusters
_ROUNDING = 1e-6
_ODD = 2.0  # standard errors by which a level fails more than one above it
_Z = 2.5  # 95 % of an estimate that decided four times where to probe next


class Limits(NamedTuple):
    """What is searched: levels from `start` to `maximum`, with at most `budget` requests.

    `alone` is what one client saw: given, levels are requests per second in an open loop. Else
    they are clients, which pause for `think_ns` on average and begin spread over one pause: a
    common start would time out together, again and again. `baseline` is what one client saw before;
    the search of clients also brackets where a latency is `factor` times that.
    """

    start: float
    maximum: float
    deadline_ns: int
    failure_rate: float = FAILURE_RATE
    budget: int = BUDGET
    alone: overload.Idle | None = None
    think_ns: int = 0
    baseline: Sequence[Record] = ()
    factor: float = degradation.DEGRADATION_FACTOR


class FailurePoint(NamedTuple):
    """How a search ended.

    `passing` is the highest level seen to hold, `failing` the lowest seen to fail, None without
    one; `proven` says whether both lie beyond chance. `estimate` is where the failure rate is
    crossed, with its 95 % interval: None unless `reached`, and where the levels beside it are too
    far apart for a number; the interval is then from the one to the other. `estimator` is what it
    comes from: queue_replay, product_limit, crossing (of the levels' own shares), or bracket.
    `reason` is why the search stopped: bracketed, budget, maximum, fails_at_start or stopped (by
    the driver).
    """

    passing: float | None
    failing: float | None
    proven: bool
    estimate: float | None
    interval: tuple[float, float] | None
    reached: bool
    reason: str
    requests: int
    estimator: str | None = None


Search: TypeAlias = Generator[Probe, Sequence[Record], FailurePoint]
Sending: TypeAlias = Generator[Probe, Sequence[Record], None]


class StoppedError(Exception):
    """The driver sent nothing."""


@dataclass
class Level:
    """All that was seen at one level, a run for each time that it began on an idle server."""

    value: float
    burst: int  # of each run's first requests are left out: clients that start at once
    pause_ns: float = 0.0
    runs: list[list[Record]] = field(default_factory=list)
    _known: tuple[int, Any] = (0, None)

    @property
    def issued(self) -> int:
        """How many requests were sent."""
        return sum(map(len, self.runs))

    @property
    def visits(self) -> list[list[Record]]:
        """The requests of each stretch in which the load was whole, but for disturbed ones."""
        self.seen()
        found: list[list[Record]] = self._known[1][2]
        return found

    def counted(self) -> list[list[Record]]:
        """Return the requests of each visit without its burst."""
        return [run[self.burst :] or run[-1:] for run in self.visits]

    def seen(self) -> tuple[knee.Sample, tuple[float, float, float]]:
        """Return the counted requests and (share failed, its lower, its upper bound)."""
        if self._known[0] != self.issued:
            visited = visits.settled(self._held(), self.burst)
            counted = [run[self.burst :] or run[-1:] for run in visited]
            sample = knee.sample(self.value, [r for run in counted for r in run])
            self._known = (self.issued, (sample, self._bounds(counted), visited))
        found: tuple[knee.Sample, tuple[float, float, float]] = self._known[1][:2]
        return found

    def _held(self) -> list[list[Record]]:
        """Return the requests of each stretch in which the load was whole; all if it never was."""
        load = steady.Load(self.value, CLIENTS if self.burst else RATE, self.pause_ns)
        found = [
            [run[place] for place in places]
            for run in self.runs
            for places in steady.counted(run, load)
        ]
        return found or self.runs

    def _bounds(self, counted: Sequence[Sequence[Record]]) -> tuple[float, float, float]:
        flags = [np.array([r.failure is not None for r in run], bool) for run in counted]
        n = sum(map(len, flags))
        share = sum(int(run.sum()) for run in flags) / n
        effect = clusters.design_effect(flags)
        if share and n < 4 * self.burst:  # too short to show how long the queue remembers
            effect = max(effect, self.burst / 4)
        return share, *clusters.interval(share, max(n / effect, 1))


@dataclass
class Pursuit(ABC):
    """What both loops share; `last` is the level that the server is at."""

    limits: Limits
    levels: dict[float, Level] = field(default_factory=dict)
    last: float | None = None
    reached: bool = False
    stopped: bool = False
    _known: tuple[int, float | None] = (0, None)

    @property
    def left(self) -> int:
        """How many requests of the budget are left."""
        return self.limits.budget - sum(level.issued for level in self.levels.values())

    @property
    def samples(self) -> list[knee.Sample]:
        """The counted requests of each level."""
        return [level.seen()[0] for level in self.levels.values()]

    def send(
        self, value: float, requests: float, burst: int = 0, *, fresh: bool = False
    ) -> Sending:
        """Ask for a probe and keep its records; raises StoppedError if the driver sent none."""
        fresh = fresh or value != self.last
        count = min(math.ceil(requests), self.left)
        records = yield Probe(value, count, fresh)
        if not records:
            raise StoppedError
        level = self.levels.setdefault(value, Level(value, burst, 2.0 * self.limits.think_ns))
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
        """Return the level at which the rate is crossed, as near as the search needs it."""
        if self._known[0] != self.left:
            self._known = (self.left, self._crossing(self.late()))
        return self._known[1]

    def doubtful(self) -> float | None:
        """Return a level to probe again, the lowest: what a single visit to it saw is odd.

        It fails more than a level above, or it alone says that the point is below it.
        """
        rate = self.limits.failure_rate
        for value, level in sorted(self.levels.items()):
            if len(level.runs) > 1 or not self.bad(level):
                continue
            for other in (x for v, x in self.levels.items() if v > value):
                less = other.seen()[1][0] <= rate
                if less or visits.worse(_pooled(level), other.counted()) > _ODD:
                    return value
        high = self.bounds()[1]
        if high is None or len(self.levels[high].runs) > 1:
            return None
        found = knee.crossing(self.samples, self.late(), rate)
        return high if found is None or found >= high else None

    def estimators(self) -> dict[str, knee.Curve]:
        """Return the shares that the deadline cuts off, over the level, the best first."""
        queue = self.queue()
        found = {"queue_replay": self.replayed(queue)} if queue else {}
        return {**found, "product_limit": self.late()}

    def fits(self, late: knee.Curve) -> bool:
        """Return whether no level failed more or less often than a curve says, beyond chance."""
        rate = self.limits.failure_rate
        curve = knee.either(late, knee.background(self.samples, rate))
        bounds = [(value, level.seen()[1]) for value, level in self.levels.items()]
        return all(
            low - _ROUNDING <= curve(value) <= high + _ROUNDING for value, (_, low, high) in bounds
        )

    def _crossing(self, late: knee.Curve, errors: float = 0.0) -> float | None:
        """Return the level at which the rate is crossed, inside of what is certain."""
        found = knee.crossing(self.samples, late, self.limits.failure_rate, errors)
        return self._inside(found)

    def _inside(self, found: float | None) -> float | None:
        low, high = self.bounds()
        if high == self.limits.start:
            return high
        if high is not None and (found is None or found >= high):
            held = max((v for v in self.levels if v < high), default=high)
            clients = self.limits.alone is None  # of whom there is no number just below
            return (held + high) / 2 if clients else max((held + high) / 2, high / _JUST)
        if low is not None and found is not None and found <= low:
            return min(low * _JUST, (low + high) / 2 if high else math.inf)
        return found

    @abstractmethod
    def late(self) -> knee.Curve:
        """Return the share that the deadline cuts off, over the level: at once, and roughly."""

    @abstractmethod
    def queue(self) -> replay.Queue | None:
        """Return the server's queue, None if none was seen."""

    @abstractmethod
    def replayed(self, queue: replay.Queue) -> knee.Curve:
        """Return the share that the deadline cuts off, over the level, of this queue."""

    @abstractmethod
    def spread(self) -> float:
        """Return the standard error of the estimate's logarithm."""

    def done(self) -> bool:
        """Return whether more probes would tell no more, or may not be sent."""
        low, high = self.bounds()
        if high == self.limits.start:
            return True
        narrow = low is not None and high is not None and high - low <= max(1, TOLERANCE * high)
        return self.left < LEAST or (narrow and self.limits.alone is None)

    def found(self) -> FailurePoint:
        """Return the end of the search."""
        estimator, late = self._best() if self.reached else (None, None)
        estimate = self._crossing(late) if late else self._between() if estimator else None
        proven = self.bounds()
        at = math.inf if estimate is None else estimate
        bad = {v: self.bad(level) for v, level in self.levels.items()}
        failing = min(
            (v for v, x in bad.items() if x and (v >= at or v == proven[1])), default=None
        )
        top = math.inf if failing is None else failing
        passing = max((v for v, x in bad.items() if not x and v < top), default=None)
        interval = self.interval(late, estimate, passing, failing) if estimate else None
        if self.reached and degradation.wide(passing, failing, whole=self.limits.alone is None):
            estimator, estimate, interval = "bracket", None, (passing, failing)
        return FailurePoint(
            passing,
            failing,
            proven == (passing, failing),
            estimate,
            interval,
            self.reached,
            self.reason(),
            self.limits.budget - self.left,
            estimator,
        )

    def _best(self) -> tuple[str, knee.Curve | None]:
        """Return the best estimator that nothing contradicts which was measured."""
        for name, curve in self.estimators().items():
            if self.fits(curve):
                return name, curve
        return "crossing", None

    def _between(self) -> float | None:
        """Return where the levels' own shares cross the rate, inside of what is certain."""
        shares = [(value, *level.seen()) for value, level in sorted(self.levels.items())]
        rows = [(value, seen[0], len(sample.failed)) for value, sample, seen in shares]
        return self._inside(knee.interpolated(rows, self.limits.failure_rate))

    def reason(self) -> str:
        """Return why the search stopped."""
        if self.stopped:
            return "stopped"
        if not self.reached:
            return "maximum" if max(self.levels) >= self.limits.maximum else "budget"
        if self.fails(self.levels[self.limits.start]):
            return "fails_at_start"
        return "budget" if self.left < LEAST else "bracketed"

    def interval(
        self,
        late: knee.Curve | None,
        estimate: float,
        passing: float | None,
        failing: float | None,
    ) -> tuple[float, float]:
        """Return the estimate's interval; the bracket lies within it.

        From its standard error, and from that of the share which fails by anything but a deadline.
        """
        half = 1.0
        if late:
            ends = [self._crossing(late, errors) or estimate for errors in (1, -1)]
            off = max(abs(math.log(end / estimate)) for end in ends)
            half = math.exp(_Z * math.hypot(self.spread(), off))
        low, high = passing or estimate, failing or estimate
        return min(estimate / half, low), max(estimate * half, high)


def _pooled(level: Level) -> list[Record]:
    return [record for run in level.counted() for record in run]
