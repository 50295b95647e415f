"""Think time: how long a client pauses between its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.option import MOST_S, seconds

if TYPE_CHECKING:
    from collections.abc import Callable


def think_seconds(text: str) -> tuple[float, float]:
    """Return the shortest and longest pause in seconds of a text such as 2s or 1s-3s.

    Raises SettingsError for anything else.
    """
    try:
        found = [float(seconds(part)) for part in text.split("-")]
    except ValueError:
        found = []
    low, high = (found * 2)[:2] if len(found) in (1, 2) else (1.0, 0.0)
    if not 0 <= low <= high <= MOST_S:
        raise SettingsError(f"--think-time: '{text}' is refused: write 2s, or 1s-3s")
    return low, high


def mean_think_ns(text: str | None) -> float:
    """Return the mean pause of clients in ns; raises SettingsError for an invalid text."""
    return sum(think_seconds(text)) / 2 * 1e9 if text else 0.0


def pause_s(
    bounds: tuple[float, float], uniform: Callable[[float, float], float], *, first: bool
) -> float:
    """Return the next pause of a client in seconds, evenly distributed between the `bounds`.

    At first a client is somewhere in the middle of a pause.
    """
    shortest, longest = bounds
    return uniform(0.0 if first else shortest, longest)
