"""Send requests in a closed or an open loop; all concurrency of requests is in this module.

A closed loop has N clients with a connection each; a client sends its next request when its last
one has ended. A benchmark has N = 1. An open loop sends at the times of a prepared schedule,
independently of the answers.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import contextmanager, suppress
from time import perf_counter_ns
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator


class Line(Protocol):
    """What a client sends on: a connection, or one to each of several servers."""

    async def open(self) -> object:
        """Connect, unless it is connected."""

    def close(self) -> None:
        """Close it."""


Item = TypeVar("Item")
Answer = TypeVar("Answer")
Wire = TypeVar("Wire", bound=Line)
_LEAD_NS = 50_000_000  # a scheduled request's connection is opened this long before it is due


async def closed_loop(
    requests: Iterable[Item],
    clients: int,
    open_wire: Callable[[], Wire],
    send: Callable[[Wire, Item], Awaitable[Answer]],
    done: Callable[[Item, Answer], None],
    pause: Callable[[bool], Awaitable[None]] | None = None,
) -> None:
    """Send all requests with this many clients; call `done` for each when it ends.

    Clients take requests from one iterable and stop when it is empty. `pause` is awaited before
    each request (think time); its argument is True before a client's first. An error in `send` or
    `done` stops all clients and is raised here.
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
    send: Callable[[Wire, Item], Awaitable[Answer]],
    done: Callable[[Item, Answer], None],
) -> None:
    """Send each request when it is due, on a connection opened before; call `done` when it ends.

    `requests` are (due time on `perf_counter_ns`, request) pairs in ascending order. An error in
    `send` or `done` stops everything and is raised here.
    """
    idle: list[Wire] = []

    async def arrival(due_ns: int, request: Item) -> None:
        wire = idle.pop() if idle else open_wire()
        try:
            with suppress(OSError, TimeoutError):  # `send` tries again and reports the failure
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
    """Sleep until a time on `perf_counter_ns`, never shorter."""
    while (left_ns := due_ns - perf_counter_ns()) > 0:  # noqa: ASYNC110 - timers may be early
        await asyncio.sleep(left_ns / 1e9)


async def _together(tasks: Iterable[Awaitable[None]]) -> None:
    """Await all tasks with the garbage collector off; raise only the first error."""
    with quiet_gc():
        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(_awaited(task))
        except BaseExceptionGroup as several:
            raise _first(several) from several  # the user sees one sentence, not an error tree


async def _awaited(task: Awaitable[None]) -> None:
    await task


def _first(several: BaseExceptionGroup) -> BaseException:
    first = several.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


@contextmanager
def quiet_gc() -> Iterator[None]:
    """Switch the garbage collector off during the timed block."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
