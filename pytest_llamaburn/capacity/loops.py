"""The search for the failure point, in a closed loop (clients) and in an open loop (rates).

The search rises until a level fails, or until latency predicts that the next one would. Then it
probes levels just below and just above the estimate. `search` has what both loops share.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from pytest_llamaburn.capacity import crossing, degradation, open_loop, queue_replay
from pytest_llamaburn.capacity.search import (
    LEAST,
    TOLERANCE,
    Level,
    Limits,
    Pursuit,
    Search,
    Sending,
    StoppedError,
    around,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from pytest_llamaburn.load.rows import Request

    Runs: TypeAlias = Mapping[float, Sequence[Sequence[Request]]]  # by level

_STEP = 30  # requests between two estimates
_LAST = 60  # requests of the rate that should pass
_PROBE, _RESERVE = 40, 200  # requests of a rate; requests that must be left for the next rate
_ALONE = 50  # requests of one client, beside the baseline's
_DEGRADATION_SHARE = 0.32  # maximum share of the budget for the degradation point
_AGAIN = 30  # minimum requests of a repeated probe
_FAILS = 1.07  # factor above a point; a failing level there still confirms a moved estimate
_CUT_OFF = 16  # length of a schedule above the point, in deadlines
_NEAR = 1.3  # within this factor, a level is near the point
_LEAP = 16  # below this many clients and far from the point, levels quadruple; above, they double


def search(limits: Limits) -> Search:
    """Yield probes, take the finished requests of each, and return the failure point.

    Requests are sent into the generator in order of sending. Sending none ends the search.
    """
    kind = ClosedLoop(limits) if limits.alone is None else _Open(limits, limits.alone)
    try:
        yield from kind.bracket_degradation_point()
        yield from kind.rise()
        while kind.reached:
            yield from kind.narrow()
            left = kind.left
            if kind.done() or kind.estimate() is not None:
                break
            yield from kind.rise()  # the failure was a disturbance
            if kind.left == left:
                break  # nothing is left to probe
    except StoppedError:
        kind.stopped = True
    return kind.found()


def clients_at(
    levels: Runs, deadline_ns: float, rate: float, think_ns: float = 0.0
) -> float | None:
    """Return the number of clients at which the share of failures crosses `rate`.

    `levels` are the counted runs; their deadline was not shorter than `deadline_ns`. If the queue
    is not known, the effect of requests that are given up earlier is not known either: the true
    point is then a little higher.
    """
    queue, samples = _clients_queue(levels), _samples(levels)
    if queue:
        return crossing.crossing(samples, queue_replay.closed(queue, deadline_ns, think_ns), rate)
    beyond = [s.timed_out | (s.latency > deadline_ns) for s in samples]
    late = [i for i, cut in enumerate(beyond) if cut.mean() > 2 * rate]
    kept = (
        samples[: late[0] + 1] if late else samples
    )  # levels far above the point have another queue
    return crossing.crossing(kept, crossing.beyond(kept, deadline_ns, think_ns), rate)


def rate_at(levels: Runs, deadline_ns: float, rate: float, alone: open_loop.Idle) -> float | None:
    """Return the requests per second at which the share of failures crosses `rate`."""
    runs = [run for several in levels.values() for run in several]
    queue = _rates_queue(runs, alone)
    late = (
        queue_replay.opened(queue, runs, deadline_ns)
        if queue
        else open_loop.late(runs, alone, deadline_ns)
    )
    return crossing.crossing(_samples(levels), late, rate)


def _samples(levels: Runs) -> list[crossing.Sample]:
    return [
        crossing.sample(level, [record for run in runs for record in run])
        for level, runs in sorted(levels.items())
    ]


def _clients_queue(levels: Runs) -> queue_replay.Queue | None:
    """Return the queue behind the highest levels, or None if not all clients had to wait."""
    near = [level for level in levels if level >= crossing.NEAR * max(levels)]
    return queue_replay.seen([run for level in near for run in levels[level]], min(near))


def _rates_queue(
    runs: Sequence[Sequence[Request]], alone: open_loop.Idle
) -> queue_replay.Queue | None:
    """Return the queue behind some probes, or None if no request had to wait."""
    return queue_replay.seen(runs, math.inf) if open_loop.capacity(runs, alone) else None


def least(start: float, maximum: float, *, rates: bool) -> int:
    """Return the number of requests that reach the maximum by doubling the level."""
    levels = [start]
    while levels[-1] < maximum:
        levels.append(min(2 * levels[-1], maximum))
    if rates:
        return _PROBE * len(levels) + (_RESERVE - _PROBE if len(levels) > 1 else 0)
    return sum(math.ceil(_begins(level)) for level in levels)


def _share(limits: Limits) -> float:
    """Return the number of requests for the degradation point; the maximum comes first."""
    spare = limits.budget - least(limits.start, limits.maximum, rates=False)
    share = _DEGRADATION_SHARE * limits.budget
    return share if spare < 0 else min(share, spare)


def _begins(value: float) -> float:
    """Return the number of requests of the first probe of a level."""
    return value + max(LEAST, value * 0.8)


def _again(value: float) -> float:
    """Return the number of requests of a repeated probe."""
    return value + max(_AGAIN, value / 2)


class ClosedLoop(Pursuit):
    """A closed loop: levels are numbers of clients; each one's first request is not counted."""

    def late(self, below: float = math.inf) -> crossing.Curve:
        """Count the requests that took longer than the deadline."""
        samples = [sample for sample in self.samples if sample.level < below]
        return crossing.beyond(samples, self.limits.deadline_ns, self.limits.think_ns)

    def queue(self) -> queue_replay.Queue | None:
        """Return the queue behind the highest levels."""
        return _clients_queue({value: level.visits for value, level in self.levels.items()})

    def replayed(self, queue: queue_replay.Queue) -> crossing.Curve:
        """Replay the queue with a fixed number of clients."""
        return queue_replay.closed(queue, self.limits.deadline_ns, self.limits.think_ns)

    def spread(self) -> float:
        """Return the relative standard error of a quantile of latency / level.

        A latency is a sum of as many services as there are clients, so n latencies at a level are
        worth n / level independent ones. The standard error of a normal quantile, z standard
        deviations from the mean, is √(1 + z²/2) times that of the mean.
        """
        top = max(s.level for s in self.samples)
        near = [s for s in self.samples if s.level >= top / 2]
        independent = sum(len(s.latency) / s.level for s in near)
        scaled = np.concatenate([s.latency / s.level for s in near])
        z = NormalDist().inv_cdf(self.limits.failure_rate)
        cv = float(scaled.std() / scaled.mean())
        return cv * math.sqrt((1 + z * z / 2) / independent)

    def begin(self, value: int) -> Sending:
        """Probe a level for the first time: all clients send at once."""
        yield from self.send(value, _begins(value), burst=value)

    def bracket_degradation_point(self) -> Sending:
        """Bracket the lowest degradation point with a share of the budget."""
        value = int(self.limits.start)
        end = self.left - _share(self.limits)
        if value == 1 and self.left - end > _ALONE:
            yield from self.send(1, _ALONE, burst=1)
        while wanted := self._next_for_degradation():
            value, count = wanted[0], sum(wanted)
            if self.left - count < end or value < self.limits.start or self.given_up(value):
                return
            yield from self.send(value, count, burst=value, fresh=True)
            yield from self.again()

    def repeat(self, value: float) -> Sending:
        """Probe a level again, from an idle server."""
        yield from self.send(value, _again(value), burst=int(value), fresh=True)

    def odd(self) -> float | None:
        """Return the most doubtful level; first those that only one probe supports."""
        reserve = self.reserve(self.estimate() or 1.0)
        for lone, kept in ((True, reserve), (False, 0.0)):
            value = self.doubtful(lone=lone)
            if value is not None and self.left >= value + LEAST + kept:
                return value
        return None

    def _next_for_degradation(self) -> tuple[int, int] | None:
        known = {v: [r for run in x.counted() for r in run] for v, x in self.levels.items()}
        limits = self.limits
        return degradation.wanted(known, limits.baseline, limits.factor, limits.maximum)

    def rise(self) -> Sending:
        """Rise until a level fails, or until latency predicts that the next one would."""
        self.reached = False
        value = int(max(self.levels, default=self.limits.start))
        while True:
            if value not in self.levels:
                yield from self.begin(value)
            yield from self.again()
            point = self.estimate()
            far = 2 * value if point is None else point
            level = self.trusted.get(value)
            if level is None and self.levels[value].limited:
                self.limited = True
                return
            if (level and self.fails(level)) or far <= value * (1 + TOLERANCE):
                self.reached = True
                return
            if value >= self.limits.maximum or self.left < 3 * value:
                self.reached = value < self.limits.maximum and far <= _NEAR * value
                return
            value = min(self.next(value, far), int(self.limits.maximum))

    def next(self, value: int, far: float) -> int:
        """Return the next level: first just below the estimate `far`, then just above it."""
        most = max(2 * value, min(4 * value, _LEAP))
        return math.ceil(min(most, max(0.97 * far, min(1.25 * value, _FAILS * far))))

    def narrow(self) -> Sending:
        """Spend the rest of the budget alternately just below and just above the estimate."""
        above = False
        while not self.done() and (point := self.estimate()) is not None:
            if missing := self.missing(point):
                yield from self.confirm(missing[0])
                continue
            above = above and (self.beside(point) or self.left > 4 * point)
            below = self.under(point)
            value = max(self.over(point), below + 1) if above else below
            value = min(max(value, 1), int(self.limits.maximum))
            if self.left < value + LEAST:
                value = int(self.last or value)  # too little is left to start another level
            yield from self.stay(value, point, above=above)
            yield from self.again()
            above = not above and self.held(point)

    def under(self, point: float) -> int:
        """Return a level below the estimate that should pass."""
        near = point / degradation.WIDEST  # failures farther below are chance
        failed = int(
            min((v for v, x in self.trusted.items() if v >= near and self.bad(x)), default=0)
        )
        held = max(
            (v for v, x in self.trusted.items() if v < failed and not self.bad(x)), default=0
        )
        if failed and failed - held <= max(2, TOLERANCE * failed):
            return failed - 1
        return math.floor(point * (0.96 if self.held(point) else 0.92))

    def beside(self, point: float) -> bool:
        """Return whether a level just below the estimate was measured."""
        near = point / degradation.WIDEST, point * (1 + TOLERANCE)
        return any(near[0] <= value <= near[1] for value in self.trusted)

    def over(self, point: float) -> int:
        """Return a level above the estimate that may fail."""
        failed = min((v for v, x in self.trusted.items() if v >= point and self.bad(x)), default=0)
        if not failed:
            return math.ceil(point * _FAILS)
        held = [v for v, x in self.trusted.items() if v < failed and not self.bad(x)]
        return math.ceil((max(held, default=point) + failed) / 2)

    def held(self, point: float) -> bool:
        """Return whether a level just below the estimate passed.

        If all levels near it fail, the point may be much lower.
        """
        rate = self.limits.failure_rate
        near = [x for v, x in self.trusted.items() if 0.8 * point < v < 1.02 * point]
        return any(level.seen()[1][0] <= rate for level in near)

    def unconfirmed(self, point: float) -> list[int]:
        """Return the levels that are missing to confirm the estimate.

        They are a little nearer than a tenth, because the estimate still moves.
        """
        sides = zip(around(point, whole=True, by=_FAILS - 1), self.confirmed(point), strict=True)
        most = self.limits.maximum
        return [int(level) for level, seen in sides if seen is None and 1 <= level <= most]

    def reserve(self, point: float) -> float:
        """Return the number of requests needed to confirm the estimate."""
        return sum(map(_begins, self.unconfirmed(point)))

    def missing(self, point: float) -> list[int]:
        """Return the levels to confirm the estimate with, once the budget is nearly used up.

        The budget for one repeated probe is kept.
        """
        if self.left > self.reserve(point) + _again(_FAILS * point) + _STEP:
            return []
        return [value for value in self.unconfirmed(point) if self.left >= value + LEAST]

    def confirm(self, value: int) -> Sending:
        """Measure a level that may confirm the estimate."""
        yield from self.send(value, _begins(value), burst=value, fresh=True)
        yield from self.again()

    def stay(self, value: int, point: float, *, above: bool) -> Sending:
        """Measure a level until its share is used up or the estimate has moved away.

        A failing level gets half the share, because it carries less information. The rest of the
        budget is kept for a repeated probe.
        """
        if self.given_up(value):
            self.limited = True
            return
        again, confirms = _again(max(value, _FAILS * point)), self.reserve(point)
        wanted = (again + confirms, max(again, confirms))
        kept = next((some for some in wanted if self.left > some + LEAST), 0)
        if value != self.last:
            yield from self.begin(value)
        else:
            yield from self.send(value, min(_STEP, self.left), burst=value)
        fails = value in self.trusted and self.bad(self.trusted[value])
        turn = (0.7 if above and fails else 1.5) * max(4 * value, 120)
        end = max(self.left - turn, kept)
        while self.last and self.left - end > 0 and not self.done() and self.odd() is None:
            moved = abs((self.estimate() or point) / point - 1) > 0.1
            level = self.trusted.get(value)
            worse = level is None or level.seen()[1][0] > 2 * self.limits.failure_rate
            if (moved or (worse and not self.held(point))) and self.left > value + _STEP:
                return
            yield from self.send(value, min(_STEP, self.left - end))


