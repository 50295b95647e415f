"""The event loop of the timed path, and its handling of Ctrl-C."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterator


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop factory, or None (asyncio's own loop) if uvloop is not installed."""
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return None
    return uvloop.new_event_loop


def completed(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine. Ctrl-C cancels it; then KeyboardInterrupt is raised.

    KeyboardInterrupt raised inside the loop, as by asyncio's runner, could leave a loop that is
    marked as running forever.
    """
    task: asyncio.Task[Any] | None = None
    interrupts = 0

    def cancel(*_: object) -> None:
        nonlocal interrupts
        interrupts += 1
        if task:
            loop.call_soon_threadsafe(task.cancel)

    try:
        with _on_sigint(cancel):
            task = loop.create_task(work)
            return loop.run_until_complete(task)
    finally:
        if interrupts:
            raise KeyboardInterrupt from None


@contextmanager
def _on_sigint(handler: Callable[..., None]) -> Iterator[None]:
    """Call a handler on Ctrl-C, if Ctrl-C would raise KeyboardInterrupt otherwise."""
    other_thread = threading.current_thread() is not threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    if other_thread or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def is_running() -> bool:
    """Return whether an event loop already runs in this thread."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
