"""The interval of a mean of skewed values, such as divergences: most are small, some are large.

Student's interval and the percentile bootstrap hold the mean of such values too rarely: of 40
log-normal ones (sigma = 1.2) in 86 % of all cases. The bootstrap-t interval (Efron and Tibshirani,
An Introduction to the Bootstrap, 1993, ch. 12) holds it in 92 %: the distribution of the
studentized mean comes from resamples. Values of one cluster, such as the places in one text, are
resampled together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.stats.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

FEWEST = 5  # clusters; with fewer, resamples are too alike
FEW = "an interval needs {} texts or more with values that differ"
_RESAMPLES = 4000
_TAILS = (0.025, 0.975)


def mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Figure:
    """Return the mean with its 95 % interval; `clusters` has the cluster of each value."""
    groups: dict[Hashable, list[float]] = {}
    for name, value in zip(clusters, values, strict=True):
        groups.setdefault(name, []).append(value)
    return ratio([(math.fsum(group), len(group)) for group in groups.values()])


def ratio(parts: Sequence[tuple[float, float]]) -> Figure:
    """Return Σ sums / Σ sizes of independent (sum, size) parts, with its 95 % interval.

    The order of the parts does not matter. Without an interval there is a reason.
    """
    import numpy as np

    if not parts:
        return Figure(None, 0, reason="no values")
    sums, sizes = np.array(sorted(parts), dtype=float).T
    count = round(sizes.sum())
    value = math.fsum(sums) / math.fsum(sizes)
    drawn = np.random.default_rng(0).integers(0, len(parts), (_RESAMPLES, len(parts)))
    error = float(_error(sums[None], sizes[None])[0])
    if len(parts) < FEWEST or error <= 1e-12 * abs(value):
        return Figure(value, count, reason=FEW.format(FEWEST))
    errors = _error(sums[drawn], sizes[drawn])
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    known = errors > 0
    first, last = np.quantile((means[known] - value) / errors[known], _TAILS)
    return Figure(value, count, (value - float(last) * error, value - float(first) * error))


def _error(sums: Array, sizes: Array) -> Array:
    """Return the standard error of the ratio in each row (Cochran, Sampling Techniques, ch. 6)."""
    import numpy as np

    parts = sums.shape[1]
    total = sizes.sum(1, keepdims=True)
    left = sums - sums.sum(1, keepdims=True) / total * sizes
    return np.asarray(np.sqrt(parts / max(1, parts - 1) * (left**2).sum(1)) / total[:, 0])
