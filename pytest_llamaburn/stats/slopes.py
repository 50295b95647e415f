"""The slope of a line through points, which outliers hardly change."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.stats.samples import Z95

if TYPE_CHECKING:
    from collections.abc import Sequence


class Slope(NamedTuple):
    """A line: its slope with the 95 % interval, its value at x = 0, and the number of points."""

    value: float
    ci95: tuple[float, float] | None
    at_zero: float
    n: int


def slope(points: Sequence[tuple[float, float]]) -> Slope | None:
    """Return the slope of (x, y) points, or None if all have the same x.

    It is the median of the slopes of all pairs with different x. Its interval comes from the
    distribution of Kendall's tau, with the correction for equal x (Sen, Journal of the American
    Statistical Association 63, 1968). It is None if there are too few points.
    """
    found = sorted((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in _pairs(points))
    if not found:
        return None
    value = median(found)
    at_zero = median(y - value * x for x, y in points)
    return Slope(value, _interval(found, [x for x, _ in points]), at_zero, len(points))


def _pairs(
    points: Sequence[tuple[float, float]],
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    return [(one, other) for one, other in combinations(points, 2) if one[0] != other[0]]


def _interval(ordered: Sequence[float], places: Sequence[float]) -> tuple[float, float] | None:
    n, ties = len(places), Counter(places).values()
    spread = n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)
    reach = Z95 * math.sqrt(spread / 18)
    low, high = math.floor((len(ordered) - reach) / 2), math.ceil((len(ordered) + reach) / 2)
    return (ordered[low - 1], ordered[high]) if low >= 1 and high < len(ordered) else None
