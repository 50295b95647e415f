"""The items of written music played: repeats, ties, tuplets, and the time of each note."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from pytest_llamaburn.notation.keys import LETTERS, Key, key_of
from pytest_llamaburn.notation.tune import Note, Tune

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_NOTES: Final = 20_000
_LONGEST_S: Final = 3600
_USUAL_TEMPO: Final = Fraction(120)  # quarter notes a minute, if none is written
_SIGNS: Final = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}
_MIDDLE_C: Final = 60
_METRES: Final = {"C": "4/4", "C|": "2/2"}


class AbcError(ValueError):
    """A text is no ABC; the words say where and why."""


class Sounds(NamedTuple):
    """Notes that begin together, or a rest without any: pitches, and the length in units."""

    line: int
    pitches: tuple[tuple[str | None, str, int], ...]  # accidental, letter, octave
    length: Fraction


class Rests(NamedTuple):
    """A rest of some bars."""

    line: int
    bars: int


class Tuplet(NamedTuple):
    """The next `notes` notes are played in the time of `time` of `size`; None: by the metre."""

    line: int
    size: int
    time: int | None
    notes: int


class Mark(NamedTuple):
    """A tie, or a broken rhythm, between two notes."""

    line: int
    text: str


class Bar(NamedTuple):
    """A bar line; `ending` is the number of an ending that begins here."""

    line: int
    text: str
    ending: str


class Field(NamedTuple):
    """A change of the key, the metre, the unit of length or the tempo."""

    line: int
    name: str
    value: str


Item = Sounds | Rests | Tuplet | Mark | Bar | Field


def tuplet(line: int, size: str, time: str | None, count: str | None) -> Tuplet:
    """Return a tuplet of its three numbers, of which the last two may be missing."""
    return Tuplet(line, int(size), int(time) if time else None, int(count or size))


def played(header: Mapping[str, str], voices: Sequence[Sequence[Item]]) -> Tune:
    """Return the tune of a header and its voices, which are played together.

    Raises AbcError for a wrong field, for a tune without notes, and for one that is endless.
    """
    players = [_Player(header) for _ in voices]
    for player, items in zip(players, voices, strict=True):
        player.play(_repeated(items))
    notes = sorted(note for player in players for note in player.notes)
    first = _Player(header)
    if not notes:
        raise AbcError("it has no notes")
    return Tune(
        title=header.get("T", ""),
        key=first.key,
        metre=first.metre,
        metre_text=header.get("M", "none"),
        tempo=float(first.tempo),
        notes=tuple(notes),
        seconds=float(max(player.now_s for player in players)),
        bars=sum(len(player.right) for player in players),
        bars_right=sum(sum(player.right) for player in players),
    )


def _repeated(items: Sequence[Item]) -> list[Item]:
    """Return the items in the order in which they are played."""
    done: list[Item] = []
    part: list[Item] = []  # since the last begin of a repeat
    common: int | None = None  # where the first ending of the part begins
    for item in items:
        part.append(item)
        if not isinstance(item, Bar):
            continue
        if item.text.startswith(":"):  # `:|`, `:||:` and `::` end a repeat
            done += part + part[:common]
            part, common = [], None
        elif item.text.endswith(":"):
            done += part
            part, common = [], None
        if item.ending.startswith("1"):
            common = len(part)
    return done + part


@dataclass
class _Player:
    """Plays the items of one voice."""

    header: Mapping[str, str]
    notes: list[Note] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)  # of each whole bar: whether its length is
    now_s: Fraction = Fraction(0)  # exact, so that long tunes do not drift
    metre: Fraction | None = None
    key: Key = field(default_factory=lambda: Key("C", "major", 0))
    tempo: Fraction = _USUAL_TEMPO
    _unit: Fraction = Fraction(1, 8)
    _in_bar: Fraction = Fraction(0)
    _begins_part: bool = True
    _pickup: Fraction = Fraction(0)
    _changed: dict[str, int] = field(default_factory=dict)  # accidentals of this bar
    _tied: dict[int, int] = field(default_factory=dict)  # by pitch, the note to make longer
    _last: list[int] = field(default_factory=list)  # the notes that began last
    _left: int = 0  # notes of a tuplet that are still to come
    _ratio: Fraction = Fraction(1)
    _lengths: deque[Fraction] = field(default_factory=deque)  # of a broken rhythm

    def __post_init__(self) -> None:
        self._set_metre(self.header.get("M", "none"), 0)
        if "L" in self.header:
            self._set("L", self.header["L"], 0)
        self._set("Q", self.header.get("Q", ""), 0)
        self._set("K", self.header["K"], 0)

    def play(self, items: Sequence[Item]) -> None:
        """Play all items."""
        for at, item in enumerate(items):
            if isinstance(item, Sounds):
                self._sound(item, items[at + 1] if at + 1 < len(items) else None)
            elif isinstance(item, Rests):
                self._rest(item)
            elif isinstance(item, Tuplet):
                self._begin(item)
            elif isinstance(item, Bar):
                self._end_bar(ends_part=item.text not in ("|", "["))
            elif isinstance(item, Field):
                self._set(item.name, item.value, item.line)
            elif item.text == "-":
                self._tied |= {self.notes[n].pitch: n for n in self._last}
        if self._in_bar:
            self._end_bar(ends_part=True)

    def _sound(self, item: Sounds, following: Item | None) -> None:
        length = item.length * self._unit * self._stretched(following)
        if self._left:
            self._left -= 1
            length *= self._ratio
        seconds = length * 4 * 60 / self.tempo
        pitches = [self._pitch(*one) for one in item.pitches]
        tied, self._tied, self._last = self._tied, {}, []
        for pitch in pitches:
            self._add(pitch, float(seconds), tied.get(pitch), item.line)
        self._pass(length, seconds, item.line)

    def _add(self, pitch: int, seconds: float, tied: int | None, line: int) -> None:
        """Add a note, or make the one that is tied to it longer."""
        if not 0 <= pitch <= 127:
            raise AbcError(f"line {line}: a note is higher or lower than an instrument plays")
        if tied is None:
            self._last.append(len(self.notes))
            self.notes.append(Note(float(self.now_s), seconds, pitch))
        else:
            before = self.notes[tied]
            self.notes[tied] = before._replace(seconds=before.seconds + seconds)
            self._last.append(tied)

    def _stretched(self, following: Item | None) -> Fraction:
        """Return by what a broken rhythm before or after a note changes its length."""
        factor = self._lengths.popleft() if self._lengths else Fraction(1)
        if isinstance(following, Mark) and following.text != "-":
            short = Fraction(1, 2 ** len(following.text))
            long = 2 - short
            mine, other = (long, short) if following.text[0] == ">" else (short, long)
            self._lengths.append(other)
            factor *= mine
        return factor

    def _rest(self, item: Rests) -> None:
        if self.metre is None:
            raise AbcError(f"line {item.line}: a rest of bars needs a metre")
        length = self.metre * item.bars
        self._pass(length, length * 4 * 60 / self.tempo, item.line)
        self._in_bar = Fraction(0)
        self.right += [True] * item.bars

    def _pass(self, length: Fraction, seconds: Fraction, line: int) -> None:
        self.now_s += seconds
        self._in_bar += length
        if len(self.notes) > _MOST_NOTES or self.now_s > _LONGEST_S:
            raise AbcError(f"line {line}: it has more than {_MOST_NOTES} notes, or lasts an hour")

    def _begin(self, item: Tuplet) -> None:
        compound = self.metre is not None and self.metre.numerator % 3 == 0
        usual = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(item.size, 3 if compound else 2)
        self._ratio = Fraction(item.time or usual, item.size)
        self._left = item.notes

    def _end_bar(self, *, ends_part: bool) -> None:
        """Count a bar; a pickup and the short bar at the end of its part are one bar together."""
        whole, length = self.metre, self._in_bar
        if length and whole is not None:
            if self._begins_part and not ends_part and length < whole:
                self._pickup = length
            else:
                self.right.append(length == whole or (ends_part and length + self._pickup == whole))
        self._begins_part = ends_part or (self._begins_part and not length)
        self._in_bar, self._changed = Fraction(0), {}

    def _pitch(self, sign: str | None, letter: str, octave: int) -> int:
        if sign is not None:
            self._changed[letter] = _SIGNS[sign]
        usual = self.key.accidentals.get(letter, 0)
        return _MIDDLE_C + 12 * octave + LETTERS[letter] + self._changed.get(letter, usual)

    def _set(self, name: str, value: str, line: int) -> None:
        """Change the key, the unit of length, the tempo or the metre."""
        if name == "M":
            self._set_metre(value, line)
        elif name == "L":
            self._unit = _fraction(value, line)
        elif name == "Q":
            self._set_tempo(value, line)
        else:
            key = key_of(value)
            if key is None:
                raise AbcError(f"{_at(line)}'{value.strip()}' is no key: write K:G or K:Em")
            self.key, self._changed = key, {}

    def _set_metre(self, value: str, line: int) -> None:
        text = _METRES.get(value.strip(), value.strip())
        self.metre = None if text in ("none", "") else _fraction(text, line)
        if "L" not in self.header and not line:
            short = self.metre is not None and self.metre < Fraction(3, 4)
            self._unit = Fraction(1, 16) if short else Fraction(1, 8)

    def _set_tempo(self, value: str, line: int) -> None:
        plain = re.sub(r'"[^"]*"', "", value).strip()
        if not plain:
            return
        beat, _, count = plain.rpartition("=")
        unit = _fraction(beat, line) if beat else self._unit
        if not re.fullmatch(r"\s*\d{1,3}\s*", count) or not 10 <= int(count) * unit * 4 <= 1000:
            raise AbcError(f"{_at(line)}'{plain}' is no tempo: write Q:1/4=120")
        self.tempo = int(count) * unit * 4


def _fraction(text: str, line: int) -> Fraction:
    found = re.fullmatch(r"\s*(\d{1,3})\s*/\s*(\d{1,3})\s*", text)
    if found is None or not int(found[1]) or not int(found[2]):
        raise AbcError(f"{_at(line)}'{text.strip()}' is no length, such as 1/8 or 4/4")
    return Fraction(int(found[1]), int(found[2]))


def _at(line: int) -> str:
    return f"line {line}: " if line else "the header: "
