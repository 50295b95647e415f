"""Estimate the request rate at which a failure rate is crossed, and whether a backlog grows.

Above a server's capacity, latency in an open loop depends on the duration of the test, not on the
rate, so a short probe without failures proves little. The service rate is therefore measured while
requests queue: then each start follows an end, and starts per second are the server's maximum. The
share that a deadline cuts off is that of a queue with limited patience in heavy traffic: a Brownian
motion with drift between 0 and the deadline (Ward and Glynn, Queueing Systems 43, 2003).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.capacity.crossing import Curve
    from pytest_llamaburn.load.rows import Request

_WAITING = 0.4  # a probe shows the service rate if at least this share of its requests waited
_Z = 3.0  # one-sided 99.9 %, since every probe is tested
_PHASE = 2.0  # error of a count, in requests that end just as others arrive
_SECOND = 1e9


class Idle(NamedTuple):
    """The latency of the server without a queue.

    Its median TTFT and median total time in ns, and the squared coefficient of variation (CV²) of
    the total time.
    """

    ttft_ns: float
    cv2: float
    total_ns: float = 0.0


class Backlog(NamedTuple):
    """The growth of requests in flight: per second, as a share of the rate, and if significant."""

    per_sec: float
    share: float
    grows: bool


def idle(requests: Sequence[Request]) -> Idle:
    """Return the latency of a single client; raises ValueError if no request succeeded."""
    good = [r for r in requests if r.failure is None]
    if not good:
        raise ValueError("the baseline has no successful request")
    total = np.array([r.end_ns - r.sent_ns for r in good], float)
    first = [(r.end_ns if r.first_ns is None else r.first_ns) - r.sent_ns for r in good]
    cv2 = float((total.std() / total.mean()) ** 2)
    return Idle(float(np.median(first)), cv2, float(np.median(total)))


def backlog(requests: Sequence[Request], rate: float, alone: Idle, effect: float = 0.05) -> Backlog:
    """Return how the number of requests in flight grew, from the first quarter to the last arrival.

    An idle server only fills up until its first answer, so the first count is not earlier than
    that; a schedule that ends before it shows nothing. Over n arrivals, chance changes the number
    by about √(n (ca² + cs²)) (Kingman's heavy traffic). The backlog grows if the growth is more
    than chance and more than the share `effect` of the rate.
    """
    scheduled = np.array([r.scheduled_ns for r in requests], float)
    ended = np.array([r.end_ns for r in requests], float)
    first, last = scheduled.min(), scheduled.max()
    early = first + max((last - first) / 4, alone.total_ns)
    if early >= last:
        return Backlog(0.0, 0.0, grows=False)
    counts = [np.sum((scheduled <= at) & (ended > at)) for at in (early, last)]
    growth, seen = float(counts[1] - counts[0]), int(np.sum(scheduled > early))
    per_sec = growth / ((last - early) / _SECOND)
    chance = max(_PHASE, _Z * math.sqrt(seen * (arrival_cv2([requests]) + alone.cv2)))
    return Backlog(per_sec, per_sec / rate, growth > chance and per_sec > effect * rate)


def arrival_cv2(runs: Sequence[Sequence[Request]]) -> float:
    """Return the CV² of the gaps between arrivals: 1 for a Poisson process."""
    gaps = [np.diff([r.scheduled_ns for r in run]) for run in runs if len(run) > 2]
    if not gaps:
        return 1.0
    return float(np.mean([gap.var() / gap.mean() ** 2 for gap in gaps]))


def capacity(runs: Sequence[Sequence[Request]], alone: Idle) -> float | None:
    """Return the requests per second that a server starts while requests queue, or None.

    A probe counts if much of its load waited, up to the first request cut off by a deadline, which
    freed its slot early. Returns None without such a probe.
    """
    gaps = _busy(runs, alone)
    return _SECOND * len(gaps) / sum(gaps) if sum(gaps) else None


def precision(runs: Sequence[Sequence[Request]], alone: Idle) -> float:
    """Return the relative standard error of the service rate (renewal process); 1 if unknown."""
    gaps = np.array(_busy(runs, alone), float)
    return float(gaps.std() / gaps.mean() / math.sqrt(len(gaps))) if len(gaps) else 1.0


def _busy(runs: Sequence[Sequence[Request]], alone: Idle) -> list[int]:
    return [gap for run in runs for gap in _busy_gaps(run, 2 * alone.ttft_ns)]


def _busy_gaps(run: Sequence[Request], lead_ns: float) -> list[int]:
    """Return the gaps between successive first tokens whose second request was already waiting."""
    cut = min((r.end_ns for r in run if r.timed_out), default=None)
    starts = sorted(
        (r.first_ns, r.scheduled_ns)
        for r in run
        if r.first_ns is not None and (cut is None or r.first_ns < cut)
    )
    gaps = [b[0] - a[0] for a, b in pairwise(starts) if b[1] + lead_ns <= a[0]]
    return gaps if len(gaps) >= _WAITING * len(starts) else []


def lost(capacity_per_sec: float, deadline_ns: float, variability: float, cv2: float) -> Curve:
    """Return the share of requests that the deadline cuts off, over the rate.

    With load x = rate / capacity − 1 and κ = 2 · deadline · capacity / (ca² + cs²), the Brownian
    queue overflows by x / (1 − exp(−κx)). A request is cut off during its service, so the server's
    time for it is lost as well; simulation shows that this raises the share by 2 / (1 + cs²).
    """
    patience = 2 * deadline_ns / _SECOND * capacity_per_sec / max(variability, 1e-3)

    def share(rate: float) -> float:
        x = rate / capacity_per_sec - 1
        power = min(-patience * x, 500.0)
        over = 1 / patience if abs(power) < 1e-9 else x / -math.expm1(power)
        return min(1.0, 2 / (1 + cv2) * over)

    return share


def late(runs: Sequence[Sequence[Request]], alone: Idle, deadline_ns: float) -> Curve:
    """Return the share of requests that a deadline cuts off, over the rate, from these runs."""
    rate = capacity(runs, alone)
    if rate is None:
        return lambda _: 0.0  # no request waited, so the deadline is far away
    return lost(rate, deadline_ns, arrival_cv2(runs) + alone.cv2, alone.cv2)
