"""Agreement of two raters, with intervals.

A figure of degenerate input (fewer than 3 pairs, a constant rater) is None with a reason. Intervals
are computed by `resampling.interval`: clusters, such as all ratings of one question, are left out
one at a time.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.stats import resampling
from pytest_llamaburn.stats.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    import numpy as np

    from pytest_llamaburn.documents import Document

    Array = np.ndarray[Any, np.dtype[np.float64]]
    Ratings = Sequence[float] | Array

_CELLS = 1 << 22  # numbers in one table of counts: 32 megabytes
_FEWEST = 3


class Pairs(NamedTuple):
    """The distinct pairs of ratings of two raters, with their counts.

    `counts` has one row per sample: the whole one, or one without a cluster.
    """

    x: Array
    y: Array
    counts: Array


@dataclass(frozen=True)
class Statistic:
    """A statistic of two raters: called with their ratings, it returns a Figure.

    `of_samples` returns its value for each sample, or NaN if there is none; `reason` says why. For
    a statistic that is a mean over a function of y − x, `of_difference` is that function.
    """

    of_samples: Callable[[Pairs], Array]
    fewest: int
    reason: str
    of_difference: Callable[[Array], Any] | None = None

    def __call__(self, x: Ratings, y: Ratings) -> Figure:
        """Return the value without an interval; raises ValueError for unequal lengths."""
        import numpy as np

        if len(x) != len(y):
            raise ValueError("two raters must rate the same items")
        if len(x) < self.fewest:
            few = f"fewer than {self.fewest} pairs" if self.fewest > 1 else "no pairs"
            return Figure(None, len(x), reason=few)
        pairs, place = distinct_pairs(x, y)
        counts = np.bincount(place, minlength=len(pairs.x))[None, :].astype(float)
        value = float(self.of_samples(pairs._replace(counts=counts))[0])
        if math.isnan(value):
            return Figure(None, len(x), reason=self.reason)
        return Figure(value, len(x))


def _pearson(pairs: Pairs) -> Array:
    return _correlation(pairs.x, pairs.y, pairs.counts)


def _spearman(pairs: Pairs) -> Array:
    x, y = (_ranks(values, pairs.counts) for values in (pairs.x, pairs.y))
    return _correlation(x, y, pairs.counts)


def _kendall(pairs: Pairs) -> Array:
    import numpy as np

    n = pairs.counts.sum(1)
    ties = [_tied(values, pairs.counts) for values in (pairs.x, pairs.y)]
    untied = np.prod([n * (n - 1) / 2 - tied for tied in ties], axis=0)
    return _ratio(_concordance(pairs), np.sqrt(untied))


def _qwk(pairs: Pairs) -> Array:
    x, y, counts = pairs
    n = counts.sum(1)
    spread = sum((counts * _centred(v, counts) ** 2).sum(1) for v in (x, y))
    by_chance = spread / n + (counts @ (x - y) / n) ** 2
    return 1 - _ratio(counts @ (x - y) ** 2 / n, by_chance, bound=math.inf)


def _alpha(pairs: Pairs) -> Array:
    import numpy as np

    x, y, counts = pairs
    both = np.concatenate([x, y])
    twice = np.concatenate([counts, counts], axis=1)
    place = _ranks(both, twice)  # up to a constant, the ordinal scale's own distances
    n = twice.sum(1)
    observed = (counts * (place[:, : len(x)] - place[:, len(x) :]) ** 2).sum(1) * 2
    expected = (twice * _centred(place, twice) ** 2).sum(1) * 2 * n / (n - 1)
    return 1 - _ratio(observed, expected, bound=math.inf)


def _mean_of(value: Callable[[Array], Any]) -> Statistic:
    """Return the statistic that is the mean over a function of y − x."""

    def mean_of(pairs: Pairs) -> Array:
        means: Array = pairs.counts @ value(pairs.y - pairs.x) / pairs.counts.sum(1)
        return means

    return Statistic(mean_of, 1, "no pairs", value)


def _equal(difference: Array) -> Array:
    """Return 1 if the ratings round to the same whole rating, 0.5 if one is halfway, else 0."""
    import numpy as np

    size = np.abs(difference).round(9)
    equal: Array = np.where(size == 0.5, 0.5, size < 0.5)
    return equal


# The linear correlation, from -1 to 1.
pearson = Statistic(_pearson, _FEWEST, "a rater is constant")
# The rank correlation, ties sharing their mean rank.
spearman = Statistic(_spearman, _FEWEST, "a rater is constant")
# Kendall's τ-b: concordant minus discordant pairs, corrected for ties.
kendall = Statistic(_kendall, _FEWEST, "a rater is constant")
# Cohen's κ with quadratic weights: 1 − E(x−y)² / its value by chance (the same ratings, paired at
# random).
qwk = Statistic(_qwk, _FEWEST, "both raters are constant and equal")
# Krippendorff's ordinal alpha of two raters without missing ratings.
alpha = Statistic(_alpha, 1, "all ratings are equal")
# The share of equal ratings; a rating between two whole ratings counts as the nearest one, a rating
# halfway between two counts half for both.
exact = _mean_of(_equal)
# The share of ratings at most one apart.
within_one = _mean_of(lambda d: (abs(d) <= 1) * 1.0)
# The mean absolute difference.
mae = _mean_of(abs)
# The mean of y − x: above 0, the second rater gives higher ratings.
bias = _mean_of(lambda d: d)


def confusion(x: Sequence[float], y: Sequence[float], labels: Sequence[int]) -> list[list[float]]:
    """Return the confusion matrix: how often x has the row's label and y the column's.

    A rating between two labels counts for the nearest one; a rating halfway counts half for both.
    """
    counts: dict[tuple[int, int], float] = {}
    for (a, b), times in Counter(zip(x, y, strict=True)).items():
        for row, part in _nearest(a).items():
            for column, share in _nearest(b).items():
                counts[row, column] = counts.get((row, column), 0.0) + times * part * share
    return [[counts.get((row, column), 0.0) for column in labels] for row in labels]


def with_interval(
    statistic: Statistic, x: Ratings, y: Ratings, clusters: Sequence[Hashable] | None = None
) -> Figure:
    """Return a statistic of two raters, from −1 to 1, with its interval."""
    import numpy as np

    figure = statistic(x, y)
    if figure.value is None:
        return figure
    names = range(len(x)) if clusters is None else clusters
    if len(set(names)) < resampling.FEWEST:
        return resampling.with_interval(figure, np.zeros(0))
    pairs, place = distinct_pairs(x, y)
    without = [
        statistic.of_samples(pairs._replace(counts=counts))
        for counts in counts_without_each(pairs, place, names)
    ]
    return resampling.with_interval(figure, np.concatenate(without))


def consensus(ratings: Sequence[float]) -> float:
    """Return the consensus of several raters: the median, which may be between two ratings."""
    return float(median(ratings))


def ceiling(statistic: Statistic, ratings: Sequence[Sequence[float]]) -> Figure:
    """Return how well one human agrees with the others: the mean over leave-one-out comparisons.

    `ratings` has the human ratings of each item; index k is the same rater in all items. Items with
    one rating are skipped.
    """
    shared = [item for item in ratings if len(item) > 1]
    if not shared:
        return Figure(None, 0, reason="no item has two human ratings")
    each = []
    for k in range(max(map(len, shared))):
        rated = [item for item in shared if k < len(item)]
        each.append(statistic(*_left_out(rated, k)).value)
    values = [value for value in each if value is not None]
    if not values:
        return Figure(None, len(shared), reason="too few items, or a constant rater")
    return Figure(sum(values) / len(values), len(shared))


def constant(x: Sequence[float]) -> Document:
    """Return the agreement of x with a constant rater that always gives the most frequent rating.

    The figures of several equally frequent `values` are averaged.
    """
    counts: dict[int, float] = {}
    for rating in x:
        for value, share in _nearest(rating).items():
            counts[value] = counts.get(value, 0.0) + share
    values = sorted(v for v, count in counts.items() if count == max(counts.values()))
    if not values:
        return {"values": [], "reason": "no ratings"}
    figures: Document = {"values": values}
    for name, statistic in (("exact", exact), ("within_one", within_one), ("mae", mae)):
        each = [statistic(x, [float(value)] * len(x)).value or 0.0 for value in values]
        figures[name] = sum(each) / len(each)
    return figures


def distinct_pairs(x: Ratings, y: Ratings) -> tuple[Pairs, Any]:
    """Return the distinct pairs of ratings, without counts, and the index of each item's pair."""
    import numpy as np

    table = np.column_stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
    distinct, place = np.unique(table, axis=0, return_inverse=True)
    return Pairs(distinct[:, 0], distinct[:, 1], np.zeros((0, len(distinct)))), place.reshape(-1)


