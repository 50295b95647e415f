"""The memory of this machine: what is left, and what must stay free."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import environment
from pytest_llamaburn.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Coroutine

_LOOK_S = 0.05  # between two looks at the memory while a model is loaded
GPU_SPARE = 1 << 30  # bytes of a GPU that llama.cpp leaves free (its option --fit-target)


class TooFullError(ServerError):
    """Loading a model would have taken the memory that must stay free."""


class Room:
    """The RAM of this machine; a model on another machine has none that can be seen."""

    def __init__(self, share: float, *, local: bool = True) -> None:
        """Take the share of the memory that stays free, and whether the server runs here."""
        self.local = local
        self.reserve = round(share * environment.memory_bytes())

    def left(self) -> int:
        """Return the bytes that programs can take without making the machine swap."""
        return environment.memory_left_bytes()

    def refusal(self, wanted: float | None) -> str | None:
        """Return why a model that takes so many bytes is not loaded, or None."""
        left = self.left()
        if not self.local or wanted is None or left - wanted >= self.reserve:
            return None
        return (
            f"it would take {_gb(wanted)} of the {_gb(left)} that are free, and {_gb(self.reserve)}"
            " must stay free (--reserve)"
        )

    async def watched(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return what the work returns; cancel it if it takes the memory that must stay free.

        Raises TooFullError then.
        """
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=_LOOK_S)
                if self.local and not task.done() and self.left() < self.reserve:
                    raise TooFullError(
                        f"loading was stopped: less than {_gb(self.reserve)} were left (--reserve)"
                    )
            return await task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, ServerError):
                await task


def free_on_gpus() -> int | None:
    """Return the bytes that are free on this machine's GPUs, or None if none can be read."""
    from pytest_llamaburn.telemetry._base import Machine
    from pytest_llamaburn.telemetry._detect import Gauges

    gauges = Gauges(Machine())
    try:
        rows = [row for row in gauges.read() if not row.get("integrated")]
    finally:
        gauges.close()
    sizes = [(row["vram_total_mb"], row["vram_used_mb"]) for row in rows]
    known = [total - used for total, used in sizes if total is not None and used is not None]
    return round(sum(known) * 1e6) if known else None


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
