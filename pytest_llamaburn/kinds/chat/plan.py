"""What a run asks: its requests, and how long they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_llamaburn.kinds.chat.settings import Chat
    from pytest_llamaburn.load.prompts import Ruler

WARM, MISS, BEYOND, CROSSING = "warm", "miss", "beyond", "crossing"
TURNS = (WARM, MISS)
PAST = 64  # tokens by which a prompt is longer than the context
ROOM = 24  # tokens that are left in the context for an answer that would leave it
LONGEST = 64  # tokens of that answer


def requests(settings: Chat) -> int:
    """Return the number of timed requests, if the length of the context is known."""
    each = 2 * settings.turns - 1
    return int(settings.conversations * each + 2 * settings.overflow)


def seconds(
    settings: Chat, ruler: Ruler, token_ms: float | None, context: int | None
) -> float | None:
    """Return about how long the requests take, or None if a rate is unknown.

    A warm turn reads its question; a turn that misses the cache reads all turns before it as well.
    """
    if ruler.ms_per_token is None or token_ms is None:
        return None
    turns, each = settings.turns, settings.isl + settings.osl
    missed = sum(turn * each + settings.isl for turn in range(1, turns))
    read = settings.conversations * (turns * settings.isl + missed)
    read += 2 * (context or 0) if settings.overflow else 0
    written = settings.conversations * turns * settings.osl
    return float(read * ruler.ms_per_token + written * token_ms) / 1e3
