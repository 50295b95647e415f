"""The measuring windows of a step: the times of full load, from which all figures of a level come.

A closed loop of N clients has full load while N requests are in flight; the short pauses in which a
client sends its next request, or thinks, do not interrupt it. An open loop has full load while
requests are sent on time. Requests sent in such a window count. Both are computed from the recorded
requests, not from the plan.

Throughput is computed over the inner part of each window. In a closed loop that is from the N-th
end to the last send. In an open loop it is from the end of the ramp-up to the last scheduled time;
the ramp-up is the median latency, rounded up to gaps of the schedule. So ramp-up and drain do not
make a server look slower. If the full load of clients is shorter than a request, the window is from
the first send to the last end, and a sentence says so.
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
TOO_SHORT = "the schedule ended too soon: it must be longer than two requests"
PARTIAL = "the full load was shorter than a request, so ramp-up and drain are included"
LEAST_SHARE = 0.8  # shortest full load of synchronous clients, as a share of the median latency
_TURN_NS, _TURN_SHARE = 20e6, 0.1  # longest pause between two requests; as a share of the latency
_LATE_NS = 50e6  # a request later than this, or than the share above, is not on time


class Stretch(NamedTuple):
    """A window from `start_ns` to `end_ns` on the monotonic clock.

    `reason` says why it is empty, or that it is not only full load.
    """

    start_ns: float
    end_ns: float
    reason: str | None = None


class Load(NamedTuple):
    """The planned load of a step: `level` clients or requests per second.

    `pause_ns` is the longest think time between two requests of a client.
    """

    level: float
    unit: str = CLIENTS
    pause_ns: float = 0.0


def held(sent: Sequence[Request], load: Load) -> list[tuple[float, float]]:
    """Return (start, end) of each period of full load; a step's requests are those sent in it."""
    if not sent:
        return []
    return _clients_held(sent, load) if load.unit == CLIENTS else _schedule_held(sent)


def counted(sent: Sequence[Request], load: Load) -> list[list[int]]:
    """Return the indexes, in `sent`, of the requests of each period of full load."""
    periods = [
        [i for i, request in enumerate(sent) if start <= request.sent_ns <= end]
        for start, end in held(sent, load)
    ]
    return [indexes for indexes in periods if indexes]


def _clients_held(sent: Sequence[Request], load: Load) -> list[tuple[float, float]]:
    """Return the periods in which all clients were active, ignoring pauses between requests."""
    starts = np.array([r.sent_ns for r in sent], float)
    ends = np.array([r.end_ns for r in sent], float)
    turn = max(_TURN_NS, _TURN_SHARE * float(np.median(ends - starts)))
    times = np.concatenate([starts, ends + load.pause_ns])
    order = np.argsort(
        times, kind="stable"
    )  # a client that sends at its answer's time did not pause
    times, at_work = times[order], np.cumsum(np.repeat([1, -1], len(sent))[order])
    whole = np.flatnonzero((at_work[:-1] >= load.level) & (times[1:] > times[:-1]))
    periods: list[list[float]] = []
    for start, end in zip(times[whole], times[whole + 1], strict=True):
        if periods and start - periods[-1][1] <= turn:
            periods[-1][1] = float(end)
        else:
            periods.append([float(start) - turn, float(end)])
    return [(start, end) for start, end in periods]


def _schedule_held(sent: Sequence[Request]) -> list[tuple[float, float]]:
    """Return the periods in which requests were sent on time.

    After late requests a new period begins when these have ended: they arrived all at once.
    """
    latency_ns = median(r.end_ns - r.scheduled_ns for r in sent)
    allowed = max(_LATE_NS, _TURN_SHARE * latency_ns)
    periods, begin = [], min(r.sent_ns for r in sent)
    for request in sorted(sent, key=lambda r: r.scheduled_ns):
        if request.sent_ns - request.scheduled_ns > allowed:
            periods.append((begin, request.scheduled_ns))
            begin = max(begin, request.end_ns)
    return [*periods, (begin, max(r.sent_ns for r in sent))]


def stretch(sent: Sequence[Row], kept: Sequence[Row], level: float, unit: str) -> Stretch:
    """Return the inner part of a window; `kept` are those of its `sent` requests that count."""
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
    """Return the window of a schedule.

    The ramp-up is at most half of the schedule: above capacity latency grows without limit, but
    once the first answer has ended, the server works at full speed. If none has ended by then,
    there was no full load.
    """
    counted = [row for row in sent if row.error is None] or sent
    first, last = min(row.scheduled_ns for row in sent), kept[-1].scheduled_ns
    half = (last - first) / 2
    latency_ns = median(row.end_ns - row.scheduled_ns for row in counted)
    ramp = min(math.ceil(latency_ns / 1e9 * rate) / rate * 1e9, half)
    begin = max(first + ramp, kept[0].scheduled_ns)
    empty = not any(begin <= row.scheduled_ns < last for row in kept)
    if empty or min(row.end_ns for row in counted) > first + half:
        return Stretch(0, 0, TOO_SHORT)
    return Stretch(begin, last)