def counts_without_each(pairs: Pairs, place: Any, clusters: Sequence[Hashable]) -> Iterator[Array]:
    """Yield the counts of each pair without each cluster, some clusters at a time."""
    import numpy as np

    groups = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    group = np.array([groups[name] for name in clusters])
    whole = np.bincount(place, minlength=len(pairs.x)).astype(float)
    size = max(1, _CELLS // len(pairs.x))
    for begin in range(0, len(groups), size):
        counts = np.tile(whole, (min(size, len(groups) - begin), 1))
        here = (group >= begin) & (group < begin + size)
        np.subtract.at(counts, (group[here] - begin, place[here]), 1)
        yield counts


def _correlation(x: Array, y: Array, counts: Array) -> Array:
    import numpy as np

    a, b = (_scaled(_centred(values, counts)) for values in (x, y))
    squares = (counts * a * a).sum(1) * (counts * b * b).sum(1)
    return _ratio((counts * a * b).sum(1), np.sqrt(squares))


def _scaled(values: Array) -> Array:
    """Return the values of each sample divided by the largest, so that squares do not underflow."""
    import numpy as np

    largest = np.abs(values).max(1, keepdims=True)
    scaled: Array = values / np.where(largest > 0, largest, 1.0)
    return scaled


def _ratio(part: Array, whole: Array, bound: float = 1.0) -> Array:
    """Return part / whole, clipped to ±bound; NaN if the whole is 0 or not finite."""
    import numpy as np

    usable = (whole != 0) & np.isfinite(whole)
    ratio: Array = np.clip(part / np.where(usable, whole, np.nan), -bound, bound)
    return ratio


def _centred(values: Array, counts: Array) -> Array:
    """Return the values minus their mean in each sample; exactly 0 if all values are equal."""
    import numpy as np

    drawn = counts > 0
    low = np.where(drawn, values, np.inf).min(1, keepdims=True)
    high = np.where(drawn, values, -np.inf).max(1, keepdims=True)
    middle = (counts * values).sum(1, keepdims=True) / counts.sum(1, keepdims=True)
    centred: Array = np.where(drawn & (low < high), values - middle, 0.0)
    return centred


def _ranks(values: Array, counts: Array) -> Array:
    """Return the rank of each value in each sample; equal values share their mean rank."""
    times, place = _times(values, counts)
    shared: Array = times.cumsum(1) - (times - 1) / 2
    return shared[:, place]


def _tied(values: Array, counts: Array) -> Any:
    """Return how many pairs of each sample have equal values."""
    times, _ = _times(values, counts)
    return (times * (times - 1)).sum(1) / 2


def _times(values: Array, counts: Array) -> tuple[Array, Any]:
    """Return how often each different value is in each sample, and the place of each value."""
    import numpy as np

    different, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(different)))
    return np.add.reduceat(counts[:, order], starts, axis=1), place


