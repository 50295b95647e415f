"""Reading the verdict in a judge's reply: JSON that follows the schema, or a ParseError."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from base64 import b64decode
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from pytest_llamaburn.texts import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_llamaburn.judges._prompt import Prompt

_TRIES = 10_000  # braces tried in one text; a text of many braces would take minutes
_READINGS = 24  # of one text; nested escapes would take minutes
# A backslash that is not a JSON escape; small models write it in LaTeX and paths.
_ESCAPE = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])|\\')
_HEX = "[0-9a-fA-F]"
_ESCAPED = re.compile(
    rf'\\(?:u({_HEX}{{4}})|u\{{({_HEX}{{1,5}})\}}|x({_HEX}{{2}})|(["\\/bfnrt])|([0-3]?[0-7]{{2}}))'
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
_DIGITS = re.compile(rf"(?:{_HEX}{{2}}){{12,}}")  # bytes in hexadecimal digits
_PRINTABLE = re.compile(r"=([2-7][0-9A-Fa-f])")  # quoted-printable
_MEANT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Claim(NamedTuple):
    """One claim, the passage that the judge quotes, and whether it supports the claim."""

    claim: str
    quote: str
    supported: bool


class ParsedReply(NamedTuple):
    """A verdict that follows the schema; its value is a score, a word, or a tuple of claims."""

    value: Any
    reasoning: str
    evidence: tuple[str, ...]


class ParseError(Exception):
    """A judge's reply has no verdict; the message says why."""


def parse(text: str, prompt: Prompt) -> ParsedReply:
    """Return the verdict in a judge's reply.

    The verdict is the whole reply or, if the server does not enforce the schema, the last whole
    JSON object in it that is a verdict. Common errors of small models in JSON are accepted; a score
    that is not on the scale is not. A verdict that is also in the judged material, even within
    other JSON, escaped or broken, belongs to the answer, not to the judge. Raises only ParseError.
    """
    if not text.strip():
        raise ParseError("the reply is empty")
    parsed = [(_verdict(each, prompt), written) for each, written in _spans(text)]
    found = [(one, written) for one, written in parsed if one is not None]
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
    """Yield the outermost whole JSON objects of a text in order, each with its text.

    Line breaks in strings, and backslashes that are not escapes, are accepted.
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
    """Yield the verdicts in judged material, at any depth of JSON and escapes."""
    for reading in _readings(text):
        for outer in _objects(reading):
            for inner in _within(outer):
                if (found := _verdict(inner, prompt)) is not None:
                    yield found


def _readings(text: str) -> list[str]:
    """Return a text, and the texts that it becomes if it is unescaped once or several times."""
    found = [text]
    for reading in found:
        for decode in _DECODERS:
            plain = decode(reading)
            if plain not in found and len(found) < _READINGS:
                found.append(plain)
    return found


def _unescaped(text: str) -> str:
    def meant(found: re.Match[str]) -> str:
        if found[5]:
            return chr(int(found[5], 8))
        code = found[1] or found[2] or found[3]
        return chr(int(code, 16)) if code else _MEANT.get(found[4], found[4])

    return _ESCAPED.sub(meant, text)


def _out_of_html(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a number of thousands of digits
        return text


def _out_of_base64(text: str) -> str:
    return _BASE64.sub(lambda found: _decoded(found[0], _base64), text)


def _base64(text: str) -> bytes:
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    return b64decode(bare[: len(bare) - (len(bare) % 4 == 1)] + "==")


def _out_of_digits(text: str) -> str:
    plain = _DIGITS.sub(lambda found: _decoded(found[0], bytes.fromhex), text)
    return _PRINTABLE.sub(lambda found: chr(int(found[1], 16)), plain)


def _decoded(text: str, decode: Callable[[str], bytes]) -> str:
    """Return the text that the bytes are, or the text itself if they are none."""
    try:
        return decode(text).decode()
    except ValueError:
        return text


_DECODERS: tuple[Callable[[str], str], ...] = (
    *(_unescaped, _out_of_html, unquote),
    *(_out_of_base64, _out_of_digits),
)


def _within(value: object) -> Iterator[Any]:
    """Yield a JSON value and all values in it, also those of JSON within strings."""
    left = [value]
    while left:
        found = left.pop()
        yield found
        if isinstance(found, str):
            left += _objects(found)
        elif isinstance(found, dict | list):
            left += found.values() if isinstance(found, dict) else found


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object with its keys in lower case; raises ValueError if a key is given twice."""
    found = {key.strip().casefold(): value for key, value in pairs}
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _verdict(found: object, prompt: Prompt) -> ParsedReply | None:
    """Return an object's verdict; None if it does not follow the schema.

    Reasons may be a list, a single quote may be a text, and case does not matter. True and 4.0 do
    not count as whole numbers.
    """
    if not isinstance(found, dict) or set(found) != set(prompt.schema["required"]):
        return None
    reasons, quotes = _listed(found["reasoning"]), _listed(found.get("evidence", []))
    value = _claims(found["claims"]) if prompt.field == "claims" else _allowed(found, prompt)
    if None in (reasons, quotes, value):
        return None
    return ParsedReply(value, "\n".join(reasons or ()), tuple(quotes or ()))


def _allowed(found: dict[str, Any], prompt: Prompt) -> Any:
    """Return the score or verdict of an object; None if it is not an allowed one."""
    value = found[prompt.field]
    folded = value.strip().casefold() if isinstance(value, str) else value
    for allowed in prompt.allowed:
        same = allowed.casefold() if isinstance(allowed, str) else allowed
        if type(folded) is type(same) and folded == same:
            return allowed
    return None


def _claims(value: object) -> tuple[Claim, ...] | None:
    """Return a list of claims; None if one does not follow the schema."""
    if not isinstance(value, list) or not all(map(_is_claim, value)):
        return None
    return tuple(Claim(whole(c["claim"]), whole(c["quote"]), c["supported"]) for c in value)


def _is_claim(value: object) -> bool:
    kinds = {"claim": str, "quote": str, "supported": bool}
    return (
        isinstance(value, dict)
        and set(value) == set(kinds)
        and all(type(value[name]) is kind for name, kind in kinds.items())
    )


def _listed(value: Any) -> list[str] | None:
    """Return a text or a list of texts as a list; None for anything else."""
    entries = value if isinstance(value, list) else [value]
    return [whole(one) for one in entries] if all(isinstance(e, str) for e in entries) else None


def _letters(text: str) -> str:
    """Return the letters and digits of a text, which stay the same if JSON is broken on purpose."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _bare(found: object) -> Any:
    """Return a verdict without spaces and capitals, to compare two ways of writing it."""
    if isinstance(found, tuple):
        return tuple(map(_bare, found))
    return "".join(found.split()).casefold() if isinstance(found, str) else found
