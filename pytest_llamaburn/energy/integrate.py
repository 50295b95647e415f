"""Energy from sensor readings: integrals, how far to trust them, and which request used it.

Joules, watts and nanoseconds of one clock; nothing here knows what a sensor or a request is.
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
GAP_PERIODS = 2.5  # two readings further apart than this have a hole between them
COUNTER_AGREES = (0.8, 1.25)  # counter / integrated power
FROZEN_S = 10.0  # a value that stands still for longer while the load changes is no reading
SHORTEST_S = {"instant": 1.0, "counter": 1.0}  # window by what the power is; 1 s averages need 4 s
_SHORTEST_OTHER_S = 4.0
_FAST_PERIOD_S = 0.25


class Energy(NamedTuple):
    """The energy of a window; `reason` says why the numbers are None.

    `joules` is gross. `watts` is its mean over the window, `peak_watts` the highest reading in it.
    `coverage` is the share of the window in which readings were close enough to each other.
    `method` is counter or trapezoid.
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

    Between readings power is taken as linear (trapezoids with interpolated edges), also across a
    hole, which does not count as covered. Before the first and after the last reading the nearest
    power holds, and a counter stands still. So energies of adjacent windows always add up.
    """

    def __init__(self, points: Sequence[tuple[int, float]], *, counter: bool = False) -> None:
        """Take (ns, watts) or (ns, joules) in the order of time, at least two."""
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
        """Return the energy between two moments."""
        return self._sum(end_ns) - self._sum(start_ns)

    def watts(self, t_ns: int) -> float:
        """Return the power at a moment."""
        index, share = self._place(t_ns)
        low, high = self.values[index], self.values[index + 1]
        return low + (high - low) * min(max(share, 0.0), 1.0)

    def covered_ns(self, start_ns: int, end_ns: int) -> float:
        """Return how much of a window lies between readings that are close to each other."""
        return self._covered_until(end_ns) - self._covered_until(start_ns)

    def inside(self, start_ns: int, end_ns: int) -> list[int]:
        """Return when there were readings in a window."""
        return self.times[bisect_right(self.times, start_ns - 1) : bisect_right(self.times, end_ns)]

    def _place(self, t_ns: int) -> tuple[int, float]:
        """Return the pair of readings around a moment, and how far between them it is."""
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
    """A device's power and, where it is to be believed, its counter.

    `rejected` says why a counter is not believed.
    """

    power: Curve
    kind: str | None
    counter: Curve | None = None
    rejected: str | None = None

    @property
    def shortest_s(self) -> float:
        """The shortest window this sensor resolves."""
        if self.counter is not None:
            return SHORTEST_S["counter"]
        fast = self.power.period_ns <= _FAST_PERIOD_S * 1e9
        return SHORTEST_S.get(self.kind or "", _SHORTEST_OTHER_S) if fast else _SHORTEST_OTHER_S


def source(power: Points, counter: Points, kind: str | None) -> Source | None:
    """Return what a device's readings can be integrated from; None below two powers."""
    if len(power) < 2:
        return None
    curve = Curve(power)
    rejected = _distrust(curve, counter, kind) if len(counter) > 1 else None
    believed = Curve(counter, counter=True) if len(counter) > 1 and rejected is None else None
    return Source(curve, kind, believed, rejected)


def _distrust(power: Curve, counter: Points, kind: str | None) -> str | None:
    """Return why a counter is not believed: it fell, stands, or contradicts the power."""
    if any(b < a for (_, a), (_, b) in pairwise(counter)):
        return "the energy counter went back"
    gained = counter[-1][1] - counter[0][1]
    expected = power.joules(counter[0][0], counter[-1][0])
    if kind == "counter" and gained > 0:  # the power was derived from it
        return None
    if counter[-1][0] - counter[0][0] < 1e9 or expected <= 0:
        return "the energy counter was watched for under a second"
    low, high = COUNTER_AGREES
    if low <= gained / expected <= high:
        return None
    return f"the energy counter gained {gained / expected:.2f} times what the power amounts to"


def measure(sources: Sequence[Source], start_ns: int, end_ns: int) -> Energy:
    """Return what several devices took together in a window."""
    length = end_ns - start_ns
    if not sources or length <= 0:
        return Energy(reason="no_provider" if not sources else "window_too_short")
    if length < 1e9 * max(one.shortest_s for one in sources):
        return Energy(reason="window_too_short")
    coverage = min(covered(one, start_ns, end_ns) for one in sources)
    if coverage < MIN_COVERAGE:
        return Energy(coverage=coverage, reason="low_coverage")
    joules = sum((one.counter or one.power).joules(start_ns, end_ns) for one in sources)
    methods = {"counter" if one.counter else "trapezoid" for one in sources}
    return Energy(
        joules,
        joules / length * 1e9,
        _peak(sources, start_ns, end_ns),
        coverage,
        "counter" if methods == {"counter"} else "trapezoid" if len(methods) == 1 else "mixed",
    )


def covered(one: Source, start_ns: int, end_ns: int) -> float:
    """Return the share of a window in which a device's readings were close to each other."""
    curve = one.counter or one.power
    if one.counter is None and len(curve.inside(start_ns, end_ns)) < 2:
        return 0.0
    return curve.covered_ns(start_ns, end_ns) / (end_ns - start_ns)


def _peak(sources: Sequence[Source], start_ns: int, end_ns: int) -> float:
    moments = [t for one in sources for t in one.power.inside(start_ns, end_ns)] or [end_ns]
    return max(sum(one.power.watts(t) for one in sources) for t in moments)


def thawed(points: Points, changes: Iterable[int]) -> tuple[Points, bool]:
    """Return the readings without those of a sensor that froze, and whether it did.

    Frozen is a value that stays exactly the same for over FROZEN_S while the load changed at
    least a second after it began and a second before it ended; what is later than that is dropped.
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
    found: list[Points] = []
    for point in points:
        if found and found[-1][0][1] == point[1]:
            found[-1].append(point)
        else:
            found.append([point])
    return found


class Span(NamedTuple):
    """A request for `shared`: when it was sent, when its service began, and when it ended.

    `served_ns` is None if queueing cannot be told from service.
    """

    sent_ns: int
    served_ns: int | None
    end_ns: int

    @property
    def start_ns(self) -> int:
        """When it began to take energy, as far as is known."""
        return self.sent_ns if self.served_ns is None else self.served_ns


def shared(joules: Callable[[int, int], float], spans: Sequence[Span]) -> list[float | None]:
    """Return each request's share in joules: the integral of power over the number in service.

    The shares and the energy of the time when nobody was served add up to the whole. A request
    gets None while it is, or is beside one that is, perhaps still in a queue: charging a queued
    request would be worse than saying nothing. Alone, a request is in service from its start.
    """
    moments = sorted({t for span in spans for t in (span.start_ns, span.end_ns)})
    share, doubt = _running(joules, spans, moments)
    found: list[float | None] = []
    for span in spans:
        doubtful = doubt[span.end_ns] > doubt[span.start_ns]
        found.append(None if doubtful else share[span.end_ns] - share[span.start_ns])
    return found


def _running(
    joules: Callable[[int, int], float], spans: Sequence[Span], moments: Sequence[int]
) -> tuple[dict[int, float], dict[int, int]]:
    """Return until each moment: energy for one of those in service, and the time in doubt."""
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
