"""The queue of a server, found from its answers, and simulated under other loads and deadlines.

A server works on as many requests at once as it has slots; the others wait in order of arrival. The
start of each request follows from the ends of earlier ones. The number of slots is the smallest for
which no request starts after its own first token.

The queue is then simulated with the same times of work in random order (Kiefer and Wolfowitz,
Transactions of the AMS 78, 1955). A request that exceeds its deadline is dropped and frees its
slot, as a client that gives up does.
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

_SIMULATED = 8000  # requests of a simulation
_ORDERS = 8  # random orders of work for a schedule
_FILLING = 5  # rounds of a closed loop until its queue is stable
_LEAST = 20  # minimum number of known times of work
_MISPLACED = 0.02  # tolerate 2 % of requests that start after their first token (reordering)


class Queue(NamedTuple):
    """The number of requests worked on at once, and a sample of their times of work in ns."""

    slots: int
    work_ns: Floats


class _Work(NamedTuple):
    """The times of work for a number of slots, and the share of requests that do not fit it.

    `ended` is False if the deadline cut the work off.
    """

    took_ns: Floats
    ended: NDArray[np.bool_]
    misplaced: float


def seen(runs: Sequence[Sequence[Request]], most: float) -> Queue | None:
    """Return the queue behind some runs.

    None if it does not have fewer than `most` slots, or if there are too few requests. The first
    requests of a run do not count, because earlier requests may still occupy slots.
    """
    runs = [sorted(run, key=lambda r: r.sent_ns) for run in runs]
    low, high = 0, 1
    while _work(runs, high).misplaced > _MISPLACED:
        low, high = high, 2 * high
        if low >= most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _work(runs, middle).misplaced > _MISPLACED else (low, middle)
    work = _work(runs, high)
    return Queue(high, _complete(work)) if high < most and work.ended.sum() >= _LEAST else None


def closed(queue: Queue, deadline_ns: float, think_ns: float = 0.0) -> Curve:
    """Return the share of requests that a deadline cuts off, over the number of clients.

    It is linear between whole numbers.
    """
    work = _shuffled(queue.work_ns)
    spared = 0  # with this number of clients or fewer, the deadline cuts nothing off

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
    """Return the share of requests that a deadline cuts off, over the rate of arrivals."""
    gaps = [np.diff(sorted(r.scheduled_ns for r in run)) for run in runs if len(run) > 2]
    work = _shuffled(queue.work_ns)
    due = np.cumsum(_shuffled(np.concatenate([gap / gap.mean() for gap in gaps])))

    @cache
    def share(rate: float) -> float:
        return _open_share(work, queue.slots, (due * (1e9 / rate)).tolist(), deadline_ns)

    return share


def scheduled(queue: Queue, runs: Sequence[Sequence[Request]], deadline_ns: float) -> float:
    """Return the share of the runs' requests that a deadline cuts off.

    Each run starts on an idle server. The share is the mean over several orders of the work.
    """
    work, cut, sent = _shuffled(queue.work_ns), 0.0, 0
    for run in runs:
        due = sorted(float(r.scheduled_ns) for r in run)
        for first in range(0, _ORDERS * len(due), len(due)):
            ordered = [work[(first + i) % len(work)] for i in range(len(due))]
            cut += _open_share(ordered, queue.slots, due, deadline_ns) * len(due) / _ORDERS
        sent += len(due)
    return cut / max(sent, 1)


def starts(run: Sequence[Request], slots: int) -> list[tuple[int, bool]]:
    """Return when the work on each request began, in ns, and whether it occupied a slot.

    The requests are in the order in which they were sent.
    """
    free, found = [0] * slots, []
    for _, sent, first, end, failure, _, _ in run:
        start = max(sent, free[0])
        refused = first is None and failure not in (None, TIMED_OUT)
        worked = start < end and not refused
        if worked:
            heapreplace(free, end)
        found.append((start, worked))
    return found


def _work(runs: Sequence[Sequence[Request]], slots: int) -> _Work:
    took: list[int] = []
    ended: list[bool] = []
    misplaced = known = 0
    for run in runs:
        begun = zip(run, starts(run, slots), strict=True)
        for number, (request, (start, worked)) in enumerate(begun):
            if request.first_ns is not None:
                known += 1
                misplaced += start > request.first_ns
            if worked and number >= slots:
                took.append(request.end_ns - start)
                ended.append(not request.timed_out)
    return _Work(np.array(took, float), np.array(ended, bool), misplaced / max(known, 1))


def _complete(work: _Work) -> Floats:
    """Return a sample of complete times of work: quantiles of the product-limit estimate."""
    took, left = product_limit(work.took_ns, work.ended)
    n = len(took)
    places = np.searchsorted(1 - left, (np.arange(n) + 0.5) / n)
    return np.asarray(took[np.minimum(places, n - 1)])


def _shuffled(values: Floats) -> list[float]:
    """Return the values in random order, each equally often."""
    rng = np.random.default_rng(0)
    orders = [rng.permutation(values) for _ in range(math.ceil(_SIMULATED / len(values)))]
    shuffled: list[float] = np.concatenate(orders)[:_SIMULATED].tolist()
    return shuffled


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
        if free[0] < limit:  # otherwise it was still waiting
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