def _concordance(pairs: Pairs) -> Array:
    """Return the number of concordant minus that of discordant pairs in each sample.

    It is w·S·w / 2, where w are the counts and S the signs of all pairs. With w = all − out, it
    follows from S·all, which is the same for all samples, and the few pairs that are left out.
    """
    import numpy as np

    whole = pairs.counts.max(0)
    signed = np.concatenate([_signs(pairs, part) @ whole for part in _parts(len(whole))])
    found = np.empty(len(pairs.counts))
    for row, out in enumerate(whole - pairs.counts):
        some = np.flatnonzero(out)
        within = out[some] @ _signs(pairs, some)[:, some] @ out[some]
        found[row] = (whole @ signed - 2 * out @ signed + within) / 2
    return found


def _parts(size: int) -> Iterator[slice]:
    rows = max(1, _CELLS // size)
    return (slice(begin, begin + rows) for begin in range(0, size, rows))


def _signs(pairs: Pairs, of: Any) -> Array:
    """Return for some pairs and all pairs: 1 if concordant, −1 if discordant, 0 if tied."""
    import numpy as np

    x, y = (np.sign(values[of, None] - values) for values in (pairs.x, pairs.y))
    signs: Array = x * y
    return signs


def _nearest(rating: float) -> dict[int, float]:
    """Return the nearest whole rating with weight 1, or the two nearest with weight 0.5 each."""
    low = math.floor(rating)
    part = round(rating - low, 9)
    return {low: 0.5, low + 1: 0.5} if part == 0.5 else {low + (part > 0.5): 1.0}


def _left_out(items: Sequence[Sequence[float]], k: int) -> tuple[list[float], list[float]]:
    """Return the consensus of the other raters, and the ratings of rater k."""
    others = [consensus([*item[:k], *item[k + 1 :]]) for item in items]
    return others, [float(item[k]) for item in items]
