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

from pytest_llamaburn.load.capacity import Probe

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from pytest_llamaburn.load.records import Record

DEGRADATION_FACTOR = 2.0
INDIFFERENCE = 0.10
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
    logs = rising([math.log(row.ms / base_ms) if row.ms < math.inf else 50.0 for row in rows], rows)
    low, high = math.log(factor * (1 - INDIFFERENCE)), math.log(factor * (1 + INDIFFERENCE))
    failing = next((r.level for r, y in zip(rows, logs, strict=True) if y > high), None)
    passing = max((r.level for r, y in zip(rows, logs, strict=True) if y < low), default=None)
    estimate = _crossing([r.level for r in rows], logs, math.log(factor))
    why = None if estimate else f"up to {rows[-1].level:g} it stays below {factor:g}×"
    return DegradationPoint(
        metric, statistic, passing, failing, estimate, estimate is not None, why
    )


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


def _crossing(levels: Sequence[float], logs: Sequence[float], at: float) -> float | None:
    for i, y in enumerate(logs):
        if y >= at:
            if i == 0:
                return levels[0]
            share = min(1.0, (at - logs[i - 1]) / (y - logs[i - 1]))
            return float(levels[i - 1] * (levels[i] / levels[i - 1]) ** share)
    return None


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

    def now() -> DegradationPoint:
        rows = [
            Latency(v, latencies(bend.metric, bend.statistic, levels[v]), len(levels[v]))
            for v in sorted(levels)
            if levels[v]
        ]
        return point(bend.metric, bend.statistic, rows, rows[0].ms, bend.factor)

    yield from send(1, bend.budget * 9 // 20)
    value = 2
    while True:
        yield from send(min(value, bend.maximum), _RISE)
        if now().failing is not None or value >= bend.maximum:
            break
        value *= 2
    while now().reached and left > _RISE:
        yield from send(_next(levels, now().estimate or 1.0), 2 * _RISE)
    return now()


def _next(levels: Mapping[int, Sequence[Record]], at: float) -> int:
    """Return the level to measure: inside a gap around the crossing, else its lesser known end."""
    above = min(v for v in levels if v >= at)
    below = max((v for v in levels if v < at), default=above)
    if above - below > 1:
        return min(max(math.floor(at), below + 1), above - 1)
    return min(below, above, key=lambda v: len(levels[v]))
