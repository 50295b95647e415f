"""Measure the lateness of an open loop: send times compared with its schedule.

Goal: at 500 Poisson requests per second, 99 % are sent within 2 ms after they are due.
"""

from __future__ import annotations

import argparse
import sys
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np
from _ours import backend_at, payload, timed
from _report import Line, report

from pytest_llamaburn.load import arrivals
from pytest_llamaburn.load._metronome import Schedule, Server
from pytest_llamaburn.load.driver import open_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.trace import Trace

_LEAD_NS = 100_000_000


def main() -> int:
    """Measure; return 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    with Server(Schedule(0.02, 100.0, 2)) as server:
        late_ms = drive(backend_at(server.url, "openai"), chosen.rate, chosen.seconds)
    lines = [
        Line("lateness, median", float(np.median(late_ms)), "ms"),
        Line("lateness, p99", float(np.percentile(late_ms, 99)), "ms", 2.0),
        Line("lateness, max", float(late_ms.max()), "ms"),
        Line("requests sent before they were due", float((late_ms < 0).sum()), "", 0.0),
    ]
    return report(f"open loop, {len(late_ms)} requests at {chosen.rate:g} per second", lines)


def drive(backend: Backend, rate: float, seconds: float) -> np.ndarray:
    """Return the lateness of each request in ms; raises RuntimeError if one fails."""
    times = arrivals.schedule("poisson", rate, seconds=seconds, seed=1)
    start_ns = perf_counter_ns() + _LEAD_NS
    late: list[float] = []

    def requests() -> Iterator[tuple[int, tuple[int, list[bytes]]]]:
        for number, offset in enumerate(times):
            due_ns = start_ns + int(offset * 1e9)
            yield due_ns, (due_ns, payload(backend, number))

    async def send(wire: Wire, request: tuple[int, list[bytes]]) -> Trace:
        return await backend.stream(wire, request[1])

    def done(request: tuple[int, list[bytes]], trace: Trace) -> None:
        if trace.failure:
            raise RuntimeError(trace.failure)
        late.append((trace.sent_ns - request[0]) / 1e6)

    timed(open_loop(requests(), backend.wire, send, done))
    return np.array(late)


if __name__ == "__main__":
    sys.exit(main())
