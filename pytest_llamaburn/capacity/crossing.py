"""The number of clients at which a failure rate is crossed, from every request of every probe.

Two causes are kept apart. Deadlines: in a loaded closed loop latency grows with the number of
clients (Little's law: clients = throughput × latency), so latency / clients is one sample for all
levels near the top; what a deadline cut off is censored, and the share beyond a deadline is the
product-limit estimate (Kaplan and Meier, JASA 53, 1958). Other failures: a logistic curve over the
level's logarithm pooled over all levels, or one constant where its rise is not significant.
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

NEAR = 0.6  # levels from this share of the highest one on tell of its queue
_SIGNIFICANT = 6.63  # chi-square, 1 degree of freedom, 99 %
_ROOM = 0.9  # of the rate is the most that a background not proven higher is taken for
_CLUSTER = 20  # errors this many requests apart are taken as independent


class Sample(NamedTuple):
    """One level's requests as columns, in order of sending: latency in ns and how they failed."""

    level: float
    latency: Floats
    timed_out: Flags
    failed: Flags  # by anything but a deadline


def sample(level: float, requests: Sequence[Request], deadline_ns: float = math.inf) -> Sample:
    """Return a level's requests as columns, as if this deadline had ended the longer ones."""
    latency = np.array([r.end_ns - r.sent_ns for r in requests], float)
    late = np.array([r.timed_out for r in requests], bool) | (latency > deadline_ns)
    failed = np.array([r.failure is not None for r in requests], bool) & ~late
    return Sample(level, np.minimum(latency, deadline_ns), late, failed)


def crossing(
    samples: Sequence[Sample], late: Curve, rate: float, errors: float = 0.0
) -> float | None:
    """Return the level at which `rate` of the requests fail, None if none points to one.

    `late` is the share that a deadline cuts off; the others are in the samples, taken for that
    many standard errors more.
    """
    levels = sorted(s.level for s in samples)
    curve = either(late, background(samples, rate, errors))
    above = bisect.bisect_right(levels, rate, key=curve)  # at them a curve may know its value
    low = levels[above - 1] if above else levels[0] / 2
    return solve(curve, rate, low, levels[above] if above < len(levels) else levels[-1] * 100)


def interpolated(rows: Sequence[tuple[float, float, int]], rate: float) -> float | None:
    """Return where a rising fit of levels' shares crosses `rate`; None if it never does.

    `rows` are (level, share failed, n), lowest first; a straight line joins the levels.
    """
    shares = stats.rising([share for _, share, _ in rows], [n for _, _, n in rows])
    above = next((i for i, share in enumerate(shares) if share > rate), None)
    if not above:
        return None if above is None else rows[0][0]
    low, high = rows[above - 1][0], rows[above][0]
    return low + (high - low) * (rate - shares[above - 1]) / (shares[above] - shares[above - 1])


def either(first: Curve, second: Curve) -> Curve:
    """Return the share that at least one of two independent causes takes."""
    return lambda level: both(first(level), second(level))


def both(first: float, second: float) -> float:
    """Return the share that at least one of two independent causes takes, each of its own share."""
    return 1 - (1 - first) * (1 - second)


def solve(curve: Curve, rate: float, low: float, high: float) -> float | None:
    """Return where a rising curve crosses `rate`, to 0.1 %; `low` if before it, None if after."""
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
    steps = np.concatenate([[1.0], left[:-1], [0.0]])  # beyond the longest wait nothing is known
    cut = deadline_ns + think_ns
    return lambda level: float(steps[np.searchsorted(scaled, cut / level, side="right")])


def product_limit(values: Floats, ended: Flags) -> tuple[Floats, Floats]:
    """Return the values in order, and the share that lies beyond each.

    By Kaplan and Meier (JASA 53, 1958), those that have not `ended` being cut off.
    """
    order = np.lexsort((~ended, values))
    left = np.cumprod(1 - ended[order] / np.arange(len(values), 0, -1))
    return values[order], np.asarray(left, float)


def background(samples: Sequence[Sample], rate: float, errors: float = 0.0) -> Curve:
    """Return the share that fails by anything else, of what no deadline cuts off, over the level.

    A constant one is taken for more than nine tenths of `rate` only if its interval lies above.
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
    """Return (a, b, gain) of the likeliest P(fail) = 1 / (1 + exp(−a − b·ln level)).

    `counts` are (level, failed, issued), some but not all failed or the curve is flat; the gain is
    twice the log likelihood over a constant's. Newton's method, with a ridge of 0.01 on b, which
    keeps it finite where no level has both outcomes.
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
