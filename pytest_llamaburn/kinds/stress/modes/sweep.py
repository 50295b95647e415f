"""Level by level: 1, 2, 4 and so on up to the maximum, or the levels of --levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.kinds.stress.plan import Ending, named_levels
from pytest_llamaburn.load.step import CLIENTS, RATE, Step

if TYPE_CHECKING:
    from pytest_llamaburn.kinds.stress.plan import Plan
    from pytest_llamaburn.kinds.stress.run import Baseline
    from pytest_llamaburn.kinds.stress.settings import Stress

# The default length of a level:
FEWEST = 12  # minimum number of requests
ROUNDS = 6  # requests of each client
LATENCIES = 8  # length of a schedule / latency of one client; a quarter of it is the ramp-up
MOST = 4000  # maximum number of requests of a schedule
_APART = 1.1  # minimum ratio of two levels


def plan(settings: Stress, baseline: Baseline) -> Plan:
    """Yield each level in turn."""
    for level in levels(settings, baseline.total_s):
        yield step(settings, level, baseline.total_s)
    return Ending("all levels were measured")


def steps(settings: Stress, total_s: float) -> list[Step]:
    """Return the steps of all levels, given the latency `total_s` of a single client."""
    return [step(settings, level, total_s) for level in levels(settings, total_s)]


def levels(settings: Stress, total_s: float) -> list[float]:
    """Return the levels of a sweep: clients, or requests per second if --arrival is set.

    Without --rate, level k of a schedule is k times the throughput of one client.
    """
    if settings.levels:
        return named_levels(settings.levels)
    if not settings.arrival:
        return doubling(1, settings.max_concurrency)
    first = settings.rate or 1 / total_s
    return doubling(first, settings.max_rate or first * settings.max_concurrency)


def doubling(first: float, most: float) -> list[float]:
    """Return first, 2 · first, 4 · first and so on, and at the end `most`.

    A level just below `most` is left out.
    """
    found = [first]
    while found[-1] * 2 * _APART < most:
        found.append(found[-1] * 2)
    return [*found, most] if found[-1] < most else found


def step(settings: Stress, level: float, total_s: float) -> Step:
    """Return the step of a level, with its number of requests or its length."""
    requests = settings.level_requests
    if requests is None and settings.level_duration is None:
        requests = _length(level, total_s if settings.arrival else None)
    seconds = settings.level_duration if requests is None else None
    return Step(level, RATE if settings.arrival else CLIENTS, requests, seconds)


def _length(level: float, latency_s: float | None) -> int:
    """Return the number of requests of a level; `latency_s` is None for a closed loop."""
    if latency_s is None:
        return max(FEWEST, round(ROUNDS * level))
    return max(FEWEST, min(MOST, round(LATENCIES * latency_s * level)))
