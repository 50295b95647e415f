"""A constant load for a long time, to see whether the server gets slower."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.kinds.stress.plan import Ending
from pytest_llamaburn.load.step import CLIENTS, RATE, Step

if TYPE_CHECKING:
    from pytest_llamaburn.kinds.stress.plan import Plan
    from pytest_llamaburn.kinds.stress.run import Baseline
    from pytest_llamaburn.kinds.stress.settings import Stress

LENGTH_S = 15 * 60.0
CLIENTS_DEFAULT = 4
SHARE_OF_BASELINE = 0.5  # rate, as a share of the throughput of one client


def plan(settings: Stress, baseline: Baseline) -> Plan:
    """Yield the load as one step."""
    (step,) = steps(settings, baseline.total_s)
    yield step
    return Ending("the time was over")


def steps(settings: Stress, total_s: float) -> list[Step]:
    """Return the load as one step, given the latency `total_s` of a single client."""
    seconds = settings.duration or LENGTH_S
    if settings.arrival:
        rate = settings.rate or SHARE_OF_BASELINE / total_s
        return [Step(rate, RATE, seconds=seconds, keep_records=False)]
    clients = settings.concurrency or CLIENTS_DEFAULT
    return [Step(clients, CLIENTS, seconds=seconds, keep_records=False)]
