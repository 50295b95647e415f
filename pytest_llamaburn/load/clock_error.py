"""Measure the error of LlamaBurn's timestamps on this machine, with a server of known timing.

The server is `_metronome.py` in a child process. It logs when the kernel received each request and
when it sent each chunk, on the clock of `time.perf_counter_ns`. The difference between these times
and the measured ones is the error of the instrument. The measurement takes two seconds.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from pytest_llamaburn import metrics
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.load.driver import closed_loop
from pytest_llamaburn.option import model_of
from pytest_llamaburn.settings import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.load._metronome import Server
    from pytest_llamaburn.trace import Trace

SECONDS = 2.0
MOST_STREAMS = 200
MOST_RATE = 200.0  # chunks per second in one stream
_TTFT_S = 0.05


async def calibrate(streams: int, rate: float, platform: str = sys.platform) -> Document:
    """Return the timestamp error with a number of streams of `rate` chunks per second each.

    Keys: streams, chunks_per_sec (per stream), requests, and the median and 99th percentile of the
    errors of TTFT and of inter-token latency in ms; only `reason` if it cannot be measured.
    """
    if platform != "linux":
        return {"reason": "it needs Linux: a clock for all processes and timestamps of the kernel"}
    from pytest_llamaburn.load._metronome import Schedule, Server

    streams, rate = min(streams, MOST_STREAMS), min(max(rate, 1.0), MOST_RATE)
    chunks = max(2, round((SECONDS - _TTFT_S) * rate))
    with Server(Schedule(_TTFT_S, rate, chunks)) as server:
        traces = await _drive(server.url, streams)
    return {"streams": streams, "chunks_per_sec": rate, **errors_of(traces, server)}


async def _drive(url: str, streams: int) -> dict[int, Trace]:
    module = import_module("pytest_llamaburn.backends.openai")
    backend: Backend = module.Backend(model_of(Run)(host=url))
    model, traces = Model("metronome", "metronome"), {}

    async def send(wire: Wire, number: int) -> Trace:
        messages = [{"role": "user", "content": f"request {number}"}]
        return await backend.stream(wire, backend.payload(model, messages))

    def done(number: int, trace: Trace) -> None:
        traces[number] = trace

    await closed_loop(range(streams), streams, backend.wire, send, done)
    return traces


def errors_of(traces: dict[int, Trace], server: Server) -> Document:
    """Return the errors of TTFT and of inter-token latency, in ms."""
    first, gaps = [], []
    for number, trace in traces.items():
        values, _ = metrics.compute(trace)
        ttft_ms, gap_ms = values["time_to_first_token_ms"], values["inter_token_latency_ms"]
        if ttft_ms is not None and gap_ms is not None:
            log = server.log[number]
            first.append(abs(ttft_ms - log.ttft_ms))
            true_ms = (log.sent_ns[-1] - log.sent_ns[0]) / 1e6 / (len(log.sent_ns) - 1)
            gaps.append(abs(gap_ms - true_ms))
    return {
        "requests": len(first),
        "ttft_error_ms": _spread(first),
        "itl_error_ms": _spread(gaps),
    }


def _spread(errors: Sequence[float]) -> dict[str, float] | None:
    if not errors:
        return None
    import numpy as np

    p50, p99 = np.percentile(errors, [50, 99])
    return {"p50": float(p50), "p99": float(p99)}