class _Open(Pursuit):
    """An open loop: levels are requests per second. Each probe starts on an idle server."""

    def __init__(self, limits: Limits, alone: open_loop.Idle) -> None:
        super().__init__(limits)
        self.alone = alone
        self.backlogs: dict[tuple[float, int], tuple[bool, bool]] = {}
        self.tried_above = False  # whether a long schedule above the point was tried

    @property
    def runs(self) -> list[list[Request]]:
        return self.below(math.inf)

    def late(self, below: float = math.inf) -> crossing.Curve:
        return open_loop.late(self.below(below), self.alone, self.limits.deadline_ns)

    def queue(self) -> queue_replay.Queue | None:
        return _rates_queue(self.runs, self.alone)

    def best(self) -> tuple[str, crossing.Curve | None]:
        """Return the replay if it fits, otherwise the share in heavy traffic.

        The measured shares do not count, because they belong to short schedules.
        """
        queue = self.queue()
        if queue and self.fits(lambda level: self.scheduled(queue, level)):
            return "queue_replay", self.replayed(queue)
        return "heavy_traffic", self.late()

    def scheduled(self, queue: queue_replay.Queue, level: Level) -> float:
        """Return the share of a level's own schedules that the queue would cut off.

        They start on an idle server, so the share is smaller than in the long run.
        """
        return queue_replay.scheduled(queue, level.visits, self.limits.deadline_ns)

    def replayed(self, queue: queue_replay.Queue) -> crossing.Curve:
        return queue_replay.opened(queue, self.runs, self.limits.deadline_ns)

    def spread(self) -> float:
        return open_loop.precision(self.runs, self.alone)

    def fails(self, level: Level) -> bool | None:
        found = super().fails(level)
        if found:
            return True
        waits, grows = self.backlog(level)
        return True if grows else None if waits else found

    def bad(self, level: Level) -> bool:
        return super().bad(level) or any(self.backlog(level))

    def failed(self, level: Level) -> bool:
        return super().failed(level) or self.backlog(level)[1]

    def backlog(self, level: Level) -> tuple[bool, bool]:
        """Return whether much of a level's load had to wait, and whether a backlog grew."""
        key = (level.value, level.issued)
        if key not in self.backlogs:
            alone, rate = self.alone, self.limits.failure_rate
            runs = level.visits
            grows = [open_loop.backlog(run, level.value, alone, rate).grows for run in runs]
            waits = open_loop.capacity(runs, self.alone) is not None
            self.backlogs[key] = (waits, any(grows))
        return self.backlogs[key]

    def bracket_degradation_point(self) -> Sending:
        """Probe nothing: in an open loop, latency depends on the length of the schedule."""
        yield from ()

    def rise(self) -> Sending:
        """Double the rate until a backlog grows or requests fail."""
        self.reached = False
        value = max(self.levels, default=self.limits.start)
        if value in self.levels and self.left >= _RESERVE:
            yield from self.send(value, _PROBE, fresh=True)  # its first probe was too short
        while True:
            yield from self.first(value)
            yield from self.again()
            if value not in self.trusted:
                self.limited = True
                return
            if self.fails(self.levels[value]) or self.over(value):
                self.reached = True
                return
            if value >= self.limits.maximum or self.left < _RESERVE:
                return
            value = min(2 * value, self.limits.maximum)

    def first(self, value: float) -> Sending:
        """Probe a new rate, and repeat the probe while our own process is the bottleneck."""
        if value not in self.levels:
            yield from self.send(value, _PROBE, fresh=True)
        while value not in self.trusted and not self.given_up(value) and self.left >= LEAST:
            yield from self.send(value, _PROBE, fresh=True)

    def odd(self) -> float | None:
        value = self.doubtful()
        return value if self.left > _PROBE + _LAST else None

    def repeat(self, value: float) -> Sending:
        yield from self.send(value, _PROBE, fresh=True)

    def over(self, value: float) -> bool:
        most = open_loop.capacity(self.levels[value].visits, self.alone)
        return most is not None and value > 1.1 * most

    def narrow(self) -> Sending:
        """Measure the capacity above the point, and towards the end a rate that should pass."""
        while not self.done() and (point := self.estimate()) is not None:
            yield from self.again()
            point = self.estimate() or point
            value, count = self._next(point)
            if self.given_up(value):
                self.limited = True
                return
            yield from self.send(value, count, fresh=True)

    def _next(self, point: float) -> tuple[float, float]:
        """Return the next rate and its number of requests.

        The budget holds two schedules below the point, because one may be disturbed.
        """
        spare = 0 if self._passes_below(point) else 2 * _LAST
        if spare and self.left < spare + _PROBE:
            return _rounded(0.9 * point), self.left if self.left < spare else _LAST
        until_cut = 4 * self.limits.deadline_ns / 1e9 * point
        count = min(max(min(until_cut, 150), _PROBE), self.left - spare)
        above = math.ceil(_CUT_OFF * self.limits.deadline_ns / 1e9 * _FAILS * point)
        if 0 <= self.left - above - spare < count and not self.tried_above:
            self.tried_above = True
            return _rounded(point * _FAILS), above
        return _rounded(1.25 * point), count

    def _passes_below(self, point: float) -> bool:
        """Return whether a level passes that is near enough to the point for an estimate."""
        return any(0.85 * point <= v <= point and not self.bad(x) for v, x in self.trusted.items())


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
