"""Integrate power to energy, check sensor data, and divide energy among concurrent requests.

Units are joules, watts and nanoseconds of one clock. This module does not depend on sensors or
requests.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, pairwise
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Points = list[tuple[int, float]]

MIN_COVERAGE = 0.8
GAP_PERIODS = 2.5  # two readings more than this many periods apart have a gap between them
COUNTER_AGREES = (0.8, 1.25)  # accepted range of counter / integrated power
FROZEN_S = 10.0  # a sensor is frozen if its value stays equal for longer while the load changes
SHORTEST_S = {"instant": 1.0, "counter": 1.0}  # shortest window by power kind; averages need 4 s
_SHORTEST_OTHER_S = 4.0
_FAST_PERIOD_S = 0.25


class Energy(NamedTuple):
    """The energy of a time window; `reason` says why the numbers are None.

    `joules` is gross energy. `watts` is the mean power in the window, `peak_watts` the highest
    reading. `coverage` is the share of the window without gaps between readings. `method` is
    counter, trapezoid or mixed.
    """

    joules: float | None = None
    watts: float | None = None
    peak_watts: float | None = None
    coverage: float = 0.0
    method: str | None = None
    reason: str | None = None

    @property
    def wh(self) -> float | None:
        """The energy in watt-hours."""
        return None if self.joules is None else self.joules / 3600


class Curve:
    """Energy over time: the integral of power, or a counter.

    Between readings power is interpolated linearly (trapezoids), also across a gap, which does not
    count as covered. Before the first and after the last reading the nearest power applies, and a
    counter does not change. The energies of adjacent windows therefore always add up.
    """

    def __init__(self, points: Sequence[tuple[int, float]], *, counter: bool = False) -> None:
        """Take at least two (ns, watts) or (ns, joules) pairs, ordered by time."""
        self.times = [t for t, _ in points]
        self.values = [value for _, value in points]
        self._counter = counter
        steps = [b - a for a, b in pairwise(self.times)]
        self.period_ns = median(steps)
        limit = GAP_PERIODS * self.period_ns
        parts = (0 if step > limit else step for step in steps)
        self._covered = [*accumulate(parts, initial=0)]
        areas = (
            (a + b) / 2 * step / 1e9
            for (a, b), step in zip(pairwise(self.values), steps, strict=True)
        )
        self._sums = self.values if counter else [*accumulate(areas, initial=0.0)]

    def joules(self, start_ns: int, end_ns: int) -> float:
        """Return the energy between two times."""
        return self._sum(end_ns) - self._sum(start_ns)

    def watts(self, t_ns: int) -> float:
        """Return the power at a time."""
        index, share = self._place(t_ns)
        low, high = self.values[index], self.values[index + 1]
        return low + (high - low) * min(max(share, 0.0), 1.0)

    def covered_ns(self, start_ns: int, end_ns: int) -> float:
        """Return the length of a window without its gaps between readings, in ns."""
        return self._covered_until(end_ns) - self._covered_until(start_ns)

    def inside(self, start_ns: int, end_ns: int) -> list[int]:
        """Return the times of the readings in a window."""
        return self.times[bisect_right(self.times, start_ns - 1) : bisect_right(self.times, end_ns)]

    def _place(self, t_ns: int) -> tuple[int, float]:
        """Return the index of the reading before a time, and its position before the next one."""
        index = min(max(bisect_right(self.times, t_ns) - 1, 0), len(self.times) - 2)
        step = self.times[index + 1] - self.times[index]
        return index, (t_ns - self.times[index]) / step if step else 0.0

    def _sum(self, t_ns: int) -> float:
        index, share = self._place(t_ns)
        inside = min(max(share, 0.0), 1.0)
        if self._counter:
            return self._sums[index] + inside * (self._sums[index + 1] - self._sums[index])
        step_s = (self.times[index + 1] - self.times[index]) / 1e9
        low, now = self.values[index], self.watts(t_ns)
        beyond = now * (share - inside) * step_s
        return self._sums[index] + (low + now) / 2 * inside * step_s + beyond

    def _covered_until(self, t_ns: int) -> float:
        index, share = self._place(t_ns)
        inside = min(max(share, 0.0), 1.0)
        return self._covered[index] + inside * (self._covered[index + 1] - self._covered[index])


class Source(NamedTuple):
    """A device's power and, if it is plausible, its energy counter.

    `rejected` says why a counter is not used.
    """

    power: Curve
    kind: str | None
    counter: Curve | None = None
    rejected: str | None = None

    @property
    def shortest_s(self) -> float:
        """The shortest window, in seconds, that this sensor can resolve."""
        if self.counter is not None:
            return SHORTEST_S["counter"]
        fast = self.power.period_ns <= _FAST_PERIOD_S * 1e9
        return SHORTEST_S.get(self.kind or "", _SHORTEST_OTHER_S) if fast else _SHORTEST_OTHER_S


def source(power: Points, counter: Points, kind: str | None) -> Source | None:
    """Return the source for a device's readings, or None with fewer than two power readings."""
    if len(power) < 2:
        return None
    curve = Curve(power)
    rejected = _distrust(curve, counter, kind) if len(counter) > 1 else None
    believed = Curve(counter, counter=True) if len(counter) > 1 and rejected is None else None
    return Source(curve, kind, believed, rejected)


