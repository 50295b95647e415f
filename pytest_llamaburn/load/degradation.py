"""Where a server bends: the level at which a latency is a multiple of its baseline.

The ratio of a level's percentile to the baseline's is noisy, and with one slot two clients are
exactly at 2×, so a level within ±10 % of the factor is called neither good nor bad. The point comes
from all levels: a rising fit (pool adjacent violators, Ayer et al., Annals of Mathematical
Statistics 26, 1955) of the ratio's logarithm, linear between levels on a logarithmic axis.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_llamaburn.load.probing import Probe

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from pytest_llamaburn.load.records import Record

DEGRADATION_FACTOR = 2.0
INDIFFERENCE = 0.10
_NEAR = 2.0  # levels up to this many times above or below the crossing lie on its line
_PRIOR = 60.0  # how many requests, a unit of the logarithm away, say that the line's slope is 1
_ENDLESS = 1e9  # the ratio of a percentile that is a failure's
_STEEP = 1.5  # a steeper rise, in logarithms, is a step
_TRUST = 0.2  # the most, in the level's logarithm, that the line moves a crossing
_RISE = 24  # requests a level of the rise is measured with
QUANTILES = {"p50": 0.50, "p95": 0.95}
METRICS = ("time_to_first_token_ms", "total_generation_ms")


class DegradationPoint(NamedTuple):
    """Where one percentile of one metric crosses the factor.

    `passing` is the highest level whose ratio lies surely below the zone of indifference, `failing`
    the lowest above it; `estimate` is None unless `reached`; `reason` says why there is no point.
    """

    metric: str
    statistic: str
    passing: float | None
    failing: float | None
    estimate: float | None
    reached: bool
    reason: str | None = None


class Latency(NamedTuple):
    """One percentile at one level, in ms, of n requests; failures count as infinite."""

    level: float
    ms: float
    n: int


def latencies(metric: str, statistic: str, records: Sequence[Record]) -> float:
    """Return one percentile of TTFT or of the whole time, in ms from schedule; failures are +∞."""
    values = [_value(metric, r) for r in records]
    q = QUANTILES[statistic]
    return float(np.percentile(values, q * 100, method="higher")) if values else math.nan


def points(
    levels: Mapping[float, Sequence[Record]],
    baseline: Sequence[Record],
    factor: float = DEGRADATION_FACTOR,
) -> list[DegradationPoint]:
    """Return a point for each metric and percentile, from each level's counted records."""
    found = []
    for metric in METRICS:
        for statistic in QUANTILES:
            rows = [
                Latency(level, latencies(metric, statistic, records), len(records))
                for level, records in sorted(levels.items())
                if records
            ]
            base = latencies(metric, statistic, baseline)
            found.append(point(metric, statistic, rows, base, factor))
    return found


def point(
    metric: str,
    statistic: str,
    rows: Sequence[Latency],
    base_ms: float,
    factor: float = DEGRADATION_FACTOR,
) -> DegradationPoint:
    """Return where the ratio of rising levels' latencies to `base_ms` crosses the factor."""
    if not rows or not 0 < base_ms < math.inf:
        why = "no level was measured" if not rows else f"the baseline's {statistic} is {base_ms} ms"
        return DegradationPoint(metric, statistic, None, None, None, reached=False, reason=why)
    logs = _logs(rows, base_ms)
    low, high = math.log(factor * (1 - INDIFFERENCE)), math.log(factor * (1 + INDIFFERENCE))
    failing = next((r.level for r, y in zip(rows, logs, strict=True) if y > high), None)
    passing = max((r.level for r, y in zip(rows, logs, strict=True) if y < low), default=None)
    estimate = _crossing(rows, logs, math.log(factor))
    why = f"up to {rows[-1].level:g} it stays below {factor:g}×"
    return DegradationPoint(
        metric,
        statistic,
        passing,
        failing,
        estimate,
        reached=estimate is not None,
        reason=why if estimate is None else None,
    )


def _logs(rows: Sequence[Latency], base_ms: float) -> list[float]:
    return rising([math.log(min(row.ms / base_ms, _ENDLESS)) for row in rows], rows)


def rising(values: Sequence[float], rows: Sequence[Latency]) -> list[float]:
    """Return the closest rising values, weighted by n: neighbours that fall are averaged."""
    blocks: list[list[float]] = []  # value, weight, length
    for value, row in zip(values, rows, strict=True):
        blocks.append([value, float(row.n), 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            last, first = blocks.pop(), blocks.pop()
            weight = first[1] + last[1]
            mean = (first[0] * first[1] + last[0] * last[1]) / weight
            blocks.append([mean, weight, first[2] + last[2]])
    return [value for value, _, length in blocks for _ in range(int(length))]


def _crossing(rows: Sequence[Latency], logs: Sequence[float], at: float) -> float | None:
    """Return the level at which the fit crosses: between two levels, or on a line through more.

    Where latency rises no faster than the level, as a queue's does (Little's law: a slope of 1), a
    line through all levels near by has less chance in it than two levels have; a step is no line.
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


def _value(metric: str, record: Record) -> float:
    end = record.first_ns if metric == "time_to_first_token_ms" else record.last_ns
    if record.failure or end is None:
        return math.inf
    return (end - record.scheduled_ns) / 1e6


class Bend(NamedTuple):
    """What is searched: clients from 1 to `maximum`, one percentile, at most `budget` requests."""

    maximum: int
    metric: str = "total_generation_ms"
    statistic: str = "p50"
    factor: float = DEGRADATION_FACTOR
    budget: int = 750


def search(bend: Bend) -> Generator[Probe, Sequence[Record], DegradationPoint]:
    """Yield probes of a closed loop, one client first; returns the point over all of them.

    Almost half of the budget is the baseline's: its error is in every ratio.
    """
    levels: dict[int, list[Record]] = {}
    left = bend.budget

    def send(value: int, counted: int) -> Generator[Probe, Sequence[Record], None]:
        nonlocal left
        count = min(counted + value, left)
        records = yield Probe(value, count, fresh=True)
        left -= count
        levels.setdefault(value, []).extend(records[value:])

    def rows() -> list[Latency]:
        return [
            Latency(v, latencies(bend.metric, bend.statistic, levels[v]), len(levels[v]))
            for v in sorted(levels)
            if levels[v]
        ]

    yield from send(1, bend.budget * 9 // 20)
    while left > _RISE:
        seen = rows()
        now = point(bend.metric, bend.statistic, seen, seen[0].ms, bend.factor)
        top = max(levels)
        if now.failing is None and top < bend.maximum:
            yield from send(min(2 * top, bend.maximum), _RISE)
        elif now.reached:
            yield from send(_next(seen, bend.factor), max(2 * _RISE, left // 3))
        else:
            break
    return point(bend.metric, bend.statistic, rows(), rows()[0].ms, bend.factor)


def _next(rows: Sequence[Latency], factor: float) -> int:
    """Return the level to measure: in the gap below the first above, else its lesser known end."""
    logs = _logs(rows, rows[0].ms)
    at = next(i for i, y in enumerate(logs) if y >= math.log(factor))
    low, high = rows[max(0, at - 1)], rows[at]
    if high.level - low.level > 1:
        return math.ceil(math.sqrt(low.level * high.level))
    return int(min(low, high, key=lambda row: row.n).level)
