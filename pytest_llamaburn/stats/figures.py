"""Statistics with their 95 % intervals: means, shares, and differences of two of them.

The intervals of means on a bounded scale hold for any distribution and any number of values.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.criteria import SHARES_OF_GRADES
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import numpy as np

    from pytest_llamaburn.documents import Document

    Array = np.ndarray[Any, np.dtype[np.float64]]
    Ratings = Sequence[float] | Array


_TAIL = 0.025  # probability on each side of an interval
_BISECTIONS = 30
_LOG_STEP = 0.2  # step of the integral in `_share_below`: intervals have seven exact digits


@dataclass(frozen=True)
class Figure:
    """A statistic with its 95 % interval; `reason` says why one of them is None."""

    value: float | None
    n: int
    ci95: tuple[float, float] | None = None
    reason: str | None = None

    def as_dict(self) -> Document:
        """Return the figure as JSON types."""
        return asdict(self) | {"ci95": None if self.ci95 is None else [*self.ci95]}


def mean(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    scale: tuple[float, float] | None = None,
) -> Figure:
    """Return the mean with its interval; the values of a cluster count as one independent value.

    With `scale` (the lowest and the highest possible value) it is Gaffke's interval, which needs no
    other assumption; for shares (values of 0 and 1) it equals Clopper and Pearson's. Without a
    scale it is Student's interval, which needs two different values and ignores clusters.
    """
    if len(values) == 0:
        return Figure(None, 0, reason="no values")
    figure = Figure(math.fsum(values) / len(values), len(values))
    if scale is not None:
        return replace(figure, ci95=_gaffke(_units(values, clusters), scale))
    summary = samples.distribution(values, "")
    if not summary["std"] or summary["ci95"] is None:
        return replace(figure, reason="one value, or all are equal: no interval")
    low, high = summary["ci95"]
    return replace(figure, ci95=(low, high))


def graded(name: str, grades: Sequence[str]) -> Figure:
    """Return a share of grades, by its name in `criteria.GRADED`, or their F-score.

    The F-score is the harmonic mean of two shares: correct among all answers, and correct among
    the attempted answers. It equals 2 · correct / (answers + attempted). The F-score is above t
    exactly if the mean over answers is above t, where a correct answer counts 1, an incorrect one 0
    and one not attempted t / 2. So the ends of its interval follow from the interval of that mean.
    """
    if not grades:
        return Figure(None, 0, reason="no answer was graded")
    if name != "f_score":
        values = [SHARES_OF_GRADES[name](grade) for grade in grades]
        figure = mean([float(value) for value in values if value is not None], scale=(0, 1))
        return figure if figure.n else replace(figure, reason="no answer was attempted")
    correct = sum(grade == "correct" for grade in grades)
    attempted = sum(grade != "not_attempted" for grade in grades)
    ends = (_f_score_end(grades, upper=False), _f_score_end(grades, upper=True))
    return Figure(2 * correct / (len(grades) + attempted), len(grades), ends)


def _f_score_end(grades: Sequence[str], *, upper: bool) -> float:
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        worth = {"correct": 1.0, "incorrect": 0.0, "not_attempted": middle / 2}
        values = [worth[grade] if upper else -worth[grade] for grade in grades]
        test = _test_of_upper(_units(values, None), 1.0 if upper else 0.0)
        is_below_end = test(middle) if upper else not test(-middle)
        low, high = (middle, high) if is_below_end else (low, middle)
    return (low + high) / 2


def difference(before: Figure, after: Figure) -> Figure:
    """Return after − before, with an interval by the MOVER method.

    The method assumes independent figures. For figures of the same questions its interval is
    therefore rather too wide than too narrow.
    """
    if before.value is None or after.value is None or not (before.ci95 and after.ci95):
        return Figure(None, 0, reason=before.reason or after.reason)
    change = after.value - before.value
    down = math.hypot(after.value - after.ci95[0], before.ci95[1] - before.value)
    up = math.hypot(after.ci95[1] - after.value, before.value - before.ci95[0])
    return Figure(change, after.n, (change - down, change + up))


def macro(groups: Sequence[tuple[Sequence[float], Sequence[Hashable]]]) -> Figure:
    """Return the mean of the means of groups of shares, each group counted alike.

    A group is its values, from 0 to 1, and their clusters. The interval is Gaffke's of a weighted
    mean. The value at the end of the scale, which it adds, has the largest weight, so that small
    groups do not make it too narrow.
    """
    known = [_units(*group) for group in groups if group[0]]
    if not known:
        return Figure(None, 0, reason="no values")
    sums = [sum(unit.size for unit in units) for units in known]
    parts = zip(known, sums, strict=True)
    weighted = [_Unit(u.value, u.size / total) for units, total in parts for u in units]
    value = math.fsum(unit.value * unit.size for unit in weighted) / len(known)
    added = max(unit.size for unit in weighted)
    return Figure(value, len(known), _gaffke(weighted, (0, 1), added))


def paired_difference(a: Sequence[float], b: Sequence[float], scale: tuple[float, float]) -> Figure:
    """Return the mean of b − a over the same questions, both on `scale`, with its interval."""
    width = scale[1] - scale[0]
    differences = [after - before for before, after in zip(a, b, strict=True)]
    return mean(differences, scale=(-width, width))


class _Unit(NamedTuple):
    """One independent value: the mean of `size` values, or a value with this weight."""

    value: float
    size: float


def _units(values: Sequence[float], clusters: Sequence[Hashable] | None) -> list[_Unit]:
    groups: dict[Hashable, list[float]] = {}
    for name, value in zip(clusters or range(len(values)), values, strict=True):
        groups.setdefault(name, []).append(float(value))
    return [_Unit(math.fsum(group) / len(group), len(group)) for group in groups.values()]


def _gaffke(
    units: Sequence[_Unit], scale: tuple[float, float], added: float | None = None
) -> tuple[float, float]:
    """Return the interval of a mean of independent values on a scale.

    By Gaffke (2005), in the form of Learned-Miller and Thomas (A new confidence interval for the
    mean of a bounded random variable, arXiv 1905.06208). The upper end is the 97.5 % quantile of
    the weighted mean of the values and one more value at the top of the scale, with random weights
    that are uniform among all that sum to 1. The lower end is that of the mirrored values. The
    added value has the size `added`, or the mean size of the others.
    """
    mirrored = [unit._replace(value=-unit.value) for unit in units]
    low, high = scale
    return 0.0 - _upper(mirrored, -low, added), _upper(units, high, added)


def _upper(units: Sequence[_Unit], top: float, added: float | None) -> float:
    """Return the upper end, by bisection between the mean and the top of the scale."""
    total = sum(unit.size for unit in units)
    low, high = math.fsum(unit.value * unit.size for unit in units) / total, top
    is_below_end = _test_of_upper(units, top, added)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below_end(middle) else (low, middle)
    return high


def _test_of_upper(
    units: Sequence[_Unit], top: float, added: float | None = None
) -> Callable[[float], bool]:
    """Return a function that tests whether a value is below the upper end of the interval."""
    import numpy as np

    counts = Counter(units)
    counts[_Unit(top, 0)] += 1
    values, sizes = (np.array(column, dtype=float) for column in zip(*counts, strict=True))
    times = np.array([*counts.values()], dtype=float)
    sizes[sizes == 0] = added or sum(unit.size for unit in units) / len(units)
    return lambda at: _share_below(sizes * (values - at), times) < 1 - _TAIL


def _share_below(steps: Array, times: Array) -> float:
    """Return the probability that Σ G·step is below 0, for gamma-distributed G of shape `times`.

    Such G, divided by their sum, are random weights that sum to 1. The probability is Gil-Pelaez's
    integral (1951) of the characteristic function Π (1 − i·u·step)^−times, computed over log u with
    the trapezoidal rule. If the mean of the sum is at least √39 standard deviations below 0, the
    probability is at least 97.5 % by Cantelli's inequality, and 1 is returned.
    """
    import numpy as np

    if float(times @ steps) <= -math.sqrt((1 / _TAIL - 1) * float(times @ steps**2)):
        return 1.0
    u = np.exp(np.arange(-32, 20, _LOG_STEP)) / np.abs(steps).max()
    turned = np.arctan(np.outer(u, steps)) @ times
    shrunk = np.log1p(np.outer(u, steps) ** 2) @ times / 2
    return 0.5 - _LOG_STEP / math.pi * float(np.sum(np.sin(turned) * np.exp(-shrunk)))


def share(values: Sequence[float], reason: str) -> Figure:
    """Return the mean of shares; without values, None with this `reason`."""
    return mean(values, scale=(0, 1)) if values else Figure(None, 0, reason=reason)
