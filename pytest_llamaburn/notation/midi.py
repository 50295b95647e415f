"""Tunes as Standard MIDI Files, format 0: one track, 960 ticks a quarter note."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_llamaburn.notation.tune import Tune

_TICKS: Final = 960  # of a quarter note
_VELOCITY: Final = 80
_NOTE_ON, _NOTE_OFF = 0x90, 0x80
_END: Final = b"\x00\xff\x2f\x00"


def encode(tune: Tune) -> bytes:
    """Return the bytes of a MIDI file; its tempo is the first one of the tune."""
    events = [(0, 0, b"\xff\x51\x03" + round(60e6 / tune.tempo).to_bytes(3, "big"))]
    a_second = _TICKS * tune.tempo / 60
    for note in tune.notes:
        start, end = (round(at * a_second) for at in (note.start_s, note.start_s + note.seconds))
        # Ends come before begins at the same tick, so that a repeated note sounds again.
        events.append((start, 2, bytes((_NOTE_ON, note.pitch, _VELOCITY))))
        events.append((max(end, start + 1), 1, bytes((_NOTE_OFF, note.pitch, 0))))
    track, now = b"", 0
    for tick, _, event in sorted(events):
        track += _delta(tick - now) + event
        now = tick
    track += _END
    header = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, _TICKS)
    return header + struct.pack(">4sI", b"MTrk", len(track)) + track


def _delta(ticks: int) -> bytes:
    """Return a number as MIDI writes times: seven bits a byte, the highest first."""
    parts = [ticks & 0x7F]
    while ticks := ticks >> 7:
        parts.append(ticks & 0x7F | 0x80)
    return bytes(reversed(parts))
