"""The event loop of the timed path, and what Ctrl-C does to it."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterator


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory of event loops, or None for asyncio's own if there is no uvloop."""
    try:
        import uvloop
    except ImportError:  # Windows has none
        return None
    return uvloop.new_event_loop


def completed(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine. Ctrl-C cancels it; KeyboardInterrupt is raised after it.

    Raised inside, as asyncio's runner may do, it can leave a loop that stays marked as running.
    """
    task: asyncio.Task[Any] | None = None
    cuts = 0

    def cancel(*_: Any) -> None:
        nonlocal cuts
        cuts += 1
        if task:
            loop.call_soon_threadsafe(task.cancel)

    try:
        with _on_sigint(cancel):
            task = loop.create_task(work)
            return loop.run_until_complete(task)
    finally:
        if cuts:
            raise KeyboardInterrupt from None


@contextmanager
def _on_sigint(handler: Callable[..., None]) -> Iterator[None]:
    """Call a handler on Ctrl-C instead of raising KeyboardInterrupt."""
    apart = threading.current_thread() is not threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    if apart or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