def _distrust(power: Curve, counter: Points, kind: str | None) -> str | None:
    """Return why a counter is not used: it decreased, stood still, or contradicts the power."""
    if any(b < a for (_, a), (_, b) in pairwise(counter)):
        return "the energy counter decreased"
    gained = counter[-1][1] - counter[0][1]
    expected = power.joules(counter[0][0], counter[-1][0])
    if kind == "counter" and gained > 0:  # the power was derived from it
        return None
    if counter[-1][0] - counter[0][0] < 1e9 or expected <= 0:
        return "the energy counter was read for less than a second"
    low, high = COUNTER_AGREES
    if low <= gained / expected <= high:
        return None
    return f"the energy counter gained {gained / expected:.2f} times the integrated power"


def measure(sources: Sequence[Source], start_ns: int, end_ns: int) -> Energy:
    """Return the total energy of several devices in a window."""
    length = end_ns - start_ns
    if not sources or length <= 0:
        return Energy(reason="no_provider" if not sources else "window_too_short")
    if length < 1e9 * max(source.shortest_s for source in sources):
        return Energy(reason="window_too_short")
    coverage = min(covered(source, start_ns, end_ns) for source in sources)
    if coverage < MIN_COVERAGE:
        return Energy(coverage=coverage, reason="low_coverage")
    joules = sum((source.counter or source.power).joules(start_ns, end_ns) for source in sources)
    methods = {"counter" if source.counter else "trapezoid" for source in sources}
    times = [t for source in sources for t in source.power.inside(start_ns, end_ns)] or [end_ns]
    return Energy(
        joules,
        joules / length * 1e9,
        max(sum(source.power.watts(t) for source in sources) for t in times),
        coverage,
        "counter" if methods == {"counter"} else "trapezoid" if len(methods) == 1 else "mixed",
    )


def covered(source: Source, start_ns: int, end_ns: int) -> float:
    """Return the share of a window without gaps between a device's readings."""
    curve = source.counter or source.power
    if source.counter is None and len(curve.inside(start_ns, end_ns)) < 2:
        return 0.0
    return curve.covered_ns(start_ns, end_ns) / (end_ns - start_ns)


def thawed(points: Points, changes: Iterable[int]) -> tuple[Points, bool]:
    """Return the readings without those of a frozen sensor, and whether it was frozen.

    A sensor is frozen if its value stays exactly equal for more than FROZEN_S while the load
    changes, at least a second after the start and before the end of that time. Its readings after
    FROZEN_S are dropped.
    """
    kept: Points = []
    froze = False
    moments = sorted(changes)
    for run in _runs(points):
        first, last = run[0][0], run[-1][0]
        after = bisect_right(moments, first + 10**9)
        changed = after < len(moments) and moments[after] < last - 10**9
        if last - first > FROZEN_S * 1e9 and changed:
            froze = True
            run = [p for p in run if p[0] - first <= FROZEN_S * 1e9]  # noqa: PLW2901
        kept += run
    return kept, froze


def _runs(points: Points) -> list[Points]:
    runs: list[Points] = []
    for point in points:
        if runs and runs[-1][0][1] == point[1]:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


class Span(NamedTuple):
    """A request for `shared`: when it was sent, when its service began, and when it ended.

    `served_ns` is None if queueing and service cannot be distinguished.
    """

    sent_ns: int
    served_ns: int | None
    end_ns: int

    @property
    def start_ns(self) -> int:
        """The earliest time at which it may have used energy."""
        return self.sent_ns if self.served_ns is None else self.served_ns


def shared(joules: Callable[[int, int], float], spans: Sequence[Span]) -> list[float | None]:
    """Return each request's share in joules: the integral of power / number of served requests.

    The shares and the energy of the time without requests add up to the total. A request gets None
    if it, or a concurrent request, may have been in a queue for some of its time: an unknown share
    is better than a wrong one. A request without concurrent ones is served from its start.
    """
    moments = sorted({t for span in spans for t in (span.start_ns, span.end_ns)})
    share, doubt = _running(joules, spans, moments)
    shares: list[float | None] = []
    for span in spans:
        doubtful = doubt[span.end_ns] > doubt[span.start_ns]
        shares.append(None if doubtful else share[span.end_ns] - share[span.start_ns])
    return shares


def _running(
    joules: Callable[[int, int], float], spans: Sequence[Span], moments: Sequence[int]
) -> tuple[dict[int, float], dict[int, int]]:
    """Return, up to each time: the energy of one served request, and the ns in doubt."""
    steps: dict[int, list[int]] = {t: [0, 0] for t in moments}
    for span in spans:
        unknown = span.served_ns is None
        for t, sign in ((span.start_ns, 1), (span.end_ns, -1)):
            steps[t][0] += sign
            steps[t][1] += sign * unknown
    share, doubt = dict.fromkeys(moments[:1], 0.0), dict.fromkeys(moments[:1], 0)
    active = unknown_active = 0
    for now, following in pairwise(moments):
        active += steps[now][0]
        unknown_active += steps[now][1]
        gained = joules(now, following) / active if active else 0.0
        share[following] = share[now] + gained
        in_doubt = unknown_active > 0 and active > 1
        doubt[following] = doubt[now] + (following - now if in_doubt else 0)
    return share, doubt
