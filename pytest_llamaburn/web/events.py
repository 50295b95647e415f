"""What happens, as server-sent events: each has an id, and those since an id can be sent again."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.texts import dumps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEPT = 2000  # events that can be sent again
MOST_LISTENERS = 32
SILENT_S = 15.0
RESET = "event: reset\ndata: {}\n\n"  # some events were missed: read the lists again


class Bus:
    """Takes events and gives them to everyone who listens. Used on one event loop."""

    def __init__(self, kept: int = KEPT) -> None:
        """Keep so many events to send again."""
        self._epoch = secrets.token_hex(4)  # ids of an earlier server are not ours
        self._ring: deque[str] = deque(maxlen=kept)
        self._next = 1
        self._news = asyncio.Event()
        self._closed = False
        self.listeners = 0

    def publish(self, name: str, data: Any) -> None:
        """Send an event to all listeners."""
        head = f"id: {self._epoch}-{self._next}\nevent: {name}\n"
        self._ring.append(f"{head}data: {dumps(data)}\n\n")
        self._next += 1
        self._wake()

    async def follow(self, last_id: str | None) -> AsyncIterator[str]:
        """Yield the events after an id, or from now on, as text of the stream until it is closed.

        `reset` comes first where the events after the id are no longer known.
        """
        self.listeners += 1
        try:
            place = self._place(last_id)
            yield ": connected\n\n"
            while True:
                news = self._news
                if place < self._first:
                    place = self._next
                    yield RESET
                while self._first <= place < self._next:
                    place += 1
                    yield self._ring[place - 1 - self._first]
                if self._closed:
                    return
                if place == self._next and not await _heard(news):
                    yield ": nothing new\n\n"
        finally:
            self.listeners -= 1

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        self._wake()

    @property
    def _first(self) -> int:
        return self._next - len(self._ring)

    def _place(self, last_id: str | None) -> int:
        """Return the number of the event to begin with; 0 where that is not known."""
        if last_id is None:
            return self._next
        epoch, _, number = last_id.partition("-")
        known = epoch == self._epoch and number.isascii() and number.isdecimal()
        place = int(number[:18]) + 1 if known else 0
        return place if place <= self._next else 0

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


async def _heard(news: asyncio.Event) -> bool:
    """Return whether there are news before a listener should hear that we are still here."""
    try:
        await asyncio.wait_for(news.wait(), SILENT_S)
    except TimeoutError:
        return False
    return True
