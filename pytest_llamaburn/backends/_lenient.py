"""Read JSON from servers leniently: convert each value to the expected type where possible.

Many servers imitate an API imprecisely: a count is a text, or a list stands in place of a name.
`fit` reads the chunks of an answer; `ServerFields` reads a server's metadata.
"""

from __future__ import annotations

import json
import math
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Piece = TypeVar("Piece", bound=msgspec.Struct)

NO_CALLS = msgspec.Raw()  # a message without tool calls
_ROUNDED = 1e-3  # tolerate a log probability this far above 0 (rounding)
_LONGEST_NUMBER = 40  # digits; Python refuses to convert very long numbers
_TEXTS = ("text", "content", "thinking", "reasoning", "summary")  # keys with the text of a part
_THOUGHTS = ("thinking", "reasoning")
_SHOWN = 60  # characters of a value in a note
UNREADABLE = "\N{REPLACEMENT CHARACTER}"  # stands for bytes that are no whole character


def parse(data: bytes) -> dict[str, Any]:
    """Return a JSON object that the strict decoder rejects.

    It may contain NaN, Infinity, numbers of any length and lone surrogates. Raises ValueError, or
    RecursionError if it is nested too deeply.
    """
    value = json.loads(data.decode("utf-8-sig"), parse_int=_integer)
    if not isinstance(value, dict):
        raise ValueError(f"Expected `object`, got `{type(value).__name__}`")  # noqa: TRY004
    return value


def number(value: object) -> float | None:
    """Return a number, also from a text; None for null, NaN for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def ms(nanoseconds: float | None) -> float | None:
    """Return milliseconds, or None for 0: Ollama sends a missing duration as 0 or not at all."""
    return nanoseconds / 1e6 if nanoseconds else None


def text(value: object) -> str:
    """Return the text in a part of an answer; a value of unknown shape is returned as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(text, value))
    if isinstance(value, dict):
        inner = [value[name] for name in _TEXTS if name in value]
        return text(inner[0]) if inner else json.dumps(value) if value else ""
    return "" if value is None or value is False else json.dumps(value)


def calls(raw: msgspec.Raw) -> str:
    """Return the JSON of tool calls, or an empty text if there are none."""
    data = bytes(raw)
    return "" if data in (b"", b"null", b"[]", b"{}") else data.decode("utf-8", "replace")


def part(message: object) -> None:
    """Move the thinking parts in a message's `content` list to its `thinking` field."""
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return
    thinking: list[Any] = []
    answer: list[Any] = []
    for piece in message["content"]:
        thought = isinstance(piece, dict) and piece.get("type") in _THOUGHTS
        (thinking if thought else answer).append(piece)
    message["content"] = answer
    message.setdefault("thinking", thinking)


def fit(kind: type[Piece], value: object) -> Piece:
    """Return a struct with the readable fields of a JSON value; the others keep their defaults."""
    given = value if isinstance(value, dict) else {}
    fields = _fields(kind)
    read = {name: _as(fields[name], given[name]) for name in fields if given.get(name) is not None}
    return kind(**{name: item for name, item in read.items() if item is not None})


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, tuple[Any, ...]]:
    """Return the possible types of each field of a struct; cached, since it is slow."""
    fields = msgspec.structs.fields(kind)
    return {field.name: get_args(field.type) or (field.type,) for field in fields}


def _as(kinds: tuple[Any, ...], value: Any) -> Any:
    if float in kinds:
        return number(value)
    if str in kinds:
        return text(value)
    if bool in kinds:
        return value in (True, "true")
    if msgspec.Raw in kinds:
        return msgspec.Raw(json.dumps(value).encode())
    if get_args(kinds[0]):  # a list of structs
        items = value if isinstance(value, list) else [value]
        return [fit(get_args(kinds[0])[0], item) for item in items if isinstance(item, dict)]
    return fit(kinds[0], value) if issubclass(kinds[0], msgspec.Struct) else value


def likeliest(tokens: Sequence[ServerFields]) -> list[tuple[str, float]]:
    """Return the candidates for an answer's first token, with their log probabilities.

    The text of an end token is empty; a part of a character is spelled as its bytes: <0xE4>.
    """
    candidates = []
    for candidate in tokens[0].each("top_logprobs") if tokens else ():
        token, logprob = _spelled(candidate), candidate.logarithm("logprob")
        if token is not None and logprob is not None:
            candidates.append((token, logprob))
    return candidates


