"""The degradation point: the level at which a latency is a multiple of its baseline.

The ratio of a level's percentile to the baseline's is noisy, and with one slot two clients are
exactly at 2×. So a level within ±10 % of the factor counts neither as good nor as bad. The point is
estimated from all levels: a nondecreasing fit of the ratio's logarithm, linear between levels on a
logarithmic axis. If the two levels around the point are too far apart, only that interval is
reported.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.load.rows import Request

DEGRADATION_FACTOR = 2.0
INDIFFERENCE = 0.10
_NEAR = 2.0  # fit a line through levels up to this factor above or below the crossing
_PRIOR = 60.0  # weight of the prior slope of 1, in requests one logarithmic unit away
_ENDLESS = 1e9  # the ratio of a percentile that is a failure
_STEEP = 1.5  # a steeper rise, in logarithms, is a step
_TRUST = 0.2  # most by which the line may move a crossing, in the level's logarithm
_RISE = 12  # requests that show on which side of the point a level is
_SURE = 40  # requests at the two levels around the point
_LEAP = 4  # factor to the next level while levels are below the point
_NARROW = 1.15  # quotient of the levels around the point that is narrow enough
WIDEST = 1.5  # above this quotient only the interval is reported
QUANTILES = {"p50": 0.50, "p95": 0.95}
# Latencies from the scheduled time, with the names of a level's distributions.
TTFT = "time_to_first_token_from_schedule_ms"
WAITS = (TTFT, "total_generation_from_schedule_ms")


class DegradationPoint(NamedTuple):
    """The level at which one percentile of one metric crosses the factor.

    `passing` is the highest level whose ratio is below the indifference zone, `failing` the lowest
    level above it. `bracket` are the two levels between which the fit crosses; the lower one is
    None if it was not sent. `estimate` is None if the point was not `reached`, or if the bracket is
    too wide. `interval` is the 95 % interval within the sent levels. `estimator` is crossing or
    bracket; `reason` says why there is no estimate.
    """

    metric: str
    statistic: str
    passing: float | None
    failing: float | None
    estimate: float | None
    reached: bool
    reason: str | None = None
    bracket: tuple[float | None, float] | None = None
    interval: tuple[float, float] | None = None
    estimator: str | None = None

    @property
    def place(self) -> float:
        """The approximate level, for comparing points."""
        if self.estimate is not None:
            return self.estimate
        low, high = self.bracket or (math.inf, math.inf)
        return high if low is None else math.sqrt(low * high)


class Latency(NamedTuple):
    """One percentile at one level, in ms, of n requests, and its 95 % interval.

    Failures count as infinite.
    """

    level: float
    ms: float
    n: int
    interval: tuple[float, float]


def latencies(metric: str, statistic: str, requests: Sequence[Request]) -> float:
    """Return one percentile of TTFT or total time, in ms from schedule; failures are +∞."""
    return latency(0, metric, statistic, requests).ms


def latency(level: float, metric: str, statistic: str, requests: Sequence[Request]) -> Latency:
    """Return one percentile of TTFT or total time at a level, in ms from schedule."""
    values = [_value(metric, r) for r in requests]
    q = QUANTILES[statistic]
    ms = float(np.percentile(values, q * 100, method="higher")) if values else math.nan
    low, high = samples.quantile_interval(values, q) or (ms, ms)
    return Latency(level, ms, len(values), (low, high))


def points(
    levels: Mapping[float, Sequence[Request]],
    baseline: Sequence[Request],
    factor: float = DEGRADATION_FACTOR,
    *,
    clients: bool = True,
) -> list[DegradationPoint]:
    """Return a point for each metric and percentile, from each level's counted requests.

    `levels` are numbers of `clients`, with the baseline as the lowest, or else rates.
    """
    alone = [*baseline, *levels.get(1, ())] if clients else baseline
    known = {**levels, 1: alone} if clients else levels
    result = []
    for metric in WAITS:
        for statistic in QUANTILES:
            rows = [
                latency(level, metric, statistic, requests)
                for level, requests in sorted(known.items())
                if requests
            ]
            base = latency(1, metric, statistic, alone)
            result.append(point(metric, statistic, rows, base, factor, clients=clients))
    return result


def lowest(points: Sequence[DegradationPoint]) -> DegradationPoint | None:
    """Return the lowest reached point, or None."""
    return min((point for point in points if point.reached), key=lambda p: p.place, default=None)


def point(
    metric: str,
    statistic: str,
    rows: Sequence[Latency],
    base: Latency,
    factor: float = DEGRADATION_FACTOR,
    *,
    clients: bool = True,
) -> DegradationPoint:
    """Return where the ratio of the levels' latencies to the baseline's crosses the factor."""
    if not rows or not 0 < base.ms < math.inf:
        why = "no level was measured" if not rows else f"the baseline's {statistic} is {base.ms} ms"
        return DegradationPoint(metric, statistic, None, None, None, reached=False, reason=why)
    logs = _logs(rows, [row.ms / base.ms for row in rows])
    low, high = math.log(factor * (1 - INDIFFERENCE)), math.log(factor * (1 + INDIFFERENCE))
    failing = next((r.level for r, y in zip(rows, logs, strict=True) if y > high), None)
    passing = max((r.level for r, y in zip(rows, logs, strict=True) if y < low), default=None)
    result = DegradationPoint(metric, statistic, passing, failing, None, reached=False)
    i = next((i for i, y in enumerate(logs) if y >= math.log(factor)), None)
    if i is None:
        return result._replace(reason=f"up to {rows[-1].level:g} it stays below {factor:g}×")
    result = result._replace(
        bracket=(rows[i - 1].level if i else None, rows[i].level), reached=True
    )
    if not i:
        why = f"at {rows[0].level:g}, the lowest level sent, it is above {factor:g}×"
        return result._replace(estimator="bracket", reason=why)
    if wide(rows[i - 1].level, rows[i].level, whole=clients):
        ends = f"{rows[i - 1].level:g} and {rows[i].level:g}"
        why = f"no level was measured between {ends}"
        between = (rows[i - 1].level, rows[i].level)
        return result._replace(interval=between, estimator="bracket", reason=why)
    estimate = _crossing(rows, logs, math.log(factor))
    return result._replace(
        estimate=estimate,
        interval=_interval(rows, base, factor, (rows[i - 1].level, rows[i].level)),
        estimator="crossing",
    )


def wide(low: float | None, high: float | None, *, whole: bool) -> bool:
    """Return whether two levels are too far apart for an estimate between them.

    `whole` numbers of clients next to each other are never too far apart.
    """
    if low is None or high is None or (whole and high - low <= 1):
        return False
    return high / low > WIDEST


def _interval(
    rows: Sequence[Latency], base: Latency, factor: float, bracket: tuple[float, float]
) -> tuple[float, float]:
    """Return the point's interval: the crossings of the ratios' bounds, or the wider bracket."""
    at, ends = math.log(factor), []
    for end in (1, 0):
        ratios = [r.interval[end] / (base.interval[1 - end] or base.ms) for r in rows]
        ends.append(_crossing(rows, _logs(rows, ratios), at) or rows[-1].level)
    return min(ends[0], bracket[0]), max(ends[1], bracket[1])


def _logs(rows: Sequence[Latency], ratios: Sequence[float]) -> list[float]:
    logs = [math.log(min(max(ratio, 1 / _ENDLESS), _ENDLESS)) for ratio in ratios]
    return samples.rising(logs, [row.n for row in rows])


def _crossing(rows: Sequence[Latency], logs: Sequence[float], at: float) -> float | None:
    """Return the level at which the fit crosses: between two levels, or on a line through several.

    If latency rises no faster than the level, as in a queue (Little's law: a slope of 1), a line
    through all near levels is less noisy than two levels. A step does not fit a line.
    """
    i = next((i for i, y in enumerate(logs) if y >= at), None)
    if not i:
        return None if i is None else rows[0].level
    low, high = rows[i - 1].level, rows[i].level
    step = (logs[i] - logs[i - 1]) / math.log(high / low)
    middle = low * math.exp((at - logs[i - 1]) / step)
    near = [
        (math.log(r.level / middle), y, r.n)
        for r, y in zip(rows, logs, strict=True)
        if middle / _NEAR < r.level < _NEAR * middle and at / 4 < y < math.log(_ENDLESS)
    ]
    if step > _STEEP or len(near) < 2:
        return middle
    x, y, n = (np.array(column, float) for column in zip(*near, strict=True))
    middle_x, middle_y = np.average(x, weights=n), np.average(y, weights=n)
    rise = (n @ ((x - middle_x) * (y - middle_y)) + _PRIOR) / (n @ (x - middle_x) ** 2 + _PRIOR)
    moved = middle_x + (at - middle_y) / max(rise, 0.1)
    return middle * math.exp(min(max(moved, -_TRUST), _TRUST))


def _value(metric: str, request: Request) -> float:
    last_ns = request.end_ns if request.last_token_ns is None else request.last_token_ns
    end = request.first_ns if metric == TTFT else last_ns
    if request.failure or end is None:
        return math.inf
    return (end - request.scheduled_ns) / 1e6


def wanted(
    levels: Mapping[float, Sequence[Request]],
    baseline: Sequence[Request],
    factor: float,
    maximum: float,
) -> tuple[int, int] | None:
    """Return how many clients to measure next for the lowest point, and with how many requests.

    None if its bracket is narrow and both its ends are known well, or nothing is left to send.
    """
    found = lowest(points(levels, baseline, factor))
    top = max(levels, default=1)
    if found is None:
        return (int(min(_LEAP * top, maximum)), _RISE) if top < maximum else None
    low, high = found.bracket or (None, 1.0)
    if low is None:
        return None
    if high / low > _NARROW and high - low > 1:
        return min(max(round(math.sqrt(low * high)), int(low) + 1), int(high) - 1), _RISE
    short = [end for end in (high, low) if end > 1 and len(levels[end]) < _SURE]
    return (int(short[0]), _SURE - len(levels[short[0]])) if short else None
