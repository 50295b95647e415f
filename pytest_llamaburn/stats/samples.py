"""Statistics of repeated measurements and their uncertainty.

Percentiles are exact (linear interpolation between closest ranks). The standard deviation is that
of the sample (ddof 1). The interval of the mean is Student's t at 95 %.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pytest_llamaburn.documents import Distribution, Interval

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99_9": 99.9}
CI_METHOD = "student_t_mean_95"
_EXACT_DF = 200  # above this, the series of the quantile is exact to six digits
Z95 = 1.959963984540054  # standard errors on each side of a 95 % interval


def distribution(
    values: Sequence[float] | NDArray[Any], unit: str, reason: str | None = None
) -> Distribution:
    """Return the summary of `values` as in result files.

    Keys: unit, n, mean, std, cv, min, p50 … p99_9, max, ci95 ([low, high] of the mean, with
    ci95_method), certified (the percentiles that n supports) and, for n = 0, the reason. std, cv
    and ci95 are None with fewer than two values; cv is also None if the mean is 0.
    """
    if len(values) == 0:
        return _without_values(unit, reason or "no_samples")
    import numpy as np

    data = np.asarray(values, dtype=float)
    mean, n = float(data.mean()), len(data)
    std = float(data.std(ddof=1)) if n > 1 else None
    p50, p90, p95, p99, p99_9 = map(float, np.percentile(data, list(PERCENTILES.values())))
    return {
        "unit": unit,
        "n": n,
        "mean": mean,
        "std": std,
        "cv": std / abs(mean) if std is not None and mean else None,
        "min": float(data.min()),
        "p50": p50,
        "p90": p90,
        "p95": p95,
        "p99": p99,
        "p99_9": p99_9,
        "max": float(data.max()),
        "ci95": mean_interval(mean, std, n),
        "ci95_method": CI_METHOD,
        "certified": certified(n),
    }


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Return a percentile, interpolated as in `distribution`. It does not import numpy.

    It is None without values, and if it depends on an infinite value.
    """
    ordered = sorted(values)
    if not ordered:
        return None
    at = (len(ordered) - 1) * (percent / 100)
    low, high, part = ordered[math.floor(at)], ordered[math.ceil(at)], at - math.floor(at)
    if math.isinf(high):
        return None
    step = high - low  # counted from the nearer end, as numpy does
    return float(low + step * part if part < 0.5 else high - step * (1 - part))


def _without_values(unit: str, reason: str) -> Distribution:
    return {
        "unit": unit,
        "n": 0,
        "mean": None,
        "std": None,
        "cv": None,
        "min": None,
        "p50": None,
        "p90": None,
        "p95": None,
        "p99": None,
        "p99_9": None,
        "max": None,
        "ci95": None,
        "certified": [],
        "reason": reason,
    }


def certified(n: int) -> list[str]:
    """Return the percentiles for which n samples give an upper bound with 95 % confidence.

    The largest of n samples exceeds the p-quantile with probability 1 - p^n. This needs 5 samples
    for p50, 29 for p90, 59 for p95, 299 for p99 and 2995 for p99.9.
    """
    return [name for name, p in PERCENTILES.items() if n >= floor(p / 100)]


def floor(quantile: float) -> int:
    """Return the minimum number of samples that certify a quantile (0 < quantile < 1)."""
    return math.ceil(math.log(0.05) / math.log(quantile))


def mean_interval(mean: float, std: float | None, n: int) -> Interval | None:
    """Return the 95 % interval of the mean as (low, high), or None if `std` is None."""
    if std is None:
        return None
    half = t_quantile(n - 1) * std / math.sqrt(n)
    return mean - half, mean + half


def needed(cv: float, half_width: float) -> int:
    """Return how many samples with this CV give a 95 % interval of the mean within ± `half_width`.

    It is the smallest n with t(n − 1) · cv / √n ≤ half_width; both are shares of the mean.
    """
    n = max(2, math.ceil((1.9599 * cv / half_width) ** 2))  # t is never below 1.95996
    while t_quantile(n - 1) * cv / math.sqrt(n) > half_width:
        n += 1
    return n


