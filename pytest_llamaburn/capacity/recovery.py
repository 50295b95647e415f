"""How long a server takes after a burst until it is as fast as before.

The baseline load runs throughout in an open loop (a closed one would hide the delay: its clients
wait with the server). Windows hold requests by when they were *scheduled*, so that a request sent
late counts where it belongs. A window is slow if its median latency from schedule lies above the
upper edge of a band around the baseline's; being faster than the baseline is no delay.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.load.rows import Request

_SLACK = 0.10  # up to this share above the baseline's median counts as no delay
_LEAST_WINDOWS = 3  # windows of the baseline
_Z = 3.5  # chance may raise a window's median by so many standard deviations
_MS = 1e6


class Recovery(NamedTuple):
    """The end of one spike, in ms from its end.

    `recovery_ms` is None if the server was not seen to recover: it took at least `lower_bound_ms`,
    and `reason` says why. `resolution_ms` is the window's length, the finest that can be told.
    `rate_per_sec` is the load that ran meanwhile.
    """

    recovery_ms: float | None
    lower_bound_ms: float | None
    resolution_ms: float
    band_ms: float | None
    rate_per_sec: float
    reason: str | None = None


class Recoveries(NamedTuple):
    """Several spikes: the median and range of those that recovered, and how many did not."""

    median_ms: float | None
    range_ms: tuple[float, float] | None
    resolution_ms: float
    spikes: int
    unrecovered: int


def recovery(
    requests: Sequence[Request],
    spike_ns: tuple[int, int],
    rate_per_sec: float,
    least_s: float = 5.0,
) -> Recovery:
    """Return the recovery from one spike, of the baseline load's `requests` before and after it.

    `spike_ns` are its start and end, `rate_per_sec` the baseline's rate λ0. The window is the
    longer of `least_s` and the time of ten requests.

    Two windows in a row must lie within the band; the time is the start of the first of them, and
    0 where that is the first after the spike. So a spike of nothing recovers at once unless chance
    takes a median three standard deviations up.
    """
    window_ns = round(window_s(rate_per_sec, least_s) * 1e9)
    before, after = _windows(requests, spike_ns, window_ns)
    band = _band(before)
    if band is None:
        short = f"fewer than {_LEAST_WINDOWS} windows before the spike were served"
        return Recovery(None, None, window_ns / _MS, None, rate_per_sec, short)
    calm = [bool(window) and median(window) <= band for window in after]
    first = next((i for i, both in enumerate(pairwise(calm)) if all(both)), None)
    if first is None:
        bound = (len(calm) - bool(calm and calm[-1])) * window_ns / _MS
        why = "latency did not come back before the run ended"
        return Recovery(None, bound, window_ns / _MS, band / _MS, rate_per_sec, why)
    return Recovery(first * window_ns / _MS, None, window_ns / _MS, band / _MS, rate_per_sec)


def window_s(rate_per_sec: float, least_s: float = 5.0) -> float:
    """Return the length of a window in seconds: enough for ten requests."""
    return max(least_s, 10 / rate_per_sec)


def repeated(found: Sequence[Recovery]) -> Recoveries:
    """Return the recovery of several spikes; one that never recovered counts as infinite."""
    times = sorted(math.inf if r.recovery_ms is None else r.recovery_ms for r in found)
    middle, seen = median(times), [t for t in times if t < math.inf]
    return Recoveries(
        middle if middle < math.inf else None,
        (seen[0], seen[-1]) if seen else None,
        max(r.resolution_ms for r in found),
        len(found),
        len(found) - len(seen),
    )


def _windows(
    requests: Sequence[Request], spike_ns: tuple[int, int], window_ns: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Return the latencies from schedule by window, of whole windows before and after the spike."""
    start, end = spike_ns
    last = max(r.scheduled_ns for r in requests)
    first = min(r.scheduled_ns for r in requests)
    before: list[list[float]] = [[] for _ in range((start - first) // window_ns)]
    after: list[list[float]] = [[] for _ in range((last - end) // window_ns)]
    for r in requests:
        latency = math.inf if r.failure else float(r.end_ns - r.scheduled_ns)
        at = (r.scheduled_ns - end) // window_ns
        back = (start - r.scheduled_ns - 1) // window_ns
        if 0 <= at < len(after):
            after[at].append(latency)
        elif 0 <= back < len(before):
            before[back].append(latency)
    return before, after


def _band(before: Sequence[Sequence[float]]) -> float | None:
    """Return the upper edge: the baseline's median plus 10 % or what chance takes a window up.

    A window's median of n latencies has the standard error 1.253 s / √n; s is 1.4826 MAD, and
    where the windows' own medians differ more (a queue remembers), their spread counts instead.
    A window of which half failed is no baseline.
    """
    full = [window for window in before if window and median(window) < math.inf]
    if len(full) < _LEAST_WINDOWS:
        return None
    pooled = np.concatenate(full)
    middle = float(np.median(pooled))
    mad = float(np.median(np.abs(pooled - middle)))
    error = 1.253 * 1.4826 * mad / math.sqrt(len(pooled) / len(full))
    medians = [median(window) for window in full]
    chance = _Z * max(error, float(np.std(medians, ddof=1)))
    edges = [middle * (1 + _SLACK), middle + chance, *medians]
    return max(edges)
