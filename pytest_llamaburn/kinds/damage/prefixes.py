"""The texts, and the places in them at which models are asked for the next token."""

from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn import files
from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OWN = Path(__file__).with_name("passages.json")
_FEWEST_PARTS = 2
_FORM = '{"passages": [{"id": "a", "category": "prose", "parts": ["The cat sat on the", " mat."]}]}'


class Prefix(NamedTuple):
    """The beginning of a text, up to one of its places."""

    id: str
    passage: str
    category: str
    text: str


class Passage(NamedTuple):
    """A text in parts; its places are the ends of all parts but the last."""

    id: str
    category: str
    parts: Sequence[str]

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.parts)

    @property
    def prefixes(self) -> list[Prefix]:
        """Its prefixes, the shortest first."""
        texts = accumulate(self.parts[:-1])
        return [Prefix(f"{self.id}/{n}", *self[:2], text) for n, text in enumerate(texts, 1)]


def load(given: str | None) -> list[Passage]:
    """Return the texts of a file, or our own; raises SettingsError for a file that is wrong."""
    path = files.home(given) if given else _OWN
    try:
        content = json.loads(files.text(files.plain_bytes(path)))
        found = [*_passages(content)]
    except OSError as err:
        raise SettingsError(
            f"--prefixes: {given} cannot be read: {files.reason(err)}: name a JSON file"
        ) from None
    except (ValueError, RecursionError) as err:
        words = "it is no JSON" if isinstance(err, json.JSONDecodeError) else str(err)
        raise SettingsError(f"--prefixes: {given} is refused: {words}: write {_FORM}") from None
    return found


def _passages(content: object) -> Iterator[Passage]:
    """Yield the texts; raises ValueError that says what is wrong."""
    entries = content.get("passages") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ValueError("it has no list 'passages' with a text")
    seen: set[str] = set()
    for number, entry in enumerate(entries, 1):
        passage = _passage(entry, f"text {number}")
        if passage.id in seen:
            raise ValueError(f"the id '{passage.id}' is given twice")
        seen.add(passage.id)
        yield passage


def _passage(entry: object, which: str) -> Passage:
    fields = entry if isinstance(entry, dict) else {}
    parts = fields.get("parts")
    if not isinstance(parts, list) or not all(isinstance(p, str) and p for p in parts):
        raise ValueError(f"{which} has no list 'parts' of texts that are not empty")
    if len(parts) < _FEWEST_PARTS:
        raise ValueError(f"{which} has one part: a place is the end of a part that another follows")
    if not parts[0].strip():
        raise ValueError(f"{which} begins with a part of spaces only")
    names = [fields.get("id", which), fields.get("category", "all")]
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{which} has an 'id' or a 'category' that is not a text")
    return Passage(names[0], names[1], tuple(parts))
