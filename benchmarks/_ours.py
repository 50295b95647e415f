"""LlamaBurn's timed path against a server with a known schedule, as in a stress run."""

from __future__ import annotations

import asyncio
import resource
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import uvloop

from pytest_llamaburn import metrics
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.load.driver import closed_loop
from pytest_llamaburn.option import model_of
from pytest_llamaburn.settings import Run

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.trace import Trace


class Spent(NamedTuple):
    """Wall time and CPU time of a piece of work."""

    wall_s: float
    cpu_s: float


class Driven(NamedTuple):
    """The measurements of our client: TTFT in ms by request, chunks received, time spent."""

    ttft_ms: dict[int, float]
    chunks: int
    spent: Spent


def drive(url: str, requests: int, clients: int, dialect: str = "openai") -> Driven:
    """Send the requests with this many closed-loop clients; raises RuntimeError if one fails."""
    backend = backend_at(url, dialect)
    ttft_ms: dict[int, float] = {}
    chunks = 0

    async def send(wire: Wire, number: int) -> Trace:
        return await backend.stream(wire, payload(backend, number))

    def done(number: int, trace: Trace) -> None:
        nonlocal chunks
        if trace.failure:
            raise RuntimeError(trace.failure)
        values, _ = metrics.compute(trace)
        metrics.chunk_gaps_ms(trace)
        ttft_ms[number] = values["time_to_first_token_ms"] or 0.0
        chunks += len(trace.delta_ns)

    spent = timed(closed_loop(range(requests), clients, backend.wire, send, done))
    return Driven(ttft_ms, chunks, spent)


def payload(backend: Backend, number: int) -> list[bytes]:
    """Return a request that contains its number."""
    model = Model("scheduled", "scheduled")
    return backend.payload(model, [{"role": "user", "content": f"request {number}"}])


def timed(work: Coroutine[Any, Any, Any]) -> Spent:
    """Run on uvloop; return the wall time and the CPU time (user and system) of the work only."""

    async def clocked() -> Spent:
        wall, cpu = perf_counter(), _cpu_s()
        await work
        return Spent(perf_counter() - wall, _cpu_s() - cpu)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(clocked())


def backend_at(url: str, dialect: str, kind: type = Run) -> Backend:
    """Return a backend for a server, with the settings of a kind of run."""
    module = import_module(f"pytest_llamaburn.backends.{dialect}")
    backend: Backend = module.Backend(model_of(kind)(host=url))
    return backend


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