def cv_interval(values: Sequence[float]) -> Interval | None:
    """Return the 95 % interval of a coefficient of variation (CV), or None if there is no CV.

    It is the chi-square interval of the standard deviation, with the mean taken as known; the
    quantiles are Wilson and Hilferty's cube-root approximation.
    """
    summary = distribution(values, "")
    if not summary["cv"]:
        return None if summary["cv"] is None else (0.0, 0.0)
    cv, df = summary["cv"], summary["n"] - 1
    low, high = (cv * math.sqrt(df / _chi_square(df, z)) for z in (Z95, -Z95))
    return low, high


def _chi_square(df: int, z: float) -> float:
    spread = 2 / (9 * df)
    cube: float = (1 - spread + z * math.sqrt(spread)) ** 3
    return max(df * cube, 1e-3 * df)


def relative_half_width(values: Sequence[float]) -> float | None:
    """Return half of the mean's 95 % interval as a share of the mean, or None without interval."""
    summary = distribution(values, "")
    if summary["ci95"] is None or not summary["mean"]:
        return None
    half: float = (summary["ci95"][1] - summary["ci95"][0]) / 2 / abs(summary["mean"])
    return half


def quantile_interval(values: Sequence[float], quantile: float) -> Interval | None:
    """Return the 95 % interval of a quantile from order statistics, or None if n is too small.

    The number of samples below the true quantile is binomial(n, quantile). The two order statistics
    are the closest ones with a probability of at most 2.5 % beyond each (David and Nagaraja, Order
    Statistics, 7.1).
    """
    n, ordered = len(values), sorted(values)
    if n == 0:
        return None
    import numpy as np

    at_most = np.cumsum([_binomial(k, n, quantile) for k in range(n + 1)])
    low = int(np.searchsorted(at_most, 0.025, side="right")) - 1
    high = int(np.searchsorted(at_most, 0.975))
    return (ordered[low], ordered[high]) if low >= 0 and high < n else None


def _binomial(k: int, n: int, share: float) -> float:
    """Return the probability of k successes in n tries, numerically stable for large n."""
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(share) + (n - k) * math.log1p(-share))


def rising(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the closest nondecreasing values (weighted isotonic regression).

    By pool adjacent violators (Ayer et al., Annals of Mathematical Statistics 26, 1955).
    """
    blocks: list[tuple[float, float, int]] = []  # value, weight, length
    for value, weight in zip(values, weights, strict=True):
        block = (value, float(weight), 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, more, length = blocks.pop()
            total = more + block[1]
            block = ((mean * more + block[0] * block[1]) / total, total, length + block[2])
        blocks.append(block)
    return [value for value, _, length in blocks for _ in range(length)]


def wilson(hits: float, n: int) -> Interval | None:
    """Return the 95 % interval of a share by Wilson's score, or None for n = 0."""
    return wilson_interval(hits / n, n, Z95) if n else None


def wilson_interval(share: float, n: float, z: float) -> Interval:
    """Return the interval of a share over n samples by Wilson's score, z standard errors wide."""
    z2 = z * z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low = 0.0 if share == 0 else max(0.0, middle - half)  # exact, without rounding errors
    return low, 1.0 if share == 1 else min(1.0, middle + half)


def outliers(values: Sequence[float], iqrs: float) -> list[float]:
    """Return the values more than `iqrs` interquartile ranges outside the quartiles."""
    import numpy as np

    low, high = np.percentile(values, [25, 75])
    reach = iqrs * (high - low)
    return [v for v in values if v < low - reach or v > high + reach]


@lru_cache
def t_quantile(df: int, confidence: float = 0.95) -> float:
    """Return Student's two-sided quantile for df ≥ 1 degrees of freedom.

    Up to 200 degrees it is found by bisection on the finite series of the distribution (Abramowitz
    and Stegun 26.7.3-4), above that by their expansion 26.7.5.
    """
    if df > _EXACT_DF:
        z = normal_quantile(confidence)
        return z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
    low, high = 0.0, 2.0
    while _t_central(high, df) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_central(middle, df) < confidence else (low, middle)
    return low


def normal_quantile(confidence: float) -> float:
    """Return the two-sided quantile of the normal distribution."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _t_central(t: float, df: int) -> float:
    """Return the probability that |T| < t."""
    theta = math.atan(t / math.sqrt(df))
    cos2 = math.cos(theta) ** 2
    odd = df % 2
    term, total = (math.cos(theta), 0.0) if odd else (1.0, 0.0)
    for k in range(2 + odd, df + 1, 2):
        total += term
        term *= cos2 * (k - 1) / k
    if odd:
        return 2 / math.pi * (theta + math.sin(theta) * total)
    return math.sin(theta) * total
