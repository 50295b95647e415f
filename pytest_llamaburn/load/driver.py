"""The two loads: clients that wait for their answers, or a schedule that does not wait.

A closed loop has N clients, each with its own connection, which send their next request when the
last one has ended; a benchmark is N = 1. An open loop sends at the times of a schedule that was
made beforehand, whatever the server does.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import contextmanager, suppress
from time import perf_counter_ns
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.trace import Trace

Item = TypeVar("Item")
_LEAD_NS = 50_000_000  # a scheduled request's connection is opened this long before it is due


async def closed_loop(
    requests: Iterable[Item],
    clients: int,
    open_wire: Callable[[], Wire],
    send: Callable[[Wire, Item], Awaitable[Trace]],
    done: Callable[[Item, Trace], None],
    pause: Callable[[bool], Awaitable[None]] | None = None,
) -> None:
    """Send all requests with this many clients; `done` is called as each ends.

    Clients share the source of requests and stop when it is empty; `pause` is their time to think
    before each request; its argument says whether it is their first. What `send` or `done` raises
    stops all clients and is raised here.
    """
    source = iter(requests)

    async def client(wire: Wire) -> None:
        try:
            if pause:
                await pause(True)
            for request in source:
                done(request, await send(wire, request))
                if pause:
                    await pause(False)
        finally:
            wire.close()

    await _together(client(open_wire()) for _ in range(clients))


async def open_loop(
    requests: Iterable[tuple[int, Item]],
    open_wire: Callable[[], Wire],
    send: Callable[[Wire, Item], Awaitable[Trace]],
    done: Callable[[Item, Trace], None],
) -> None:
    """Send each request when it is due, on an open connection; `done` is called as each ends.

    `requests` are (due time on `perf_counter_ns`, request), rising. What `send` or `done` raises
    stops everything and is raised here.
    """
    idle: list[Wire] = []

    async def arrival(due_ns: int, request: Item) -> None:
        wire = idle.pop() if idle else open_wire()
        try:
            with suppress(OSError, TimeoutError):  # `send` tries again, and reports the failure
                await wire.open()
            await until(due_ns)
            done(request, await send(wire, request))
        except BaseException:
            wire.close()
            raise
        idle.append(wire)

    async def arrivals() -> None:
        async with asyncio.TaskGroup() as group:
            for due_ns, request in requests:
                await until(due_ns - _LEAD_NS)
                group.create_task(arrival(due_ns, request))

    try:
        await _together([arrivals()])
    finally:
        for wire in idle:
            wire.close()


async def until(due_ns: int) -> None:
    """Sleep until a time on `perf_counter_ns`, never less."""
    while (left_ns := due_ns - perf_counter_ns()) > 0:  # noqa: ASYNC110 - timers may be early
        await asyncio.sleep(left_ns / 1e9)


async def _together(tasks: Iterable[Awaitable[None]]) -> None:
    """Await all with the garbage collector off; raise only the first error."""
    with quiet_gc():
        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(_awaited(task))
        except BaseExceptionGroup as several:
            raise _first(several) from several  # one sentence is shown, not a tree


async def _awaited(task: Awaitable[None]) -> None:
    await task


def _first(several: BaseExceptionGroup) -> BaseException:
    first = several.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


@contextmanager
def quiet_gc() -> Iterator[None]:
    """Keep the garbage collector out of the timed window."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
