"""Where a server fails: how a search rises and narrows, in a closed and in an open loop.

The search rises until a level fails or latency says that the next one would, then goes back and
forth around the estimate. What it asks for and how it ends is in `search`.
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

_STEP = 30  # requests between two looks
_LAST = 60  # requests of the rate that should hold
_PROBE, _RESERVE = 40, 200  # requests of a rate, and those that must be left to try the next
_ALONE = 50  # requests of one client, beside the baseline's
_BEND = 0.32  # of the budget, that the degradation point gets at most
_AGAIN = 30  # requests, at least, of a level that is probed again
_FAILS = 1.07  # times a point, where a level that fails confirms it though it moves a little
_CUT_OFF = 16  # deadlines that a schedule so far above must last until enough is cut off
_NEAR = 1.3  # times a level is near enough to look for the point from it
_LEAP = 16  # clients up to which a level rises to its fourfold where the point is far, then doubles


def search(limits: Limits) -> Search:
    """Yield probes; send each one's records, in order of sending, every one followed to its end.

    Returns the failure point (the generator's value). Sending no records ends the search.
    """
    kind = _Closed(limits) if limits.alone is None else _Open(limits, limits.alone)
    try:
        yield from kind.bend()
        yield from kind.rise()
        while kind.reached:
            yield from kind.narrow()
            left = kind.left
            if kind.done() or kind.estimate() is not None:
                break
            yield from kind.rise()  # what had failed was a disturbance
            if kind.left == left:
                break  # it has nothing to ask for
    except StoppedError:
        kind.stopped = True
    return kind.found()


def clients_at(
    levels: Runs, deadline_ns: float, rate: float, think_ns: float = 0.0
) -> float | None:
    """Return the number of clients at which a deadline's failures and others cross `rate`.

    From the counted runs by level, in which no request waited less than this deadline. Where the
    server's queue is not known, nor is what a request given up earlier would have spared the
    others: the true point is then a little higher.
    """
    queue, samples = _clients_queue(levels), _samples(levels)
    if queue:
        return crossing.crossing(samples, queue_replay.closed(queue, deadline_ns, think_ns), rate)
    beyond = [s.timed_out | (s.latency > deadline_ns) for s in samples]
    late = [i for i, cut in enumerate(beyond) if cut.mean() > 2 * rate]
    kept = samples[: late[0] + 1] if late else samples  # what is far beyond the point tells nothing
    return crossing.crossing(kept, crossing.beyond(kept, deadline_ns, think_ns), rate)


def rate_at(levels: Runs, deadline_ns: float, rate: float, alone: open_loop.Idle) -> float | None:
    """Return the requests per second at which a deadline's failures and others cross `rate`."""
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
    """Return the queue behind the highest levels, None where not all of them had to wait."""
    near = [level for level in levels if level >= crossing.NEAR * max(levels)]
    return queue_replay.seen([run for level in near for run in levels[level]], min(near))


def _rates_queue(
    runs: Sequence[Sequence[Request]], alone: open_loop.Idle
) -> queue_replay.Queue | None:
    """Return the queue behind some probes, None where nobody had to wait."""
    return queue_replay.seen(runs, math.inf) if open_loop.capacity(runs, alone) else None


def least(start: float, maximum: float, *, rates: bool) -> int:
    """Return the requests that reach a maximum where each level is twice the one before."""
    levels = [start]
    while levels[-1] < maximum:
        levels.append(min(2 * levels[-1], maximum))
    if rates:
        return _PROBE * len(levels) + (_RESERVE - _PROBE if len(levels) > 1 else 0)
    return sum(math.ceil(_begins(level)) for level in levels)


def _share(limits: Limits) -> float:
    """Return the requests that the degradation point gets: none that the maximum needs."""
    spare = limits.budget - least(limits.start, limits.maximum, rates=False)
    share = _BEND * limits.budget
    return share if spare < 0 else min(share, spare)


def _begins(value: float) -> float:
    """Return the requests that a number of clients is probed with at first."""
    return value + max(LEAST, value * 0.8)


def _again(value: float) -> float:
    """Return the requests that a level is probed with again."""
    return value + max(_AGAIN, value / 2)


class _Closed(Pursuit):
    """Levels are whole numbers of clients; their first round, one burst, is sent but not judged."""

    def late(self, below: float = math.inf) -> crossing.Curve:
        samples = [sample for sample in self.samples if sample.level < below]
        return crossing.beyond(samples, self.limits.deadline_ns, self.limits.think_ns)

    def queue(self) -> queue_replay.Queue | None:
        return _clients_queue({value: level.visits for value, level in self.levels.items()})

    def replayed(self, queue: queue_replay.Queue) -> crossing.Curve:
        return queue_replay.closed(queue, self.limits.deadline_ns, self.limits.think_ns)

    def spread(self) -> float:
        """Return the relative standard error of a quantile of latency / level.

        A latency is a sum over as many services as there are clients, so n latencies at a level
        hold n / level independent ones; of that many, a normal quantile z standard deviations out
        has an error of √(1 + z²/2) standard deviations of the mean.
        """
        top = max(s.level for s in self.samples)
        near = [s for s in self.samples if s.level >= top / 2]
        independent = sum(len(s.latency) / s.level for s in near)
        scaled = np.concatenate([s.latency / s.level for s in near])
        z = NormalDist().inv_cdf(self.limits.failure_rate)
        cv = float(scaled.std() / scaled.mean())
        return cv * math.sqrt((1 + z * z / 2) / independent)

    def begin(self, value: int) -> Sending:
        yield from self.send(value, _begins(value), burst=value)

    def bend(self) -> Sending:
        """Bracket the lowest degradation point with a share of the budget."""
        value = int(self.limits.start)
        end = self.left - _share(self.limits)
        if value == 1 and self.left - end > _ALONE:
            yield from self.send(1, _ALONE, burst=1)
        while wanted := self._bend_wants():
            value, count = wanted[0], sum(wanted)
            if self.left - count < end or value < self.limits.start or self.given_up(value):
                return
            yield from self.send(value, count, burst=value, fresh=True)
            yield from self.again()

    def repeat(self, value: float) -> Sending:
        yield from self.send(value, _again(value), burst=int(value), fresh=True)

    def odd(self) -> float | None:
        reserve = self.reserve(self.estimate() or 1.0)
        for lone, kept in ((True, reserve), (False, 0.0)):
            value = self.doubtful(lone=lone)
            if value is not None and self.left >= value + LEAST + kept:
                return value
        return None

    def _bend_wants(self) -> tuple[int, int] | None:
        known = {v: [r for run in x.counted() for r in run] for v, x in self.levels.items()}
        limits = self.limits
        return degradation.wanted(known, limits.baseline, limits.factor, limits.maximum)

    def rise(self) -> Sending:
        """Rise until a level fails, or until latency says that the next one would."""
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
        """Return the level after one, where the point is `far`: just below it, then just above."""
        most = max(2 * value, min(4 * value, _LEAP))
        return math.ceil(min(most, max(0.97 * far, min(1.25 * value, _FAILS * far))))

    def narrow(self) -> Sending:
        """Spend the rest in turn just below and just above the estimate as it moves."""
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
                value = int(self.last or value)  # too little is left to fill the server up again
            yield from self.stay(value, point, above=above)
            yield from self.again()
            above = not above and self.held(point)

    def under(self, point: float) -> int:
        """Return a level below that should hold: next to one that fails, or some percent down."""
        near = point / degradation.WIDEST  # what fails farther below does so by chance
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
        """Return whether a level was sent near below the estimate: else it is no number."""
        near = point / degradation.WIDEST, point * (1 + TOLERANCE)
        return any(near[0] <= value <= near[1] for value in self.trusted)

    def over(self, point: float) -> int:
        """Return a level above that may fail: half way to one that does, or some percent up."""
        failed = min((v for v, x in self.trusted.items() if v >= point and self.bad(x)), default=0)
        if not failed:
            return math.ceil(point * _FAILS)
        held = [v for v, x in self.trusted.items() if v < failed and not self.bad(x)]
        return math.ceil((max(held, default=point) + failed) / 2)

    def held(self, point: float) -> bool:
        """Return whether a level just below the estimate was seen to hold.

        Where all near it fail, nothing is known of how far below the point is.
        """
        rate = self.limits.failure_rate
        near = [x for v, x in self.trusted.items() if 0.8 * point < v < 1.02 * point]
        return any(level.seen()[1][0] <= rate for level in near)

    def unconfirmed(self, point: float) -> list[int]:
        """Return the levels that would confirm the estimate, but for a side that has one.

        They are not quite a tenth away: the estimate still moves.
        """
        sides = zip(around(point, whole=True, by=_FAILS - 1), self.confirmed(point), strict=True)
        most = self.limits.maximum
        return [int(level) for level, seen in sides if seen is None and 1 <= level <= most]

    def reserve(self, point: float) -> float:
        """Return the requests that confirming the estimate takes."""
        return sum(map(_begins, self.unconfirmed(point)))

    def missing(self, point: float) -> list[int]:
        """Return the levels that are left to confirm the estimate, once it is time for them.

        One of them may have to be probed again.
        """
        if self.left > self.reserve(point) + _again(_FAILS * point) + _STEP:
            return []
        return [value for value in self.unconfirmed(point) if self.left >= value + LEAST]

    def confirm(self, value: int) -> Sending:
        """Measure a level that may confirm the estimate."""
        yield from self.send(value, _begins(value), burst=value, fresh=True)
        yield from self.again()

    def stay(self, value: int, point: float, *, above: bool) -> Sending:
        """Measure a level until it has had its share or the estimate has left it.

        A level that fails tells less than one that holds, so it gets half of the other's share.
        What is left at the end is kept for a level that must be probed again.
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
    """Levels are requests per second; each probe starts on an idle server."""

    def __init__(self, limits: Limits, alone: open_loop.Idle) -> None:
        super().__init__(limits)
        self.alone = alone
        self.backlogs: dict[tuple[float, int], tuple[bool, bool]] = {}
        self.tried_above = False  # of the point, for as long as shows that it fails

    @property
    def runs(self) -> list[list[Request]]:
        return self.below(math.inf)

    def late(self, below: float = math.inf) -> crossing.Curve:
        return open_loop.late(self.below(below), self.alone, self.limits.deadline_ns)

    def queue(self) -> queue_replay.Queue | None:
        return _rates_queue(self.runs, self.alone)

    def best(self) -> tuple[str, crossing.Curve | None]:
        """Return the replay where it fits, else the share in heavy traffic.

        The levels' own shares would say nothing: they are of short schedules.
        """
        queue = self.queue()
        if queue and self.fits(lambda level: self.scheduled(queue, level)):
            return "queue_replay", self.replayed(queue)
        return "heavy_traffic", self.late()

    def scheduled(self, queue: queue_replay.Queue, level: Level) -> float:
        """Return the share of a level's own schedules that the queue would cut off.

        They begin on an idle server, so it is less than such a rate has in the long run.
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

    def fell(self, level: Level) -> bool:
        return super().fell(level) or self.backlog(level)[1]

    def backlog(self, level: Level) -> tuple[bool, bool]:
        """Return whether much of a level's load waited, and whether a backlog grew."""
        key = (level.value, level.issued)
        if key not in self.backlogs:
            alone, rate = self.alone, self.limits.failure_rate
            runs = level.visits
            grows = [open_loop.backlog(run, level.value, alone, rate).grows for run in runs]
            waits = open_loop.capacity(runs, self.alone) is not None
            self.backlogs[key] = (waits, any(grows))
        return self.backlogs[key]

    def bend(self) -> Sending:
        """Ask for nothing: a latency that rises with the backlog has no point."""
        yield from ()

    def rise(self) -> Sending:
        """Double the rate until a backlog grows or requests fail."""
        self.reached = False
        value = max(self.levels, default=self.limits.start)
        if value in self.levels and self.left >= _RESERVE:
            yield from self.send(value, _PROBE, fresh=True)  # it said too little
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
        """Probe a rate that was not seen, again while our own process is the limit."""
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
        """Measure the capacity where it is exceeded; the last probe is one that should hold."""
        while not self.done() and (point := self.estimate()) is not None:
            yield from self.again()
            point = self.estimate() or point
            last = self.left < _LAST + _PROBE
            until_cut = 4 * self.limits.deadline_ns / 1e9 * point
            count = self.left if last else min(max(min(until_cut, 150), _PROBE), self.left - _LAST)
            value = _rounded(point * (0.9 if last else 1.25))
            above = math.ceil(_CUT_OFF * self.limits.deadline_ns / 1e9 * _FAILS * point)
            if 0 <= self.left - above - _LAST < count and not self.tried_above:
                value, count, self.tried_above = _rounded(point * _FAILS), above, True
            if self.given_up(value):
                self.limited = True
                return
            yield from self.send(value, count, fresh=True)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
