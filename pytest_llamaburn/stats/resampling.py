"""The interval of a coefficient from −1 to 1, such as a correlation, from few clusters.

Clusters are left out one at a time (jackknife), which gives the standard error. The interval is
Student's on the scale of Fisher's z = artanh(coefficient). For 6 to 20 clusters the percentile
bootstrap is too narrow: for a judge that nearly always agrees, it held the truth in half of all
cases.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.stats import figures, samples

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

FEWEST = 4  # clusters: without one of them, a correlation still needs three
_NO_SPREAD = 1e-9
_TAIL = 0.025  # probability on each side of an interval


def with_interval(figure: figures.Figure, without: Array) -> figures.Figure:
    """Return the figure with its interval, from its value without each of the clusters.

    There is no interval, but a reason, if there are too few clusters or one of the values is NaN.
    """
    import numpy as np

    if figure.value is None or len(without) < FEWEST or np.isnan(without).any():
        return replace(figure, reason="too few values differ for an interval")
    n, value = len(without), figure.value
    spread = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    if spread < _NO_SPREAD or abs(value) > 1 - _NO_SPREAD:
        low, high = sorted((value, value * _surely_seen(n)))
    else:
        half = samples.t_quantile(n - 1) * spread / (1 - value**2)
        low, high = (math.tanh(math.atanh(value) + end) for end in (-half, half))
    return replace(figure, ci95=(low, high))


def _surely_seen(n: int) -> float:
    """Return the least share of clusters that are like the n that were seen, with 97.5 %.

    If the ratings of all others agree only by chance, the coefficient is its value times this
    share. So six clusters that agree perfectly do not prove perfect agreement.
    """
    return float(_TAIL ** (1 / n))
