"""A search for the failure point: what it asks for, what it has seen, how it ends.

A level (clients, or requests per second) fails if more than `failure_rate` of its requests fail.
The deadline is part of the definition, because a server that queues without limit rejects nothing.

The point is estimated from all probes together, because a single probe near the point is decided by
chance. A quick estimate guides the search (`crossing`, `open_loop`). The final estimate comes from
a replay of the server's queue (`queue_replay`). Levels that certainly pass or fail bound it.

Requests of one level share its queue. So statistics use an effective sample size, and intervals
hold for repeated looks (`stats/clustered.py`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from pytest_llamaburn.capacity import (
    crossing,
    degradation,
    measuring_window,
    open_loop,
    queue_replay,
    visits,
)
from pytest_llamaburn.load.rows import Request
from pytest_llamaburn.load.step import CLIENTS, RATE, Probe
from pytest_llamaburn.stats import clustered
from pytest_llamaburn.stats import samples as stats

FAILURE_RATE = 0.05
BUDGET = 750
TOLERANCE = 0.05  # a proven bracket this narrow ends the search
LEAST = 12  # requests that a level is measured with
_JUST = 1.03  # above a level that certainly passes, below one that certainly fails
_CLUSTERS = 8  # minimum failures; fewer may be one or two clusters
_MEMORY = 8  # clients per independent request: waiting requests depend on one another
_CONFIRMS = 1.1  # a failing level up to this factor above another one confirms it
_VISITS = 3  # maximum visits to a level with odd results
_ROUNDING = 1e-6
_ODD = 2.0  # standard errors by which a level fails more often than one above it
_Z = 2.5  # standard errors of a 95 % interval after an adaptive search


class Limits(NamedTuple):
    """What is searched: levels from `start` to `maximum`, with at most `budget` requests.

    With `alone`, the times of a single client, levels are requests per second in an open loop.
    Without it they are numbers of clients, which pause for `think_ns` on average. Their starts are
    spread over one pause; otherwise they would time out together again and again. `baseline` are
    the requests of one client. A search over clients also brackets the level at which a latency is
    `factor` times that of the baseline.
    """

    start: float
    maximum: float
    deadline_ns: int
    failure_rate: float = FAILURE_RATE
    budget: int = BUDGET
    alone: open_loop.Idle | None = None
    think_ns: int = 0
    baseline: Sequence[Request] = ()
    factor: float = degradation.DEGRADATION_FACTOR


class FailurePoint(NamedTuple):
    """How a search ended.

    - `passing`, `failing`: the highest level that passed and the lowest that failed, or None.
    - `proven`: whether both are certain.
    - `estimate`: the level at which the failure rate is crossed. None if the point was not
      `reached`, or if the levels around it are too far apart.
    - `interval`: the 95 % interval of the estimate; without an estimate, the levels around it.
    - `estimator`: queue_replay, product_limit, heavy_traffic, crossing (a line between the shares
      of levels) or bracket.
    - `bracket`: the levels around the estimate.
    - `reason`: why the search stopped: bracketed, budget, maximum, fails_at_start, client_limited
      (our own process stayed the bottleneck) or stopped (by the driver).
    - `confirmed`: a level at most a tenth below the estimate passed, and one at most a tenth above
      it failed.
    """

    passing: float | None
    failing: float | None
    proven: bool
    estimate: float | None
    interval: tuple[float | None, float | None] | None
    reached: bool
    reason: str
    requests: int
    estimator: str | None = None
    bracket: tuple[float | None, float | None] | None = None
    confirmed: bool = False


Search: TypeAlias = Generator[Probe, Sequence[Request], FailurePoint]
Sending: TypeAlias = Generator[Probe, Sequence[Request], None]


class StoppedError(Exception):
    """The driver sent nothing."""


@dataclass
class Level:
    """The requests of one level: one run for each time it started on an idle server."""

    value: float
    burst: int  # first requests of each run to leave out: all clients start at once
    pause_ns: float = 0.0
    runs: list[list[Request]] = field(default_factory=list)
    visits: list[list[Request]] = field(default_factory=list)  # the undisturbed runs
    _seen: Any = None
    _held: tuple[int, list[list[Request]]] = (0, [])  # with the number of requests

    @property
    def limited(self) -> int:
        """The number of visits in which our own process was the bottleneck."""
        return len(self.runs) - len(self._kept_up())

    @property
    def issued(self) -> int:
        """The number of requests sent."""
        return sum(map(len, self.runs))

    def counted(self) -> list[list[Request]]:
        """Return the requests of each visit without its burst."""
        return [run[self.burst :] or run[-1:] for run in self.visits]

    def settle(self, above: Sequence[list[Request]], below: Sequence[list[Request]]) -> None:
        """Find the undisturbed visits; visits to levels above and below are evidence too."""
        self.visits, self._seen = visits.settled(self.held(), self.burst, above, below), None

    def seen(self) -> tuple[crossing.Sample, tuple[float, float, float]]:
        """Return the counted requests, and the share that failed with its interval."""
        if self._seen is None:
            counted = self.counted()
            sample = crossing.sample(self.value, [r for run in counted for r in run])
            self._seen = sample, self._bounds(counted)
        found: tuple[crossing.Sample, tuple[float, float, float]] = self._seen
        return found

    def held(self) -> list[list[Request]]:
        """Return the requests of each stretch with the full load; all of them if there is none."""
        if self._held[0] != self.issued:
            self._held = self.issued, self._stretches()
        return self._held[1]

    def _stretches(self) -> list[list[Request]]:
        load = measuring_window.Load(self.value, CLIENTS if self.burst else RATE, self.pause_ns)
        runs = self._kept_up()
        found = [
            [run[place] for place in places]
            for run in runs
            for places in measuring_window.counted(run, load)
        ]
        return found or runs

    def _kept_up(self) -> list[list[Request]]:
        return [run for run in self.runs if not any(record.limited for record in run)]

    def _bounds(self, counted: Sequence[Sequence[Request]]) -> tuple[float, float, float]:
        flags = [np.array([r.failure is not None for r in run], bool) for run in counted]
        n = sum(map(len, flags))
        share = sum(int(run.sum()) for run in flags) / n
        effect = clustered.design_effect(flags)
        if share and n < 4 * self.burst:  # too short to show how long the queue remembers
            effect = max(effect, self.burst / 4)
        return share, *clustered.interval(share, max(n / effect, 1))


@dataclass
class Pursuit(ABC):
    """A search in either loop; `last` is the current level, or None if it must be left."""

    limits: Limits
    levels: dict[float, Level] = field(default_factory=dict)
    last: float | None = None
    reached: bool = False
    stopped: bool = False
    limited: bool = False  # our own process stays the bottleneck
    _known: tuple[int, float | None] = (0, None)

    @property
    def left(self) -> int:
        """The number of requests left in the budget."""
        return self.limits.budget - sum(level.issued for level in self.levels.values())

    @property
    def samples(self) -> list[crossing.Sample]:
        """The counted requests of each level."""
        return [level.seen()[0] for level in self.trusted.values()]

    @property
    def trusted(self) -> dict[float, Level]:
        """The levels with an undisturbed visit, lowest first."""
        return {value: level for value, level in sorted(self.levels.items()) if level.visits}

    def send(
        self, value: float, requests: float, burst: int = 0, *, fresh: bool = False
    ) -> Sending:
        """Ask for a probe and keep its requests; raises StoppedError if the driver sent none."""
        fresh = fresh or value != self.last
        count = min(math.ceil(requests), self.left)
        records = yield Probe(value, count, fresh)
        if not records:
            raise StoppedError
        level = self.levels.setdefault(value, Level(value, burst, 2.0 * self.limits.think_ns))
        if fresh:
            level.runs.append([])
        level.runs[-1].extend(records)
        self.last = None if any(record.limited for record in records) else value
        self.settle()

    def settle(self) -> None:
        """Find the undisturbed visits of each level."""
        above: list[list[Request]] = []
        for value, one in sorted(self.levels.items(), reverse=True):
            one.settle(above, self.below(value))
            above = [*one.counted(), *above]

    def below(self, value: float) -> list[list[Request]]:
        """Return the visits to lower levels, nearest first."""
        lower = sorted((v for v in self.trusted if v < value), reverse=True)
        return [run for v in lower for run in self.trusted[v].visits]

    def given_up(self, value: float) -> bool:
        """Return whether our own process stayed the bottleneck in all allowed visits."""
        return value in self.levels and self.levels[value].limited >= _VISITS

    def fails(self, level: Level) -> bool | None:
        """Return whether a level fails; None if it is not certain."""
        sample, (share, low, high) = level.seen()
        rate = self.limits.failure_rate
        if low > rate and share * len(sample.failed) >= _CLUSTERS:
            return True
        return False if high < rate and level.issued >= 3 * level.burst else None

    def bad(self, level: Level) -> bool:
        """Return whether more than the rate failed at a level, even if by chance."""
        return level.seen()[1][0] > self.limits.failure_rate

    def bounds(self) -> tuple[float | None, float | None]:
        """Return the highest level that certainly passes and the lowest that certainly fails."""
        failing = [v for v, level in self.trusted.items() if self.fails(level)]
        top = min(failing, default=math.inf)
        passing = [v for v, x in self.trusted.items() if v < top and self.fails(x) is False]
        return max(passing, default=None), min(failing, default=None)

    def estimate(self) -> float | None:
        """Return a quick estimate of the level at which the rate is crossed."""
        if self._known[0] != self.left:
            self._known = (self.left, self._guess())
        return self._known[1]

    def _guess(self) -> float | None:
        """Return the crossing of the quick curve, or of the measured shares if it does not fit."""
        if not self.trusted:
            return None
        found = self._crossing(self.late())
        held = [value for value, level in self.trusted.items() if not self.bad(level)]
        failed = [value for value, level in self.trusted.items() if self.bad(level)]
        below = max((value for value in held if value < min(failed, default=0)), default=None)
        if found is None or below is None or below <= degradation.WIDEST * found:
            return found
        return self._between()

    def doubtful(self, *, lone: bool = True) -> float | None:
        """Return the lowest level with an odd result, which is probed again; None if there is none.

        A result is odd if our own process was the bottleneck, if the level fails more often than a
        level above or in another visit, or if it is slower than one below. The lowest failing level
        is odd if the levels below did not predict it or, with `lone`, if it has one visit only.
        """
        trusted = self.trusted
        failing = [value for value, level in trusted.items() if self.bad(level)]
        for value, level in sorted(self.levels.items()):
            once, few = len(level.runs) == 1, len(level.runs) < _VISITS
            above = [x for v, x in trusted.items() if v > value]
            lowest = value in failing[:1] and not _near(value, failing)
            if (
                (few and value not in trusted)
                or (few and value in failing and (_split(level) or self._outdone(level, above)))
                or (once and lowest and (lone or self._surprises(value)))
                or (once and visits.slower_than_any(level.visits[0], self.below(value)))
            ):
                return value
        return None

    def _surprises(self, value: float) -> bool:
        """Return whether the levels below a failing one predict a clearly higher point."""
        samples = [sample for sample in self.samples if sample.level < value]
        if not samples:
            return True
        rate = self.limits.failure_rate
        before, now = crossing.crossing(samples, self.late(value), rate), self.estimate()
        return before is None or now is None or before > _CONFIRMS * now

    def again(self) -> Sending:
        """Probe the levels with odd results again."""
        while (value := self.odd()) is not None:
            yield from self.repeat(value)

    @abstractmethod
    def odd(self) -> float | None:
        """Return a level to probe again, if the budget allows it."""

    @abstractmethod
    def repeat(self, value: float) -> Sending:
        """Probe a level again."""

    def _outdone(self, level: Level, above: Sequence[Level]) -> bool:
        """Return whether a level above fails less often than this one."""
        return any(
            not self.bad(other) or visits.worse(_pooled(level), other.counted()) > _ODD
            for other in above
        )

    def fits(self, late: Callable[[Level], float]) -> bool:
        """Return whether no level failed more or less often than predicted, beyond chance.

        `late` predicts the share of a level's requests that the deadline cuts off. A level that
        fails more often than one above it is pooled with that one.
        """
        others = crossing.background(self.samples, self.limits.failure_rate)
        levels = [*self.trusted.values()]
        cut = [late(level) for level in reversed(levels)][
            ::-1
        ]  # a replay that finds no failures is then reused for fewer clients
        n = [len(level.seen()[0].failed) for level in levels]
        fitted = stats.rising([level.seen()[1][0] for level in levels], n)
        for share in set(fitted):
            block = [i for i, one in enumerate(fitted) if one == share]
            shares = [crossing.both(cut[i], others(levels[i].value)) for i in block]
            said = np.average(shares, weights=[n[i] for i in block])
            runs = [run for i in block for run in levels[i].counted()]
            effect = clustered.design_effect([visits.flags(run) for run in runs])
            effect = max(effect, max(levels[i].burst for i in block) / _MEMORY)
            low, high = clustered.interval(share, max(sum(n[i] for i in block) / effect, 1))
            if not low - _ROUNDING <= said <= high + _ROUNDING:
                return False
        return True

    def _crossing(self, late: crossing.Curve, errors: float = 0.0) -> float | None:
        """Return the level at which the rate is crossed, within the certain levels."""
        found = crossing.crossing(self.samples, late, self.limits.failure_rate, errors)
        return self._inside(found)

    def _inside(self, found: float | None) -> float | None:
        low, high = self.bounds()
        if high == self.limits.start:
            return high
        if high is not None and (found is None or found >= high):
            held = max((v for v in self.trusted if v < high), default=high)
            clients = self.limits.alone is None  # of whom there is no number just below
            return (held + high) / 2 if clients else max((held + high) / 2, high / _JUST)
        if low is not None and found is not None and found <= low:
            return min(low * _JUST, (low + high) / 2 if high else math.inf)
        return found

    @abstractmethod
    def late(self, below: float = math.inf) -> crossing.Curve:
        """Return a quick estimate of the share that the deadline cuts off, over the level.

        It uses the levels `below` a level.
        """

    @abstractmethod
    def queue(self) -> queue_replay.Queue | None:
        """Return the server's queue, or None if no request had to wait."""

    @abstractmethod
    def replayed(self, queue: queue_replay.Queue) -> crossing.Curve:
        """Return the share that the deadline cuts off in this queue, over the level."""

    @abstractmethod
    def spread(self) -> float:
        """Return the standard error of the estimate's logarithm."""

    def done(self) -> bool:
        """Return whether more probes would not help, or the budget does not allow them."""
        low, high = self.bounds()
        if self.limited or high == self.limits.start:
            return True
        narrow = low is not None and high is not None and high - low <= max(1, TOLERANCE * high)
        return self.left < LEAST or (narrow and self.limits.alone is None)

    def found(self) -> FailurePoint:
        """Return the result of the search."""
        estimator, late = self.best() if self.reached else (None, None)
        estimate = self._crossing(late) if late else self._between() if estimator else None
        proven = self.bounds()
        at = math.inf if estimate is None else estimate
        bad = {v: self.bad(level) for v, level in self.trusted.items()}
        failing = min(
            (v for v, x in bad.items() if x and (v >= at or v == proven[1])), default=None
        )
        top = math.inf if failing is None else failing
        passing = max((v for v, x in bad.items() if not x and v < top), default=None)
        interval: tuple[float | None, float | None] | None = None
        if estimate:
            interval = self.interval(late, estimate, passing, failing)
        beside = self._beside(estimate) if estimate else (passing, failing)
        if self.reached and degradation.wide(*beside, whole=self.limits.alone is None):
            estimator, estimate, interval = "bracket", None, beside
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
            beside if self.reached else None,
            estimate is not None and None not in self.confirmed(estimate),
        )

    def confirmed(self, estimate: float) -> tuple[float | None, float | None]:
        """Return a passing level at most a tenth below an estimate, and a failing one above it."""
        low, high = around(estimate, whole=self.limits.alone is None)
        holds = [v for v, x in self.trusted.items() if low <= v <= estimate and self.holds(x)]
        fails = [v for v, x in self.trusted.items() if estimate <= v <= high and self.failed(x)]
        return max(holds, default=None), min(fails, default=None)

    def holds(self, level: Level) -> bool:
        """Return whether at most the rate failed at a level."""
        return level.seen()[1][0] <= self.limits.failure_rate

    def failed(self, level: Level) -> bool:
        """Return whether a level failed."""
        return not self.holds(level)

    def _beside(self, estimate: float) -> tuple[float | None, float]:
        """Return the levels next to an estimate; the lower one does not clearly fail.

        A failing level within a tenth of the estimate counts as above it. If there is no level
        above, the estimate itself is the upper one.
        """
        most = 2 * self.limits.failure_rate
        near = {v: x for v, x in self.trusted.items() if v <= estimate * _CONFIRMS}
        lower = [
            v
            for v, x in near.items()
            if not self.bad(x) or (v <= estimate and x.seen()[1][0] <= most)
        ]
        below = max(lower, default=0.0)
        upper = [
            v
            for v, x in self.trusted.items()
            if v > below and (v >= estimate or (v >= estimate / _CONFIRMS and self.bad(x)))
        ]
        return below or None, min(upper, default=max(estimate, below))

    def best(self) -> tuple[str, crossing.Curve | None]:
        """Return the best estimator that fits all measured levels, and its curve."""
        queue = self.queue()
        curves = [("queue_replay", self.replayed(queue))] if queue else []
        for estimator, late in [*curves, ("product_limit", self.late())]:
            if self.fits(_by_level(late)):
                return estimator, late
        return "crossing", None

    def _between(self) -> float | None:
        """Return where the measured shares cross the rate, within the certain levels."""
        shares = [(value, *level.seen()) for value, level in self.trusted.items()]
        rows = [(value, seen[0], len(sample.failed)) for value, sample, seen in shares]
        return self._inside(crossing.interpolated(rows, self.limits.failure_rate))

    def reason(self) -> str:
        """Return why the search stopped."""
        if self.stopped:
            return "stopped"
        if self.limited:
            return "client_limited"
        if not self.reached:
            return "maximum" if max(self.levels) >= self.limits.maximum else "budget"
        if self.bounds()[1] == self.limits.start:
            return "fails_at_start"
        return "budget" if self.left < LEAST else "bracketed"

    def interval(
        self,
        late: crossing.Curve | None,
        estimate: float,
        passing: float | None,
        failing: float | None,
    ) -> tuple[float, float]:
        """Return the interval of the estimate; it contains the bracket.

        It is made from the standard errors of the estimate and of the share of other failures.
        """
        half = 1.0
        if late:
            ends = [self._crossing(late, errors) or estimate for errors in (1, -1)]
            off = max(abs(math.log(end / estimate)) for end in ends)
            half = math.exp(_Z * math.hypot(self.spread(), off))
        low, high = passing or estimate, failing or estimate
        return min(estimate / half, low), max(estimate * half, high)


def around(estimate: float, *, whole: bool, by: float = 0.1) -> tuple[float, float]:
    """Return the levels a share `by` below and above an estimate.

    If levels are `whole` numbers of clients, they are rounded but stay on their side.
    """
    low, high = (1 - by) * estimate, (1 + by) * estimate
    if not whole:
        return low, high
    return min(round(low), math.ceil(estimate) - 1), max(round(high), math.floor(estimate) + 1)


def _near(value: float, failing: Sequence[float]) -> bool:
    """Return whether another failing level lies just above this one."""
    return any(value < other <= _CONFIRMS * value for other in failing)


def _split(level: Level) -> bool:
    """Return whether a visit to a level fails more often than its others."""
    runs = level.counted()
    others = [[other for other in runs if other is not run] for run in runs]
    pairs = zip(runs, others, strict=True)
    return any(rest and visits.worse(run, rest) > _ODD for run, rest in pairs)


def _pooled(level: Level) -> list[Request]:
    return [record for run in level.counted() for record in run]


def _by_level(late: crossing.Curve) -> Callable[[Level], float]:
    """Return a curve as a function of a level."""
    return lambda level: late(level.value)
