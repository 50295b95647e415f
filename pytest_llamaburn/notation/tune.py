"""A tune: its notes in seconds, and what can be counted of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fractions import Fraction

    from pytest_llamaburn.notation.keys import Key

_SAME_S = 0.001  # notes that begin this close together begin at one time


class Note(NamedTuple):
    """A note: its begin and duration in seconds, and its MIDI number (60 is the middle C)."""

    start_s: float
    seconds: float
    pitch: int


class Tune(NamedTuple):
    """A tune as it is played, with repeats.

    `metre` is the length of a bar in whole notes, None for free metre; `metre_text` is as written.
    `bars` counts the bars of all voices that a metre applies to, `bars_right` those of its length.
    """

    title: str
    key: Key
    metre: Fraction | None
    metre_text: str
    tempo: float  # quarter notes a minute
    notes: tuple[Note, ...]
    seconds: float
    bars: int
    bars_right: int

    @property
    def onsets(self) -> list[float]:
        """The times at which notes begin, in seconds; those of a chord are one."""
        found: list[float] = []
        for start in sorted(note.start_s for note in self.notes):
            if not found or start - found[-1] > _SAME_S:
                found.append(start)
        return found

    def share_in(self, key: Key) -> float:
        """Return the share of notes that are in the scale of a key."""
        scale = key.scale
        return sum(note.pitch % 12 in scale for note in self.notes) / len(self.notes)
