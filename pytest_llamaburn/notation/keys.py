"""Keys of ABC notation, such as `G`, `F#m`, `Bb`, `D dorian`: their accidentals and their scale."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_KEY: Final = re.compile(r"\s*([A-G])([#b]?)\s*([A-Za-z]*)")
LETTERS: Final = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}  # semitones above C
_SHARPS: Final = "FCGDAEB"  # the order in which signatures have them
_FIFTHS: Final = {"C": 0, "D": 2, "E": 4, "F": -1, "G": 1, "A": 3, "B": 5}
# How many fifths lie between the signature of a mode and that of the major key of its tonic.
_MODES: Final = {
    "maj": 0,
    "ion": 0,
    "": 0,
    "m": -3,
    "min": -3,
    "aeo": -3,
    "mix": -1,
    "dor": -2,
    "phr": -4,
    "lyd": 1,
    "loc": -5,
}
_NAMES: Final = {"": "major", "maj": "major", "ion": "major", "m": "minor", "min": "minor"}
_WORDS: Final = {"aeo": "minor", "mix": "mixolydian", "dor": "dorian", "phr": "phrygian"}
_MORE: Final = {"lyd": "lydian", "loc": "locrian"}


class Key(NamedTuple):
    """A key: its tonic (`F#`), its mode (`minor`), and its sharps, which are negative for flats."""

    tonic: str
    mode: str
    sharps: int

    @property
    def accidentals(self) -> dict[str, int]:
        """The semitones by which the signature changes each letter."""
        if self.sharps >= 0:
            return dict.fromkeys(_SHARPS[: self.sharps], 1)
        return dict.fromkeys(_SHARPS[self.sharps :], -1)

    @property
    def scale(self) -> frozenset[int]:
        """The pitch classes of the scale, as semitones above C."""
        changed = self.accidentals
        return frozenset((at + changed.get(name, 0)) % 12 for name, at in LETTERS.items())

    def __str__(self) -> str:
        """Return the key in words, such as `F# minor`."""
        return f"{self.tonic} {self.mode}"


def key_of(text: str) -> Key | None:
    """Return the key that a text names; None if it names none.

    What follows the mode, such as a clef, is left out. `none` and an empty text are C major, as in
    ABC.
    """
    if text.strip().lower() in ("", "none"):
        return Key("C", "major", 0)
    found = _KEY.match(text)
    if found is None:
        return None
    letter, sign, mode = found[1], found[2], found[3].lower()
    known = mode if mode == "m" else mode[:3]
    if known in ("cle", "tre", "bas", "alt"):  # a clef without a mode before it
        known = ""
    if known not in _MODES:
        return None
    sharps = _FIFTHS[letter] + {"": 0, "#": 7, "b": -7}[sign] + _MODES[known]
    name = {**_NAMES, **_WORDS, **_MORE}[known]
    return Key(letter + sign, name, sharps) if abs(sharps) <= len(_SHARPS) else None
