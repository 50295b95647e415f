"""What a server says, read as the type that is wanted.

Servers imitate one another badly: a count comes as text, a list stands where a name should be.
`fit` reads the pieces of an answer that way, `Said` what a server tells about itself.
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

NO_CALLS = msgspec.Raw()  # where a message has no tool calls
_ROUNDED = 1e-3  # what rounding may put on top of the logarithm of 1
_LONGEST_NUMBER = 40  # digits; Python refuses to read very long ones
_TEXTS = ("text", "content", "thinking", "reasoning", "summary")  # where parts keep their text
_THOUGHTS = ("thinking", "reasoning")
_SHOWN = 60  # characters of a value in a note


def parse(data: bytes) -> dict[str, Any]:
    """Return a JSON object, read with more patience than the fast decoder has.

    It may hold NaN, Infinity, numbers of any length and half a surrogate pair. Raises ValueError,
    or RecursionError where it is nested too deeply.
    """
    found = json.loads(data.decode("utf-8-sig"), parse_int=_integer)
    if not isinstance(found, dict):
        raise ValueError(f"Expected `object`, got `{type(found).__name__}`")  # noqa: TRY004
    return found


def number(value: Any) -> float | None:
    """Return a number, which may be written as text; None for null, NaN for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def text(value: Any) -> str:
    """Return the text in a piece of an answer; a value of no known shape is its JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(text, value))
    if isinstance(value, dict):
        inner = [value[name] for name in _TEXTS if name in value]
        return text(inner[0]) if inner else json.dumps(value) if value else ""
    return "" if value is None or value is False else json.dumps(value)


def calls(said: msgspec.Raw) -> str:
    """Return the JSON of tool calls, empty where there are none."""
    written = bytes(said)
    return "" if written in (b"", b"null", b"[]", b"{}") else written.decode("utf-8", "replace")


def part(message: Any) -> None:
    """Move the thinking that a message has among the parts of its content to where it belongs."""
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return
    thinking: list[Any] = []
    answer: list[Any] = []
    for piece in message["content"]:
        thought = isinstance(piece, dict) and piece.get("type") in _THOUGHTS
        (thinking if thought else answer).append(piece)
    message["content"] = answer
    message.setdefault("thinking", thinking)


def fit(kind: type[Piece], value: Any) -> Piece:
    """Return a struct with what can be read of a JSON value; the rest has its default."""
    said = value if isinstance(value, dict) else {}
    fields = _fields(kind)
    read = {name: _as(fields[name], said[name]) for name in fields if said.get(name) is not None}
    return kind(**{name: found for name, found in read.items() if found is not None})


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, tuple[Any, ...]]:
    """Return the types that each field of a struct may have; finding them out takes long."""
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


def likeliest(tokens: Sequence[Said]) -> list[tuple[str, float]]:
    """Return the likeliest tokens at the first place of an answer, with their log probabilities."""
    found = []
    for one in tokens[0].each("top_logprobs") if tokens else ():
        token, logprob = one.text("token"), one.logarithm("logprob")
        if token is not None and logprob is not None:
            found.append((token, logprob))
    return found


class Said:
    """One JSON value in which a server describes itself; what is not of the type wanted is None.

    Each such value leaves a note in `notes`, the keys of which are sentences.
    """

    def __init__(self, value: Any, where: str, notes: dict[str, None]) -> None:
        """Read a value that came from `where`, a path of the server's."""
        self._where, self._notes = where, notes
        self._fields: dict[str, Any] = value if isinstance(value, dict) else {}
        if value is not None and not isinstance(value, dict):
            self._note("", value, "an object")

    def __bool__(self) -> bool:
        """Return whether anything is said."""
        return bool(self._fields)

    def __contains__(self, name: str) -> bool:
        """Return whether a field is there, of any type."""
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the fields."""
        return iter(self._fields)

    def text(self, name: str) -> str | None:
        """Return a text, None for an empty one."""
        value = self._fields.get(name)
        if value is None or isinstance(value, str):
            return _writable(value) if value else None
        self._note(name, value, "a text")
        return None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(_writable(one) for one in self._list(name) if isinstance(one, str))

    def amount(self, name: str) -> float | None:
        """Return a finite number of at least 0."""
        value = self._fields.get(name)
        found = number(value)
        if found is None or 0 <= found < math.inf:
            return found
        self._note(name, value, "a number of at least 0")
        return None

    def logarithm(self, name: str) -> float | None:
        """Return the logarithm of a probability."""
        found = number(self._fields.get(name))
        return found if found is not None and found <= _ROUNDED else None

    def count(self, name: str) -> int | None:
        """Return a whole number of at least 0."""
        found = self.amount(name)
        if found is None or found.is_integer():
            return None if found is None else int(found)
        self._note(name, found, "a whole number")
        return None

    def share(self, name: str, whole: str) -> float | None:
        """Return the amount of one field as a share of another's, None where it cannot be one."""
        part, total = self.amount(name), self.amount(whole)
        if part is None or not total:
            return None
        if part <= total:
            return part / total
        self._note(name, part, f"at most '{whole}', {total:g}")
        return None

    def part(self, name: str) -> Said:
        """Return an object in this one, empty where there is none."""
        return Said(self._fields.get(name), f"{self._where}: {name}", self._notes)

    def each(self, name: str) -> list[Said]:
        """Return the objects of a list."""
        return [Said(one, f"{self._where}: {name}", self._notes) for one in self._list(name)]

    def _list(self, name: str) -> list[Any]:
        value = self._fields.get(name)
        if value is not None and not isinstance(value, list):
            self._note(name, value, "a list")
        return value if isinstance(value, list) else []

    def _note(self, name: str, value: Any, wanted: str) -> None:
        shown = json.dumps(value)[:_SHOWN]
        what = f"'{name}'" if name else "what came"
        self._notes[_writable(f"{self._where}: {what} is {shown}, not {wanted}")] = None


def _writable(words: str) -> str:
    """Return a text that fits in a file: half a surrogate pair does not."""
    return words.encode(errors="replace").decode()


def _integer(digits: str) -> float:
    return int(digits) if len(digits) < _LONGEST_NUMBER else math.inf
