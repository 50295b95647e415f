"""A server's queue, read off its answers and played again under other loads and deadlines.

A server works on some requests at once and lets the others wait in order of arrival. Given its
slots, when each request began follows from when those before it ended; the slots are the fewest
with which none begins after its own first token. A queue of as many slots, given the same work in
an order by chance, is then played on a clock of its own (Kiefer and Wolfowitz, Transactions of the
AMS 78, 1955). What is not done by its deadline is dropped and frees its slot, as a client does it.
"""

from __future__ import annotations

import math
from functools import cache
from heapq import heapreplace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_llamaburn.capacity.crossing import product_limit
from pytest_llamaburn.load.rows import TIMED_OUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_llamaburn.capacity.crossing import Curve
    from pytest_llamaburn.load.rows import Request

    Floats = NDArray[np.float64]

_PLAYED = 8000  # requests of a queue that is played
_HANDS = 8  # orders of the work in which a schedule is played
_FILLING = 5  # rounds of a closed loop until its queue is what it stays
_LEAST = 20  # times in work that make a sample to draw from
_ASTRAY = 0.02  # of the requests may seem to begin after their first token: not all keep their turn


class Queue(NamedTuple):
    """How many requests are worked on at once, and how long each was, in ns: a sample to draw."""

    slots: int
    work_ns: Floats


class _Work(NamedTuple):
    """The times in work that some slots would explain, and the share of requests that they do not.

    `ended` is False where the deadline cut the work off.
    """

    took_ns: Floats
    ended: NDArray[np.bool_]
    astray: float


def seen(runs: Sequence[Sequence[Request]], most: float) -> Queue | None:
    """Return the queue behind some runs, None if it has not fewer than `most` slots.

    Or if too few requests show it. A run's first requests, which find the slots as what is not
    counted left them, show nothing.
    """
    runs = [sorted(run, key=lambda r: r.sent_ns) for run in runs]
    low, high = 0, 1
    while _work(runs, high).astray > _ASTRAY:
        low, high = high, 2 * high
        if low >= most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _work(runs, middle).astray > _ASTRAY else (low, middle)
    work = _work(runs, high)
    return Queue(high, _whole(work)) if high < most and work.ended.sum() >= _LEAST else None


def closed(queue: Queue, deadline_ns: float, think_ns: float = 0.0) -> Curve:
    """Return the share of requests that a deadline cuts off, over the number of clients.

    Between whole numbers it is a straight line.
    """
    work = _dealt(queue.work_ns)
    spared = 0  # so many clients lose nothing, nor do fewer

    @cache
    def share(clients: int) -> float:
        nonlocal spared
        if clients <= spared:
            return 0.0
        found = _closed_share(work, queue.slots, clients, deadline_ns, think_ns)
        spared = spared if found else clients
        return found

    def curve(level: float) -> float:
        low = max(1, math.floor(level))
        return share(low) + (share(low + 1) - share(low)) * max(0.0, level - low)

    return curve


def opened(queue: Queue, runs: Sequence[Sequence[Request]], deadline_ns: float) -> Curve:
    """Return the share of requests that a deadline cuts off, over the rate of such arrivals."""
    gaps = [np.diff(sorted(r.scheduled_ns for r in run)) for run in runs if len(run) > 2]
    work = _dealt(queue.work_ns)
    due = np.cumsum(_dealt(np.concatenate([gap / gap.mean() for gap in gaps])))

    @cache
    def share(rate: float) -> float:
        return _open_share(work, queue.slots, (due * (1e9 / rate)).tolist(), deadline_ns)

    return share


def scheduled(queue: Queue, runs: Sequence[Sequence[Request]], deadline_ns: float) -> float:
    """Return the share of these runs' requests that a deadline cuts off, each from an idle server.

    The mean over several orders of the work.
    """
    work, cut, sent = _dealt(queue.work_ns), 0.0, 0
    for run in runs:
        due = sorted(float(r.scheduled_ns) for r in run)
        for first in range(0, _HANDS * len(due), len(due)):
            dealt = [work[(first + i) % len(work)] for i in range(len(due))]
            cut += _open_share(dealt, queue.slots, due, deadline_ns) * len(due) / _HANDS
        sent += len(due)
    return cut / max(sent, 1)


def _work(runs: Sequence[Sequence[Request]], slots: int) -> _Work:
    took: list[int] = []
    ended: list[bool] = []
    astray = known = 0
    for run in runs:
        free = [0] * slots
        for number, (_, sent, first, end, failure, _, _) in enumerate(run):
            start = max(sent, free[0])
            known += first is not None
            astray += first is not None and start > first
            refused = first is None and failure not in (None, TIMED_OUT)  # nobody worked on it
            if start < end and not refused:
                heapreplace(free, end)
                if number >= slots:
                    took.append(end - start)
                    ended.append(failure != TIMED_OUT)
    return _Work(np.array(took, float), np.array(ended, bool), astray / max(known, 1))


def _whole(work: _Work) -> Floats:
    """Return a sample of times in work of which none is cut off.

    As many evenly spaced quantiles of the product-limit estimate.
    """
    took, left = product_limit(work.took_ns, work.ended)
    n = len(took)
    places = np.searchsorted(1 - left, (np.arange(n) + 0.5) / n)
    return np.asarray(took[np.minimum(places, n - 1)])


def _dealt(values: Floats) -> list[float]:
    """Return values in an order by chance, all of them equally often."""
    rng = np.random.default_rng(0)
    hands = [rng.permutation(values) for _ in range(math.ceil(_PLAYED / len(values)))]
    dealt: list[float] = np.concatenate(hands)[:_PLAYED].tolist()
    return dealt


def _closed_share(
    work: Sequence[float], slots: int, clients: int, deadline_ns: float, think_ns: float
) -> float:
    free = [0.0] * slots
    ready = [i * think_ns / clients for i in range(clients)]
    first, late = min(_FILLING * clients, len(work) // 2), 0
    for number, need in enumerate(work):
        sent = ready[0]
        limit = sent + deadline_ns
        end = (sent if sent > free[0] else free[0]) + need  # noqa: FURB136 - a call is slower
        if end > limit:
            end = limit
            late += number >= first
        if free[0] < limit:  # else nobody came to work on it
            heapreplace(free, end)
        heapreplace(ready, end + think_ns)
    return late / (len(work) - first)


def _open_share(
    work: Sequence[float], slots: int, due: Sequence[float], deadline_ns: float
) -> float:
    free = [0.0] * slots
    late = 0
    for sent, need in zip(due, work, strict=True):
        limit = sent + deadline_ns
        end = (sent if sent > free[0] else free[0]) + need  # noqa: FURB136 - a call is slower
        if end > limit:
            end = limit
            late += 1
        if free[0] < limit:
            heapreplace(free, end)
    return late / len(due)
