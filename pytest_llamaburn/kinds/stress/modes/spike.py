"""A steady load with bursts on top, to measure how long the server takes to recover."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_llamaburn.capacity import recovery
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.stress.plan import Ending
from pytest_llamaburn.load.step import CLIENTS, RATE, Burst, Step

if TYPE_CHECKING:
    from pytest_llamaburn.kinds.stress.plan import Plan
    from pytest_llamaburn.kinds.stress.run import Baseline
    from pytest_llamaburn.kinds.stress.settings import Stress

SHARE_OF_BASELINE = 0.4  # steady load, as a share of the throughput of one client
TIMES = 4.0  # burst, in multiples of the throughput of one client
STEADY_WINDOWS = 4  # windows before the first burst, which define when latency is normal again
WAIT_TIMES = 6.0  # wait for recovery, in lengths of the burst


def plan(settings: Stress, baseline: Baseline) -> Plan:
    """Yield the steady load with its bursts as one step: the load must not stop in between.

    Raises SettingsError if a burst is below the steady load.
    """
    (step,) = steps(settings, baseline.total_s)
    if settings.spike_rate and settings.spike_rate < step.level:
        raise SettingsError(
            f"--spike-rate {settings.spike_rate:g} is refused: it is below the steady load of "
            f"{step.level:.3g} requests/s: raise it, or set a lower --rate"
        )
    yield step
    return Ending("all bursts were sent")


def steps(settings: Stress, total_s: float) -> list[Step]:
    """Return the load with its bursts, given the latency `total_s` of a single client.

    Raises SettingsError if the wait after a burst is too short to measure recovery.
    """
    rate = settings.rate or SHARE_OF_BASELINE / total_s
    steady_s = STEADY_WINDOWS * recovery.window_s(rate)
    wait_s = settings.duration or max(WAIT_TIMES * settings.spike_duration, steady_s)
    if wait_s < steady_s:
        raise SettingsError(
            f"--duration {wait_s:g}s is refused: to measure a recovery takes "
            f"{math.ceil(steady_s)}s here: raise it, or leave it out"
        )
    period_s = settings.spike_duration + wait_s
    bursts = tuple(
        _burst(settings, total_s, steady_s + number * period_s) for number in range(settings.spikes)
    )
    seconds = steady_s + settings.spikes * period_s
    return [Step(rate, RATE, seconds=seconds, bursts=bursts)]


def _burst(settings: Stress, total_s: float, start_s: float) -> Burst:
    if settings.spike_concurrency:
        return Burst(start_s, settings.spike_duration, settings.spike_concurrency, CLIENTS)
    rate = settings.spike_rate or TIMES / total_s
    return Burst(start_s, settings.spike_duration, rate, RATE)
