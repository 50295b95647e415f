"""Measure how long a server takes to recover after a burst (spike).

The baseline load runs all the time in an open loop; in a closed loop the waiting clients would hide
the delay. A request belongs to the time window in which it was *scheduled*. A window is slow if its
median latency from schedule is above a band around the baseline's median; faster is not slow.
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

_SLACK = 0.10  # a window up to this share above the baseline's median is not slow
_LEAST_WINDOWS = 3  # windows that the baseline needs
_Z = 3.5  # standard deviations of a window's median that count as chance
_MS = 1e6


class Recovery(NamedTuple):
    """The recovery after one spike; times in ms from the end of the spike.

    `recovery_ms` is None if no recovery was observed; it then took at least `lower_bound_ms`, and
    `reason` says why. `resolution_ms` is the window's length. `rate_per_sec` is the baseline load.
    """

    recovery_ms: float | None
    lower_bound_ms: float | None
    resolution_ms: float
    band_ms: float | None
    rate_per_sec: float
    reason: str | None = None


class Recoveries(NamedTuple):
    """Several spikes: median and range of the observed recoveries, and the number of others."""

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
    """Return the recovery from one spike, from the baseline load's `requests` before and after it.

    `spike_ns` are its start and end, `rate_per_sec` is the baseline's rate λ0. The window is the
    longer of `least_s` and the time of ten requests.

    The server has recovered when two windows in a row are within the band. The recovery time is the
    start of the first of them; it is 0 for the first window after the spike.
    """
    window_ns = round(window_s(rate_per_sec, least_s) * 1e9)
    before, after = _windows(requests, spike_ns, window_ns)
    band = _band(before)
    if band is None:
        short = f"fewer than {_LEAST_WINDOWS} windows before the spike had successful requests"
        return Recovery(None, None, window_ns / _MS, None, rate_per_sec, short)
    calm = [bool(window) and median(window) <= band for window in after]
    first = next((i for i, both in enumerate(pairwise(calm)) if all(both)), None)
    if first is None:
        bound = (len(calm) - bool(calm and calm[-1])) * window_ns / _MS
        why = "latency did not return to the baseline before the run ended"
        return Recovery(None, bound, window_ns / _MS, band / _MS, rate_per_sec, why)
    return Recovery(first * window_ns / _MS, None, window_ns / _MS, band / _MS, rate_per_sec)


def window_s(rate_per_sec: float, least_s: float = 5.0) -> float:
    """Return the length of a window in seconds, enough for ten requests."""
    return max(least_s, 10 / rate_per_sec)


def repeated(recoveries: Sequence[Recovery]) -> Recoveries:
    """Return the summary of several spikes; a missing recovery counts as infinitely long."""
    times = sorted(math.inf if r.recovery_ms is None else r.recovery_ms for r in recoveries)
    middle, seen = median(times), [t for t in times if t < math.inf]
    return Recoveries(
        middle if middle < math.inf else None,
        (seen[0], seen[-1]) if seen else None,
        max(r.resolution_ms for r in recoveries),
        len(recoveries),
        len(recoveries) - len(seen),
    )


def _windows(
    requests: Sequence[Request], spike_ns: tuple[int, int], window_ns: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Return the latencies from schedule in each full window before and after the spike."""
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
    """Return the upper edge: the baseline's median plus 10 %, or plus chance if that is more.

    The median of n latencies has the standard error 1.253 s / √n, with s = 1.4826 MAD. If the
    windows' medians differ more than that (queueing), their spread is used instead. A window with
    half of its requests failed does not belong to the baseline.
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
