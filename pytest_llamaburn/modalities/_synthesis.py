"""A small synthesiser: tunes as sound, the same on every machine.

Each note is a fundamental with five partials that fade as those of a plucked string. A sound font
would sound better, but has many megabytes, a licence of its own, and needs a compiled player.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_llamaburn.audio.clips import clip_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from pytest_llamaburn.audio.clips import Clip
    from pytest_llamaburn.notation.tune import Note, Tune

    Row = npt.NDArray[np.float64]

RATE: Final = 44_100
_PARTIALS: Final = (1.0, 0.5, 0.3, 0.15, 0.08, 0.04)
_ATTACK_S, _RELEASE_S = 0.005, 0.05
_HALF_LIFE_S = 0.4  # of the middle C; higher notes fade faster
_PEAK = 0.8  # of full scale, so that nothing is clipped


def rendered(tune: Tune) -> Clip:
    """Return the sound of a tune, in mono; its duration is that of the tune."""
    size = max(1, round(tune.seconds * RATE))
    row = np.zeros(size)
    for note in tune.notes:
        first = round(note.start_s * RATE)
        sound = _sound(note)[: size - first]
        row[first : first + len(sound)] += sound
    loudest = np.abs(row).max()
    return clip_of(row * (_PEAK / loudest) if loudest else row, RATE)


def _sound(note: Note) -> Row:
    """Return the samples of a note; it is released shortly before its end."""
    at = np.arange(max(1, round(note.seconds * RATE))) / RATE
    fundamental = 440 * 2 ** ((note.pitch - 69) / 12)
    half_life = _HALF_LIFE_S * 2 ** ((60 - note.pitch) / 24)
    release = min(_RELEASE_S, note.seconds / 3)
    edge = np.clip(np.minimum(at / _ATTACK_S, (note.seconds - at) / release), 0, 1)
    row = np.zeros(len(at))
    for number, level in enumerate(_PARTIALS, 1):
        if number * fundamental < RATE / 2:
            fade = 0.5 ** (at * number / half_life)
            row += level * fade * np.sin(2 * np.pi * number * fundamental * at)
    faded: Row = row * edge
    return faded
