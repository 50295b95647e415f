"""ABC notation (the standard's version 2.1) read strictly: what it does not know is an error.

Read are notes, chords, rests, ties, tuplets, broken rhythms, repeats with endings, voices, and
changes of key, metre, length and tempo. Left out are lyrics, ornaments, grace notes and words.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pytest_llamaburn.notation import playing
from pytest_llamaburn.notation.playing import AbcError, Bar, Field, Sounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.notation.playing import Item
    from pytest_llamaburn.notation.tune import Tune

_FENCE: Final = re.compile(r"```[\w-]*\n(.*?)(?:```|\Z)", re.DOTALL)
_FIELD: Final = re.compile(r"([A-Za-z+]):(.*)")
_PLAYED: Final = "KLMQ"  # fields that change how notes are played
_LONGEST: Final = 100_000  # characters
_LENGTH = r"(?P<{0}>\d{{0,4}}(?:/+\d{{0,4}})?)"
_PITCH: Final = re.compile(r"(\^{1,2}|_{1,2}|=)?([A-Ga-g])([,']*)(\d{0,4}(?:/+\d{0,4})?)")
_BAR: Final = (
    r"(?P<bar>:*\|+[\]:]*|\[\||::|\|?\[(?=[1-9])|(?<=\|)(?=[1-9]))(?P<ending>[1-9][\d,\-]*)?"
)
_TOKENS: Final = re.compile(
    r"(?P<skip>[\s\\`()y]|\"[^\"]*\"|![^!\n]*!|\+[a-z]+\+|\{[^}]*\}|[.~HJLMOPRSTuv](?=[^:]))"
    r"|\[(?P<field>[A-Za-z]):(?P<value>[^\]\n]*)\]"
    rf"|{_BAR}"
    r"|\[(?P<chord>(?:[\^_=]*[A-Ga-g][,']*\d{0,4}(?:/+\d{0,4})?\s*)+)\]" + _LENGTH.format("whole") +
    r"|(?P<note>(?:\^{1,2}|_{1,2}|=)?[A-Ga-g][,']*\d{0,4}(?:/+\d{0,4})?)"
    r"|[zx]" + _LENGTH.format("rest") + r"|Z(?P<bars>\d{0,3})"
    r"|(?P<tie>-)|(?P<broken><{1,3}|>{1,3})"
)  # fmt: skip
_TUPLET: Final = re.compile(r"\(([2-9])(?::([1-9]?))?(?::([1-9]?))?(?=[^\d]|$)")


class _Line(NamedTuple):
    number: int
    text: str


def tune_in(answer: str) -> Tune:
    """Return the tune in a model's answer: ABC, in a code block or not, or the object of SCHEMA.

    Raises AbcError with the line and what is wrong.
    """
    lines = [*_lines(text_in(answer))]
    if not lines:
        raise AbcError("there is no tune: a line X:1 begins one")
    return playing.played(*_read(lines))


def text_in(answer: str) -> str:
    """Return the ABC in an answer, without what stands around it; empty if there is none."""
    text = _of_object(answer) or next(
        (found for found in _FENCE.findall(answer) if re.search(r"(?m)^X:", found)), answer
    )
    begin = re.search(r"(?m)^\s*X:", text)
    if begin is None:
        return ""
    return re.split(r"\n[ \t]*\n|\n```", text[begin.start() :].strip())[0]


def _of_object(answer: str) -> str:
    """Return the tune of a JSON object with the parts of one, as ABC; empty for another answer."""
    try:
        found: Any = json.loads(answer)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict) or not isinstance(found.get("bars"), list):
        return ""
    names = {"title": "T", "metre": "M", "unit": "L", "tempo": "Q", "key": "K"}
    head = ["X:1", *(f"{names[name]}:{found[name]}" for name in names if name in found)]
    bars = [str(bar).strip(" |") for bar in found["bars"]]
    rows = [" | ".join(bars[at : at + 4]) + " |" for at in range(0, len(bars), 4)]
    return "\n".join([*head, *rows])


def _lines(text: str) -> Iterator[_Line]:
    """Yield the lines without comments."""
    if len(text) > _LONGEST:
        raise AbcError(f"it has more than {_LONGEST} characters")
    for number, line in enumerate(text.splitlines(), 1):
        plain = re.sub(r"(?<!\\)%.*", "", line).strip()
        if plain:
            yield _Line(number, plain)


def _read(lines: list[_Line]) -> tuple[dict[str, str], list[list[Item]]]:
    """Return the fields of the header, and the items of each voice."""
    header: dict[str, str] = {}
    voices: dict[str, list[Item]] = {}
    voice = ""
    for line in lines:
        field = _FIELD.match(line.text)
        if field and "K" not in header:
            header.setdefault(field[1], field[2].strip())
        elif field and field[1] == "V":
            voice = _name(field[2])
        elif field and field[1] in _PLAYED:
            voices.setdefault(voice, []).append(Field(line.number, field[1], field[2]))
        elif "K" not in header:
            raise AbcError(f"line {line.number}: notes stand before the key: write K: first")
        elif not field:
            voice = _music(line, voices, voice)
    if "K" not in header:
        raise AbcError("it has no key: write K: after the other fields")
    return header, [*voices.values()]


def _name(value: str) -> str:
    return next(iter(value.split()), "")


def _music(line: _Line, voices: dict[str, list[Item]], voice: str) -> str:
    """Add the items of a line of music to its voices; return the voice in which it ends."""
    at = 0
    while at < len(line.text):
        tuplet, found = _TUPLET.match(line.text, at), _TOKENS.match(line.text, at)
        if tuplet is None and (found is None or found.end() == at):
            shown = line.text[at : at + 12]
            raise AbcError(f"line {line.number}: '{shown}' is not known in ABC")
        if tuplet is not None:
            voices.setdefault(voice, []).append(playing.tuplet(line.number, *tuplet.groups()))
        elif found is not None and found["field"] == "V":
            voice = _name(found["value"])
        elif found is not None and found["skip"] is None:
            voices.setdefault(voice, []).extend(_items(line.number, found))
        at = (tuplet or found).end()  # type: ignore[union-attr]  # one of them was found
    return voice


def _items(number: int, found: re.Match[str]) -> Iterator[Item]:
    """Yield the items of a token."""
    if found["field"]:
        if found["field"] in _PLAYED:
            yield Field(number, found["field"], found["value"])
    elif found["bar"] is not None:
        yield Bar(number, found["bar"], found["ending"] or "")
    elif found["chord"]:
        pitches, lengths = zip(
            *(_pitch(note, number) for note in _PITCH.finditer(found["chord"])), strict=True
        )
        yield Sounds(number, pitches, lengths[0] * _length(found["whole"], number))
    elif found["note"]:
        note = _PITCH.match(found["note"])
        assert note is not None  # noqa: S101 - the token says so
        pitch, length = _pitch(note, number)
        yield Sounds(number, (pitch,), length)
    elif found["rest"] is not None:
        yield Sounds(number, (), _length(found["rest"], number))
    elif found["bars"] is not None:
        yield playing.Rests(number, int(found["bars"] or 1))
    else:
        yield playing.Mark(number, found["tie"] or found["broken"])


def _pitch(note: re.Match[str], number: int) -> tuple[tuple[str | None, str, int], Fraction]:
    """Return accidental, letter and octave of a note (0 for C to B), and its length in units."""
    sign, letter, marks, length = note.groups()
    octave = letter.islower() + marks.count("'") - marks.count(",")
    return (sign, letter.upper(), octave), _length(length, number)


def _length(text: str, number: int) -> Fraction:
    """Return a length such as `3/2`, `/` or `//` as a multiple of the unit."""
    above, slashes, below = re.fullmatch(r"(\d*)(/*)(\d*)", text).groups()  # type: ignore[union-attr]
    divisor = int(below) if below else 2 ** len(slashes)
    if not divisor or above == "0":
        raise AbcError(f"line {number}: the length '{text}' is none")
    return Fraction(int(above or 1), divisor)
