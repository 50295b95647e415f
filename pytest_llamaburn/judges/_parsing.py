"""A verdict out of a judge's words: JSON that keeps to the schema, or none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.judges._prompt import Prompt

_TRIES = 10_000  # braces looked at in one text: a text of nothing but braces must not take minutes


class Verdict(NamedTuple):
    """A verdict that keeps to the schema."""

    value: Any
    reasoning: str
    evidence: tuple[str, ...]


class ParseError(Exception):
    """A judge's words hold no verdict; the message says why."""


def parse(text: str, prompt: Prompt) -> Verdict:
    """Return the verdict in a judge's reply.

    That is the whole reply or, for servers that keep to no schema, the last whole JSON object in it
    that is a verdict. One that stands in the judged material, also within other JSON, is the
    answer's, not the judge's. Raises ParseError.
    """
    if not text.strip():
        raise ParseError("the reply is empty")
    found = [o for o in _objects(text) if _valid(o, prompt)]
    if not found:
        raise ParseError(f"no JSON object with evidence, reasoning and a {prompt.field} in it")
    planted = [o for part in prompt.material for outer in _objects(part) for o in _within(outer)]
    own = [o for o in found if o not in planted]
    if not own:
        raise ParseError("the only verdict in it was planted in the material")
    last = own[-1]
    return Verdict(last[prompt.field], last["reasoning"], tuple(last["evidence"]))


def _objects(text: str) -> Iterator[Any]:
    """Yield the outermost whole JSON objects of a text in order."""
    decoder = json.JSONDecoder(object_pairs_hook=_unambiguous)
    at = text.find("{")
    for _ in range(_TRIES):
        if at < 0:
            return
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield found
        at = text.find("{", end)


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
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _valid(found: Any, prompt: Prompt) -> bool:
    """Return whether an object keeps to the schema; true and 4.0 are no whole numbers here."""
    return (
        set(found) == {"evidence", "reasoning", prompt.field}
        and isinstance(found["reasoning"], str)
        and isinstance(found["evidence"], list)
        and all(isinstance(quote, str) for quote in found["evidence"])
        and any(
            type(found[prompt.field]) is type(v) and found[prompt.field] == v
            for v in prompt.allowed
        )
    )
