"""Tests whether performance under a fixed load is constant: trend, level shift, steady state.

All tests use a series of equal batches in time (for example per-minute medians), oldest first.
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

    from pytest_llamaburn.documents import Interval

LEAST = 8  # batches that a test needs
EFFECT = 0.05  # ignore a change of less than this share of the median
_ALPHA = 0.05


class Trend(NamedTuple):
    """A monotone drift: slope per batch, total change as a share of the median, and p."""

    slope: float
    share: float
    p: float
    drifts: bool


class Shift(NamedTuple):
    """The most likely level shift: before batch `at`, by `share` of the median, and p."""

    at: int
    share: float
    p: float
    shifts: bool


class Steady(NamedTuple):
    """The first plateau: batches `start` (included) to `end` (excluded), mean and interval."""

    start: int
    end: int
    mean: float
    ci95: Interval | None


def trend(values: Sequence[float]) -> Trend | None:
    """Return the trend, or None with fewer than eight batches.

    It uses the Mann–Kendall test with Hamed and Rao's variance for autocorrelated series (Journal
    of Hydrology 204, 1998), and the Theil–Sen slope (median over all pairs). There is a drift if p
    is below 5 % and the total change is at least 5 % of the median.
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
    """Return the factor by which autocorrelation increases the variance (n / n*), at least 1."""
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
    """Return the most likely level shift, or None with fewer than eight batches.

    Pettitt's test (Applied Statistics 28, 1979) has K = max |U_t|, p ≈ 2 exp(−6K² / (n³ + n²)).
    There is a shift if p is below 5 % and the medians of both sides differ by at least 5 %.
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
    """Return the first plateau of at least eight batches, or None.

    First batches are dropped while they lie outside the band of the later half around its median
    (three scaled MADs, at least 5 %). The plateau ends at the next level shift and must not drift.
    The interval is Student's t over batch means; it is valid if the batches are independent.
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
