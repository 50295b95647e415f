"""Measure the error of our timestamps: TTFT and wall time compared with a server's true times.

Each TTFT is compared with the server's own: from the kernel's timestamp of the request's arrival to
the send of the first token. Goals: one stream, median error 0.3 ms; 100 closed-loop streams of 100
tokens/s, median 0.3 ms and p99 1 ms, wall time within 1 % of the schedule.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from _ours import Driven, drive
from _report import Line, report

from pytest_llamaburn.load._metronome import Schedule, Server


def main() -> int:
    """Measure both; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--dialect", choices=("openai", "ollama"), default="openai")
    chosen = parser.parse_args()
    single = _single(Schedule(0.02, 100.0, 5, chosen.dialect))
    load = Schedule(0.05, 100.0, chosen.chunks, chosen.dialect)
    return single | _many(load, chosen.requests, chosen.clients)


def _single(schedule: Schedule) -> int:
    _, errors = _measure(schedule, 200, 1)
    lines = [
        Line("TTFT error, median", float(np.median(errors)), "ms", 0.3),
        Line("TTFT error, p99", float(np.percentile(errors, 99)), "ms"),
    ]
    return report("one stream, 200 requests", lines)


def _many(schedule: Schedule, requests: int, clients: int) -> int:
    driven, errors = _measure(schedule, requests, clients)
    ideal = schedule.request_s * -(-requests // clients)
    lines = [
        Line("TTFT error, median", float(np.median(errors)), "ms", 0.3),
        Line("TTFT error, p99", float(np.percentile(errors, 99)), "ms", 1.0),
        Line("TTFT error, max", float(errors.max()), "ms"),
        Line("wall over the schedule's", (driven.spent.wall_s / ideal - 1) * 100, "%", 1.0),
        Line("CPU of our process", driven.spent.cpu_s / driven.spent.wall_s * 100, "%"),
    ]
    return report(f"{clients} streams, {requests} requests of {schedule.chunks} chunks", lines)


def _measure(schedule: Schedule, requests: int, clients: int) -> tuple[Driven, np.ndarray]:
    """Return the measurements, and the absolute error of each TTFT in ms."""
    with Server(schedule) as server:
        driven = drive(server.url, requests, clients, schedule.dialect)
    errors = [abs(driven.ttft_ms[n] - server.log[n].ttft_ms) for n in range(requests)]
    return driven, np.array(errors)


if __name__ == "__main__":
    sys.exit(main())
