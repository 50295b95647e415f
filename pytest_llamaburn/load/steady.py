"""The stretch of a step over which throughput is counted: while its load was whole.

In a closed loop of N clients from the N-th end to the last send. In an open loop from the first
scheduled time, after the ramp-up, to the last: the ramp-up is the level's median latency, in whole
gaps of the schedule. So neither the ramp-up nor the drain makes a server look slower than it is.
Clients whose load was whole for less than a request lasts are counted from the first send to the
last end, and a sentence says so.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.load.step import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.load.rows import Row

NOTHING = "no request was sent"
TOO_SHORT = "the schedule ended too soon: it must last longer than two requests do"
PARTIAL = "all were at work for less than a request lasts, so ramp-up and drain are counted too"
LEAST_SHARE = 0.8  # of the median latency, that clients in step are at work together at least


class Stretch(NamedTuple):
    """From `start_ns` to `end_ns` on the monotonic clock.

    `reason` says why it is empty, or that the load was not whole in it.
    """

    start_ns: float
    end_ns: float
    reason: str | None = None


def stretch(sent: Sequence[Row], kept: Sequence[Row], level: float, unit: str) -> Stretch:
    """Return the stretch of a step; `kept` are those of its requests that are not left out."""
    if not kept:
        return Stretch(0, 0, NOTHING)
    return _closed(kept, int(level)) if unit == CLIENTS else _open(sent, kept, level)


def _closed(kept: Sequence[Row], clients: int) -> Stretch:
    ends, starts = sorted(row.end_ns for row in kept), [row.sent_ns for row in kept]
    if len(kept) > 2 * clients:
        latencies = [row.end_ns - row.sent_ns for row in kept if row.error is None]
        begin, end = ends[clients - 1], max(starts)
        if end - begin >= LEAST_SHARE * (median(latencies) if latencies else 0):
            return Stretch(begin, end)
    return Stretch(min(starts), ends[-1], PARTIAL)


def _open(sent: Sequence[Row], kept: Sequence[Row], rate: float) -> Stretch:
    """Return the stretch of a schedule.

    The ramp-up is half of the schedule at most: above capacity latency has no end, but answers
    leave as fast as they can once the first has left. Where none has by then, the load was never
    whole.
    """
    counted = [row for row in sent if row.error is None] or sent
    first, last = min(row.scheduled_ns for row in sent), kept[-1].scheduled_ns
    half = (last - first) / 2
    latency_ns = median(row.end_ns - row.scheduled_ns for row in counted)
    ramp = min(math.ceil(latency_ns / 1e9 * rate) / rate * 1e9, half)
    begin = max(first + ramp, kept[0].scheduled_ns)
    none = not any(begin <= row.scheduled_ns < last for row in kept)
    if none or min(row.end_ns for row in counted) > first + half:
        return Stretch(0, 0, TOO_SHORT)
    return Stretch(begin, last)
