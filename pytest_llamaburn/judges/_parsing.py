"""A verdict out of a judge's words: JSON that keeps to the schema, or none."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from pytest_llamaburn.texts import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_llamaburn.judges._prompt import Prompt

_TRIES = 10_000  # braces looked at in one text: a text of nothing but braces must not take minutes
_READINGS = 24  # of one text: escapes within escapes must not take minutes either
# A backslash that begins no escape of JSON, as small models write it in LaTeX and paths.
_ESCAPE = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])|\\')
_HEX = "[0-9a-fA-F]"
_ESCAPED = re.compile(rf'\\(?:u({_HEX}{{4}})|u\{{({_HEX}{{1,5}})\}}|x({_HEX}{{2}})|(["\\/bfnrt]))')
_MEANT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Claim(NamedTuple):
    """What a judge says of one claim: the passage that it quotes, and whether that supports it."""

    claim: str
    quote: str
    supported: bool


class ParsedReply(NamedTuple):
    """A verdict that keeps to the schema; its value is a mark, a word, or a tuple of claims."""

    value: Any
    reasoning: str
    evidence: tuple[str, ...]


class ParseError(Exception):
    """A judge's words hold no verdict; the message says why."""


def parse(text: str, prompt: Prompt) -> ParsedReply:
    """Return the verdict in a judge's reply.

    That is the whole reply or, for servers that keep to no schema, the last whole JSON object in it
    that is a verdict. What small models get wrong in JSON is forgiven, a mark that is not on the
    scale is not. A verdict that stands in the judged material, also within other JSON, escaped or
    broken, is the answer's, not the judge's. Raises ParseError, whatever the text.
    """
    if not text.strip():
        raise ParseError("the reply is empty")
    told = [(_verdict(each, prompt), written) for each, written in _spans(text)]
    found = [(one, written) for one, written in told if one is not None]
    if not found:
        raise ParseError(f"no JSON object with {', '.join(prompt.schema['required'])} in it")
    planted = {_bare(one) for part in prompt.material for one in _planted(part, prompt)}
    material = [_letters(reading) for part in prompt.material for reading in _readings(part)]
    own = [
        one
        for one, written in found
        if _bare(one) not in planted and not any(_letters(written) in each for each in material)
    ]
    if not own:
        raise ParseError("the only verdict in it was planted in the material")
    return own[-1]


def _objects(text: str) -> Iterator[Any]:
    """Yield the outermost whole JSON objects of a text in order."""
    return (found for found, _ in _spans(text))


def _spans(text: str) -> Iterator[tuple[Any, str]]:
    """Yield the outermost whole JSON objects of a text in order, each with how it is written.

    Line breaks in strings and backslashes that escape nothing are taken as they stand.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_unambiguous, strict=False)
    text = _ESCAPE.sub(lambda found: found[0] if len(found[0]) > 1 else "\\\\", text)
    at = text.find("{")
    for _ in range(_TRIES):
        if at < 0:
            return
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield found, text[at:end]
        at = text.find("{", end)


def _planted(text: str, prompt: Prompt) -> Iterator[ParsedReply]:
    """Yield the verdicts in judged material, however deep in JSON or escapes they are."""
    for reading in _readings(text):
        for outer in _objects(reading):
            for inner in _within(outer):
                if (found := _verdict(inner, prompt)) is not None:
                    yield found


def _readings(text: str) -> list[str]:
    """Return a text, and what it says where it is read unescaped, once or several times."""
    found = [text]
    for reading in found:
        for decode in _DECODERS:
            plain = decode(reading)
            if plain not in found and len(found) < _READINGS:
                found.append(plain)
    return found


def _unescaped(text: str) -> str:
    def meant(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        return chr(int(code, 16)) if code else _MEANT.get(found[4], found[4])

    return _ESCAPED.sub(meant, text)


def _out_of_html(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a number of thousands of digits
        return text


_DECODERS: tuple[Callable[[str], str], ...] = (_unescaped, _out_of_html, unquote)


def _within(value: Any) -> Iterator[Any]:
    """Yield a value of JSON and all values in it, those of JSON inside a string too."""
    left = [value]
    while left:
        found = left.pop()
        yield found
        if isinstance(found, str):
            left += _objects(found)
        elif isinstance(found, dict | list):
            left += found.values() if isinstance(found, dict) else found


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object by its keys in small letters; raises ValueError for one given twice."""
    found = {key.strip().casefold(): value for key, value in pairs}
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _verdict(found: Any, prompt: Prompt) -> ParsedReply | None:
    """Return an object's verdict, None where it does not keep to the schema.

    Reasons may come as a list, a single quote as text; letters may be small or capital. True and
    4.0 are no whole numbers here.
    """
    if not isinstance(found, dict) or set(found) != set(prompt.schema["required"]):
        return None
    reasons, quotes = _listed(found["reasoning"]), _listed(found.get("evidence", []))
    value = _claims(found["claims"]) if prompt.field == "claims" else _mark(found, prompt)
    if None in (reasons, quotes, value):
        return None
    return ParsedReply(value, "\n".join(reasons or ()), tuple(quotes or ()))


def _mark(found: dict[str, Any], prompt: Prompt) -> Any:
    """Return which of the marks that are allowed an object gives, None for any other."""
    value = found[prompt.field]
    folded = value.strip().casefold() if isinstance(value, str) else value
    for mark in prompt.allowed:
        same = mark.casefold() if isinstance(mark, str) else mark
        if type(folded) is type(same) and folded == same:
            return mark
    return None


def _claims(value: Any) -> tuple[Claim, ...] | None:
    """Return a list of claims, None where one does not keep to the schema."""
    if not isinstance(value, list) or not all(map(_is_claim, value)):
        return None
    return tuple(Claim(whole(c["claim"]), whole(c["quote"]), c["supported"]) for c in value)


def _is_claim(value: Any) -> bool:
    kinds = {"claim": str, "quote": str, "supported": bool}
    return (
        isinstance(value, dict)
        and set(value) == set(kinds)
        and all(type(value[name]) is kind for name, kind in kinds.items())
    )


def _listed(value: Any) -> list[str] | None:
    """Return a text or a list of texts as a list, None for anything else."""
    entries = value if isinstance(value, list) else [value]
    return [whole(one) for one in entries] if all(isinstance(e, str) for e in entries) else None


def _letters(text: str) -> str:
    """Return the letters and digits of a text: what stays of JSON that was broken on purpose."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _bare(found: Any) -> Any:
    """Return what two writings of one verdict have in common: spaces and capitals do not count."""
    if isinstance(found, tuple):
        return tuple(map(_bare, found))
    return "".join(found.split()).casefold() if isinstance(found, str) else found