def _spelled(candidate: ServerFields) -> str | None:
    token = candidate.text_or_empty("token")
    if token and UNREADABLE not in token:
        return token
    spelled = "".join(f"<0x{byte:02X}>" for byte in candidate.counts("bytes"))
    return spelled or token


def _logarithm(given: object) -> float | None:
    value = number(given)
    return value if value is not None and -math.inf < value <= _ROUNDED else None


def likeliest_by_text(logprobs: ServerFields) -> list[tuple[str, float]]:
    """Return the same from the older format, where the key of each log probability is its token."""
    found = [(t, first.logarithm(t)) for first in logprobs.each("top_logprobs")[:1] for t in first]
    return [(token, logprob) for token, logprob in found if logprob is not None]


class ServerFields:
    """One JSON object of a server's metadata; a value of the wrong type reads as None.

    Each such value adds a sentence to the keys of `notes`.
    """

    def __init__(self, value: object, where: str, notes: dict[str, None]) -> None:
        """Take a JSON value from `where`, a path of the server."""
        self._where, self._notes = where, notes
        self._fields: dict[str, Any] = value if isinstance(value, dict) else {}
        if value is not None and not isinstance(value, dict):
            self._note("", value, "an object")

    def __bool__(self) -> bool:
        """Return whether the object has any field."""
        return bool(self._fields)

    def __contains__(self, name: str) -> bool:
        """Return whether a field exists, of any type."""
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the fields."""
        return iter(self._fields)

    def text(self, name: str) -> str | None:
        """Return a text, or None if it is empty."""
        value = self._fields.get(name)
        if value is None or isinstance(value, str):
            return _writable(value) if value else None
        self._note(name, value, "a text")
        return None

    def text_or_empty(self, name: str) -> str | None:
        """Return a text, which may be empty."""
        return "" if self._fields.get(name) == "" else self.text(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(_writable(item) for item in self._list(name) if isinstance(item, str))

    def amount(self, name: str) -> float | None:
        """Return a finite number of at least 0."""
        value = self._fields.get(name)
        amount = number(value)
        if amount is None or 0 <= amount < math.inf:
            return amount
        self._note(name, value, "a number of at least 0")
        return None

    def counts(self, name: str) -> tuple[int, ...]:
        """Return a list of whole numbers; others are left out."""
        return tuple(item for item in self._list(name) if type(item) is int and item >= 0)

    def logarithm(self, name: str) -> float | None:
        """Return the logarithm of a probability above 0: no file can hold that of 0."""
        return _logarithm(self._fields.get(name))

    def logarithms(self, name: str) -> list[float | None]:
        """Return a list of logarithms of probabilities; None for any other entry."""
        return [*map(_logarithm, self._list(name))]

    def count(self, name: str) -> int | None:
        """Return a whole number of at least 0."""
        amount = self.amount(name)
        if amount is None or amount.is_integer():
            return None if amount is None else int(amount)
        self._note(name, amount, "a whole number")
        return None

    def share(self, name: str, whole: str) -> float | None:
        """Return one field divided by another; None if the result is not between 0 and 1."""
        part, total = self.amount(name), self.amount(whole)
        if part is None or not total:
            return None
        if part <= total:
            return part / total
        self._note(name, part, f"at most '{whole}', {total:g}")
        return None

    def true(self, name: str) -> bool:
        """Return whether a field is true."""
        return self._fields.get(name) is True

    def part(self, name: str) -> ServerFields:
        """Return a nested object; empty if there is none."""
        return ServerFields(self._fields.get(name), f"{self._where}: {name}", self._notes)

    def each(self, name: str) -> list[ServerFields]:
        """Return the objects of a list."""
        where = f"{self._where}: {name}"
        return [ServerFields(item, where, self._notes) for item in self._list(name)]

    def _list(self, name: str) -> list[Any]:
        value = self._fields.get(name)
        if value is not None and not isinstance(value, list):
            self._note(name, value, "a list")
        return value if isinstance(value, list) else []

    def _note(self, name: str, value: object, wanted: str) -> None:
        shown = json.dumps(value)[:_SHOWN]
        what = f"'{name}'" if name else "the value"
        self._notes[_writable(f"{self._where}: {what} is {shown}, not {wanted}")] = None


def _writable(words: str) -> str:
    """Return a text that UTF-8 can encode: lone surrogates are replaced."""
    return words.encode(errors="replace").decode()


def _integer(digits: str) -> float:
    return int(digits) if len(digits) < _LONGEST_NUMBER else math.inf
