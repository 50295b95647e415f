"""Raise the load until the server fails or the maximum holds, then narrow the failure point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.capacity import loops, open_loop, search
from pytest_llamaburn.kinds.stress.plan import Ending
from pytest_llamaburn.load.step import CLIENTS, RATE, Step
from pytest_llamaburn.load.think import mean_think_ns

if TYPE_CHECKING:
    from pytest_llamaburn.kinds.stress.plan import Plan
    from pytest_llamaburn.kinds.stress.run import Baseline
    from pytest_llamaburn.kinds.stress.settings import Stress


def plan(settings: Stress, baseline: Baseline) -> Plan:
    """Yield the probes of the search for the failure point."""
    probes = loops.search(_limits(settings, baseline))
    unit = RATE if settings.arrival else CLIENTS
    probe = next(probes)
    while True:
        level, requests, from_idle = probe
        clients = unit == CLIENTS
        sent = yield Step(level, unit, requests, from_idle=from_idle, hold_open=clients)
        try:
            probe = probes.send(sent)
        except StopIteration as end:
            return Ending(end.value.reason, end.value)


def steps(settings: Stress, total_s: float) -> list[Step]:
    """Return the first and the highest step, given the latency `total_s` of a single client."""
    unit, (start, most) = RATE if settings.arrival else CLIENTS, _ends(settings, total_s)
    return [
        Step(start, unit, loops.least(start, start, rates=unit == RATE)),
        Step(most, unit),
    ]


def _ends(settings: Stress, total_s: float) -> tuple[float, float]:
    if not settings.arrival:
        return settings.concurrency or 1, settings.max_concurrency
    start = settings.rate or 1 / total_s
    return start, settings.max_rate or start * settings.max_concurrency


def _limits(settings: Stress, baseline: Baseline) -> search.Limits:
    start, most = _ends(settings, baseline.total_s)
    budget = (settings.level_requests or search.BUDGET) - len(baseline.requests)
    return search.Limits(
        start=start,
        maximum=most,
        deadline_ns=int(baseline.deadline_s * 1e9),
        failure_rate=settings.failure_rate,
        alone=open_loop.idle(baseline.requests) if settings.arrival else None,
        budget=max(1, budget),
        think_ns=int(mean_think_ns(settings.think_time)),
        baseline=baseline.requests,
        factor=settings.degradation_factor,
    )
