"""Estimate the number of clients at which a failure rate is crossed, from all requests.

Two causes of failure are estimated separately.

Deadlines: in a loaded closed loop, latency grows with the number of clients (Little's law: clients
= throughput × latency). So latency / clients is one sample for all levels near the top. Requests
cut off by a deadline are censored values, and the share beyond a deadline is the product-limit
estimate (Kaplan and Meier, JASA 53, 1958).

Other failures: a logistic curve over the logarithm of the level, pooled over all levels, or a
constant if the rise is not significant.
"""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_llamaburn.stats import clustered
from pytest_llamaburn.stats import samples as stats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pytest_llamaburn.load.rows import Request

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Curve = Callable[[float], float]

NEAR = 0.6  # use levels from this share of the highest level on: they have the same queue
_SIGNIFICANT = 6.63  # chi-square, 1 degree of freedom, 99 %
_ROOM = 0.9  # limit a background that is not proven higher to this share of the rate
_CLUSTER = 20  # errors this many requests apart count as independent


class Sample(NamedTuple):
    """One level's requests as columns, in the order of sending: latency in ns and failures."""

    level: float
    latency: Floats
    timed_out: Flags
    failed: Flags  # for another reason than a deadline


def sample(level: float, requests: Sequence[Request], deadline_ns: float = math.inf) -> Sample:
    """Return a level's requests as columns, as if this deadline had applied."""
    latency = np.array([r.end_ns - r.sent_ns for r in requests], float)
    late = np.array([r.timed_out for r in requests], bool) | (latency > deadline_ns)
    failed = np.array([r.failure is not None for r in requests], bool) & ~late
    return Sample(level, np.minimum(latency, deadline_ns), late, failed)


def crossing(
    samples: Sequence[Sample], late: Curve, rate: float, errors: float = 0.0
) -> float | None:
    """Return the level at which the share `rate` of the requests fails, or None if unknown.

    `late` is the share that a deadline cuts off. Other failures are estimated from the samples and
    increased by `errors` standard errors.
    """
    levels = sorted(s.level for s in samples)
    curve = either(late, background(samples, rate, errors))
    above = bisect.bisect_right(levels, rate, key=curve)  # at them a curve may know its value
    low = levels[above - 1] if above else levels[0] / 2
    return solve(curve, rate, low, levels[above] if above < len(levels) else levels[-1] * 100)


def interpolated(rows: Sequence[tuple[float, float, int]], rate: float) -> float | None:
    """Return where a nondecreasing fit of the levels' shares crosses `rate`, or None if nowhere.

    `rows` are (level, failed share, n), lowest level first; between levels the fit is linear.
    """
    shares = stats.rising([share for _, share, _ in rows], [n for _, _, n in rows])
    above = next((i for i, share in enumerate(shares) if share > rate), None)
    if not above:
        return None if above is None else rows[0][0]
    low, high = rows[above - 1][0], rows[above][0]
    return low + (high - low) * (rate - shares[above - 1]) / (shares[above] - shares[above - 1])


def either(first: Curve, second: Curve) -> Curve:
    """Return the share of requests that fail for at least one of two independent causes."""
    return lambda level: both(first(level), second(level))


def both(first: float, second: float) -> float:
    """Return the share that fails for at least one of two independent causes with these shares."""
    return 1 - (1 - first) * (1 - second)


def solve(curve: Curve, rate: float, low: float, high: float) -> float | None:
    """Return where a rising curve crosses `rate`, to 0.1 %; `low` if below it, None if above."""
    if curve(high) <= rate:
        return None
    while high > low * 1.001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if curve(middle) > rate else (middle, high)
    return low


def beyond(samples: Sequence[Sample], deadline_ns: float, think_ns: float = 0.0) -> Curve:
    """Return the share of requests that a deadline cuts off, over the level.

    `think_ns` is the clients' mean pause: clients = throughput × (latency + pause).
    """
    top = max(s.level for s in samples)
    near = [s for s in samples if s.level >= NEAR * top]
    scaled = np.concatenate([(s.latency[~s.failed] + think_ns) / s.level for s in near])
    ended = np.concatenate([~s.timed_out[~s.failed] for s in near])
    if not len(scaled):
        return lambda _: 0.0
    scaled, left = product_limit(scaled, ended)
    steps = np.concatenate([[1.0], left[:-1], [0.0]])  # nothing is known beyond the longest wait
    cut = deadline_ns + think_ns
    return lambda level: float(steps[np.searchsorted(scaled, cut / level, side="right")])


def product_limit(values: Floats, ended: Flags) -> tuple[Floats, Floats]:
    """Return the sorted values, and the share beyond each.

    By Kaplan and Meier (JASA 53, 1958); values that have not `ended` are censored.
    """
    order = np.lexsort((~ended, values))
    left = np.cumprod(1 - ended[order] / np.arange(len(values), 0, -1))
    return values[order], np.asarray(left, float)


def background(samples: Sequence[Sample], rate: float, errors: float = 0.0) -> Curve:
    """Return the share of other failures among requests that no deadline cut off, over the level.

    A constant share exceeds nine tenths of `rate` only if its interval is above `rate`.
    """
    ended = [s.failed[~s.timed_out] for s in samples]
    counts = [
        (s.level, int(e.sum()), len(e)) for s, e in zip(samples, ended, strict=True) if len(e)
    ]
    hits, n = sum(c[1] for c in counts), sum(c[2] for c in counts)
    if not hits:
        return lambda _: 0.0
    effect = clustered.design_effect(ended, _CLUSTER)
    start, slope, gain = logistic(counts)
    if slope > 0 and gain / effect > _SIGNIFICANT:
        return lambda level: _logistic(start + slope * math.log(level))
    low, _ = clustered.interval(hits / n, n / effect)
    share = max(0.0, hits / n + errors * math.sqrt(hits / n * (1 - hits / n) * effect / n))
    flat = share if low > rate else min(share, _ROOM * rate)
    return lambda _: flat


def logistic(counts: Sequence[tuple[float, int, int]]) -> tuple[float, float, float]:
    """Return (a, b, gain) of the maximum-likelihood P(fail) = 1 / (1 + exp(−a − b·ln level)).

    `counts` are (level, failed, issued); if none or all failed, the curve is flat. The gain is
    twice the log-likelihood ratio to a constant. It uses Newton's method with a ridge of 0.01 on b,
    which keeps b finite if no level has both outcomes.
    """
    logs, hits, n = (np.array(column, float) for column in zip(*counts, strict=True))
    logs = np.log(logs)
    base = min(max(hits.sum() / n.sum(), 1e-9), 1 - 1e-9)
    design = np.stack([np.ones_like(logs), logs - logs.mean()])
    weights = np.array([math.log(base / (1 - base)), 0.0])
    ridge = np.diag([1e-6, 1e-2])
    for _ in range(30):
        share = 1 / (1 + np.exp(-np.clip(weights @ design, -30, 30)))
        slope = design @ (hits - n * share) - ridge @ weights
        bend = (design * (n * share * (1 - share))) @ design.T + ridge
        weights = weights + np.clip(np.linalg.solve(bend, slope), -2, 2)
    share = 1 / (1 + np.exp(-np.clip(weights @ design, -30, 30)))
    gain = hits @ np.log(share / base) + (n - hits) @ np.log((1 - share) / (1 - base))
    a, b = float(weights[0] - weights[1] * logs.mean()), float(weights[1])
    return a, b, 2 * float(gain)


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-min(max(x, -500), 500)))
