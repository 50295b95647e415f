"""Many things to look through, such as the questions of an eval: filtered without scripts.

A filter is a group of radio buttons; the style `:has(…:checked)` hides what does not match.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.reports import _defaults, _thumbnails
from pytest_llamaburn.reports._svg import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_llamaburn.charts import Entry
    from pytest_llamaburn.documents import Document

_PICTURES_SHARE = 0.6  # of the room of entries
_LEAST = 700  # bytes of an entry; with less room there are fewer entries
_MARKUP = 30  # bytes of a text's heading and its tags
_SHORTEST = 60  # characters of a text that is cut
_MOST_VALUES = 12  # of a filter


def listed(document: Document, path: Path, number: int, room: float) -> str:
    """Return the entries of the file with this number in so many bytes; texts are cut to fit."""
    entries = [*_defaults.entries(document)]
    if not entries:
        return ""
    name, filters = f"q{number}", filters_of(entries)
    head = f"<h2>Questions</h2>\n{_style(name, filters)}{_buttons(name, filters)}"
    left = room - len(head.encode()) - _LEAST
    pictures = _thumbnails.drawn(entries, path, _PICTURES_SHARE * left)
    items = _fitting(entries, pictures.of, filters, left)
    words = f"the first {len(items)} of {len(entries)}: the result file has all"
    more = f"<p>{words}</p>" if len(items) < len(entries) else ""
    more += f"<p>{text(pictures.note)}</p>" if pictures.note else ""
    return f'<section id="{name}">\n{head}{more}{"".join(items)}\n</section>\n'


def _fitting(
    entries: Sequence[Entry],
    pictures: Sequence[str],
    filters: Mapping[str, Sequence[str]],
    room: float,
) -> list[str]:
    """Return the entries for which there is room, each with its pictures and its share of it."""
    items: list[str] = []
    each = max(_LEAST, (room - sum(map(len, pictures))) / len(entries))
    for entry, shown in zip(entries, pictures, strict=True):
        item = _entry(entry, shown, filters, each)
        room -= len(item.encode())
        if room < 0:
            break
        items.append(item)
    return items


def filters_of(entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Return the values of each filter that has several."""
    found: dict[str, dict[str, None]] = {}
    for entry in entries:
        for name, value in entry.filters.items():
            found.setdefault(name, {})[value] = None
    return {name: [*values] for name, values in found.items() if 1 < len(values) <= _MOST_VALUES}


def _style(name: str, filters: Mapping[str, Sequence[str]]) -> str:
    """Return the rules that hide the entries which do not match what is chosen."""
    rules = "".join(
        f"#{name}:has(#{name}-{i}-{j}:checked) details:not(.v{i}-{j}){{display:none}}"
        for i, values in enumerate(filters.values())
        for j in range(len(values))
    )
    return f"<style>{rules}</style>" if rules else ""


def _buttons(name: str, filters: Mapping[str, Sequence[str]]) -> str:
    groups = "".join(
        f"<fieldset><legend>{text(title)}</legend>{_button(name, i, 'all', 'all', ' checked')}"
        + "".join(_button(name, i, str(j), value) for j, value in enumerate(values))
        + "</fieldset>"
        for i, (title, values) in enumerate(filters.items())
    )
    return f'<div class="filters">{groups}</div>' if groups else ""


def _button(name: str, group: int, key: str, label: str, checked: str = "") -> str:
    return (
        f'<label><input type="radio" name="{name}-{group}" id="{name}-{group}-{key}"{checked}> '
        f"{text(label)}</label>"
    )


def _entry(entry: Entry, shown: str, filters: Mapping[str, Sequence[str]], room: float) -> str:
    """Return an entry in about so many bytes, besides its pictures."""
    kinds = " ".join(
        f"v{i}-{values.index(entry.filters[name])}"
        for i, (name, values) in enumerate(filters.items())
        if name in entry.filters
    )
    cells = "".join(f'<span class="cell">{text(cell)}</span>' for cell in entry.cells)
    chip = f'<span class="chip {text(entry.verdict)}">{text(entry.verdict)}</span>'
    title = f'<span class="what">{text(entry.title)}</span>'
    head = f'<details class="{kinds}"><summary>{title}{cells}{chip}</summary>'
    left = room - len(head.encode()) - _MARKUP * (1 + len(entry.texts))
    body = "".join(
        f"<h4>{text(heading)}</h4><pre>{_lines(words)}</pre>"
        for heading, words in _cut(entry.texts, left)
    )
    return f"{head}{shown}{body}</details>\n"


def _lines(words: str) -> str:
    return "\n".join(map(text, words.splitlines()))


def _cut(texts: Sequence[tuple[str, str]], room: float) -> list[tuple[str, str]]:
    """Return texts that fit together; the longest are cut, and say how much is missing."""
    sizes = [_bytes(words) for _, words in texts]
    most = _fair(sizes, room)
    return [
        (heading, words if size <= most else _shortened(words, most))
        for (heading, words), size in zip(texts, sizes, strict=True)
    ]


def _bytes(words: str) -> int:
    return len(_lines(words).encode("utf-8", "replace"))


def _fair(sizes: Sequence[int], room: float) -> float:
    """Return the most bytes of a text such that all fit, or a least size."""
    left, rest = room, sorted(sizes)
    while rest and rest[0] <= left / len(rest):
        left -= rest.pop(0)
    return max(_SHORTEST, left / len(rest)) if rest else max(sizes, default=0)


def _shortened(words: str, most: float) -> str:
    kept = words[: max(_SHORTEST, int(most * len(words) / _bytes(words)) - _SHORTEST)]
    return f"{kept} … ({len(words) - len(kept)} more characters in the result file)"
