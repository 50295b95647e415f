"""The only concurrency: N closed-loop clients that share one source of requests.

A benchmark is N = 1. Each client has a connection of its own, sends its next request when the
last one ended, and stops when the source is empty.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.trace import Trace

Request = TypeVar("Request")


async def closed_loop(
    requests: Iterable[Request],
    clients: int,
    open_wire: Callable[[], Wire],
    send: Callable[[Wire, Request], Awaitable[Trace]],
    done: Callable[[Request, Trace], None],
) -> None:
    """Send all requests with this many clients; `done` is told each as it ends.

    What `send` or `done` raises stops all clients and is raised here.
    """
    source = iter(requests)
    with quiet_gc():
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(clients):
                    group.create_task(_client(source, open_wire(), send, done))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several  # one sentence is told, not a tree


async def _client(
    source: Iterator[Request],
    wire: Wire,
    send: Callable[[Wire, Request], Awaitable[Trace]],
    done: Callable[[Request, Trace], None],
) -> None:
    try:
        for request in source:
            done(request, await send(wire, request))
    finally:
        wire.close()


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
