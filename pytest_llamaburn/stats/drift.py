"""Whether a fixed load is served alike from beginning to end: trend, level shift, steady state.

All tests are over a series of equal batches in time (say, per-minute medians), oldest first.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST = 8  # batches
EFFECT = 0.05  # of the median: a smaller drift from end to end is none
_ALPHA = 0.05


class Trend(NamedTuple):
    """A monotone drift: its slope per batch, end to end as a share of the median, and p."""

    slope: float
    share: float
    p: float
    drifts: bool


class Shift(NamedTuple):
    """The most likely change of level: before batch `at`, by `share` of the median, and p."""

    at: int
    share: float
    p: float
    shifts: bool


class Steady(NamedTuple):
    """The first plateau: batches `start` (included) to `end` (excluded), its mean and interval."""

    start: int
    end: int
    mean: float
    ci95: list[float] | None


def trend(values: Sequence[float]) -> Trend | None:
    """Return the drift, None below eight batches.

    Mann–Kendall's test with Hamed and Rao's variance for autocorrelated series (Journal of
    Hydrology 204, 1998), and Theil and Sen's slope: the median over all pairs. It drifts if p is
    below 5 % and the drift from end to end is at least 5 % of the median.
    """
    n = len(values)
    if n < LEAST:
        return None
    data = np.asarray(values, float)
    first, last = np.triu_indices(n, 1)
    gaps = data[last] - data[first]
    slope = float(np.median(gaps / (last - first)))
    score = float(np.sign(gaps).sum())
    ties = np.unique(data, return_counts=True)[1]
    spread = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    spread *= _correction(data - slope * np.arange(n))
    z = (abs(score) - 1) / math.sqrt(spread) if abs(score) > 1 and spread > 0 else 0.0
    p = 2 * (1 - NormalDist().cdf(z))
    share = _share(slope * (n - 1), data)
    return Trend(slope, share, p, p < _ALPHA and abs(share) >= EFFECT)


def _correction(detrended: NDArray[np.float64]) -> float:
    """Return how much autocorrelation widens the score's variance: Hamed and Rao's n / n*, ≥ 1."""
    n = len(detrended)
    ranks = np.argsort(np.argsort(detrended)).astype(float)
    centred = ranks - ranks.mean()
    total = float(centred @ centred)
    bound = NormalDist().inv_cdf(1 - _ALPHA / 2) / math.sqrt(n)
    extra = 0.0
    for lag in range(1, n - 3):
        rho = float(centred[lag:] @ centred[:-lag]) / total
        if abs(rho) > bound:
            extra += (n - lag) * (n - lag - 1) * (n - lag - 2) * rho
    return max(1.0, 1 + 2 * extra / (n * (n - 1) * (n - 2)))


def shift(values: Sequence[float]) -> Shift | None:
    """Return the likeliest level shift, None below eight batches.

    Pettitt's test (Applied Statistics 28, 1979): K = max |U_t|, p ≈ 2 exp(−6K² / (n³ + n²)). It
    shifts if p is below 5 % and the medians of the two sides differ by at least 5 %.
    """
    n = len(values)
    if n < LEAST:
        return None
    data = np.asarray(values, float)
    signs = np.sign(data[:, None] - data[None, :])
    scores = np.abs([float(signs[:t, t:].sum()) for t in range(1, n)])
    at = int(np.argmax(scores)) + 1
    p = min(1.0, 2 * math.exp(-6 * float(scores[at - 1]) ** 2 / (n**3 + n**2)))
    share = _share(float(np.median(data[at:]) - np.median(data[:at])), data)
    return Shift(at, share, p, p < _ALPHA and abs(share) >= EFFECT)


def steady(values: Sequence[float]) -> Steady | None:
    """Return the first plateau, None if there is none of eight batches.

    The first batches are dropped while they lie outside the band that the later half spans around
    its median (three scaled MADs, at least 5 %); the plateau ends where the next level shift is,
    and it must not drift. The interval is Student's t over batch means, which holds as far as
    batches are long enough to be independent.
    """
    data = np.asarray(values, float)
    if len(data) < LEAST:
        return None
    half = data[len(data) // 2 :]
    middle = float(np.median(half))
    band = max(3 * 1.4826 * float(np.median(np.abs(half - middle))), EFFECT * abs(middle))
    inside = np.abs(data - middle) <= band
    change = shift(data.tolist())
    start = int(np.argmax(inside))
    if change is not None and change.shifts and change.at >= LEAST:
        start, data = 0, data[: change.at]
    plateau = data[start:]
    drift = trend(plateau.tolist())
    if drift is None or drift.drifts:
        return None
    mean = float(plateau.mean())
    interval = samples.mean_interval(mean, float(plateau.std(ddof=1)), len(plateau))
    return Steady(start, len(data), mean, interval)


def _share(change: float, data: NDArray[np.float64]) -> float:
    middle = abs(float(np.median(data)))
    return change / middle if middle else math.copysign(math.inf, change) if change else 0.0
