"""The stretches of a step in which its load was complete: a level is measured in them alone.

The load of N clients is complete while N requests are in flight, apart from the moments in which a
client sends its next request, or thinks. The load of a schedule is complete while requests are sent
when they are due. Requests count that were sent in such a stretch. Both are read from the rows, not
from what was planned.

Throughput is counted over the inner part of each stretch. In a closed loop that is from the N-th
end to the last send; in an open loop from the first scheduled time, after the ramp-up, to the last:
the ramp-up is the median latency, in whole gaps of the schedule. So neither ramp-up nor drain makes
a server look slower than it is. If the load of clients was complete for less than a request lasts,
everything from the first send to the last end counts, and a sentence says so.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_llamaburn.load.step import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.load.rows import Request, Row

NOTHING = "no request was sent"
TOO_SHORT = "the schedule ended too soon: it must last longer than two requests do"
PARTIAL = "all were at work for less than a request lasts, so ramp-up and drain are counted too"
LEAST_SHARE = 0.8  # a complete load must last for this share of the median latency
_TURN_NS, _TURN_SHARE = 20e6, 0.1  # longest gap between two requests of a client; or of the latency
_LATE_NS = 50e6  # a request sent this long after it was due, or the share above, is still on time


class Stretch(NamedTuple):
    """From `start_ns` to `end_ns` on the monotonic clock.

    `reason` says why it is empty, or that the load was not complete in it.
    """

    start_ns: float
    end_ns: float
    reason: str | None = None


class Load(NamedTuple):
    """What a step was meant to hold: `level` clients or requests a second.

    `pause_ns` is the longest that a client thinks between two requests.
    """

    level: float
    unit: str = CLIENTS
    pause_ns: float = 0.0


def held(sent: Sequence[Request], load: Load) -> list[tuple[float, float]]:
    """Return from when to when a step's load was complete; its requests are those sent then."""
    if not sent:
        return []
    return _clients_held(sent, load) if load.unit == CLIENTS else _schedule_held(sent)


def counted(sent: Sequence[Request], load: Load) -> list[list[int]]:
    """Return the indices in `sent` of the requests of each stretch with a complete load."""
    found = [
        [i for i, request in enumerate(sent) if start <= request.sent_ns <= end]
        for start, end in held(sent, load)
    ]
    return [places for places in found if places]


def _clients_held(sent: Sequence[Request], load: Load) -> list[tuple[float, float]]:
    """Return when all clients were at work; gaps as short as between two requests do not count."""
    starts = np.array([r.sent_ns for r in sent], float)
    ends = np.array([r.end_ns for r in sent], float)
    turn = max(_TURN_NS, _TURN_SHARE * float(np.median(ends - starts)))
    times = np.concatenate([starts, ends + load.pause_ns])
    order = np.argsort(times, kind="stable")  # who sends at the moment of its answer never stopped
    times, at_work = times[order], np.cumsum(np.repeat([1, -1], len(sent))[order])
    whole = np.flatnonzero((at_work[:-1] >= load.level) & (times[1:] > times[:-1]))
    found: list[list[float]] = []
    for start, end in zip(times[whole], times[whole + 1], strict=True):
        if found and start - found[-1][1] <= turn:
            found[-1][1] = float(end)
        else:
            found.append([float(start) - turn, float(end)])
    return [(start, end) for start, end in found]


def _schedule_held(sent: Sequence[Request]) -> list[tuple[float, float]]:
    """Return when requests were sent on time.

    After some were late it goes on when they have ended: they came to the server all at once.
    """
    latency_ns = median(r.end_ns - r.scheduled_ns for r in sent)
    allowed = max(_LATE_NS, _TURN_SHARE * latency_ns)
    found, begin = [], min(r.sent_ns for r in sent)
    for request in sorted(sent, key=lambda r: r.scheduled_ns):
        if request.sent_ns - request.scheduled_ns > allowed:
            found.append((begin, request.scheduled_ns))
            begin = max(begin, request.end_ns)
    return [*found, (begin, max(r.sent_ns for r in sent))]


def stretch(sent: Sequence[Row], kept: Sequence[Row], level: float, unit: str) -> Stretch:
    """Return the inner part of a stretch whose requests are `sent`, `kept` those not left out."""
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
