"""One self-contained page: cards, charts and tables, light or dark as the reader's system is.

It has no scripts, asks nothing of any other host (its own policy forbids that), prints well and is
small: what does not fit is left out, and the page says so.
"""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn import gates
from pytest_llamaburn.reports import _defaults, _entries
from pytest_llamaburn.reports._svg import PATTERNS, drawn, text
from pytest_llamaburn.store import results
from pytest_llamaburn.tables import FILE, sheets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_llamaburn.charts import Card
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.tables import Sheet

SUFFIX = ".html"
_MOST_BYTES = 145_000  # of a page; its tables are always whole
_CHARTS_SHARE = 0.6  # of what the tables leave; entries get the rest
_CARDS_BESIDE = 6
_POINTS = (240, 60, 20)  # the most points of a series: the more charts, the fewer
_HIDDEN = ("gates", FILE)  # notes that are shown in another way
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
{patterns}
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_TAIL = "</body>\n</html>\n"


class _Part(NamedTuple):
    """A file's part of the page; charts and entries stand between `head` and `tail`."""

    document: Document
    path: Path
    head: str
    tail: str


def render(paths: Sequence[Path]) -> str:
    """Return the page of all files."""
    parts = [_part(path) for path in paths]
    documents = [part.document for part in parts]
    names = dict.fromkeys(_name(document) for document in documents)
    title = text(f"LlamaBurn: {', '.join(names)}" if names else "LlamaBurn")
    whole = _HEAD.format(policy=_POLICY, title=title, style=style(), patterns=PATTERNS)
    left = _MOST_BYTES - sum(_size(part.head) + _size(part.tail) for part in parts) - _size(whole)
    charts = _charts([part.document for part in parts], _CHARTS_SHARE * left)
    left -= sum(map(_size, charts))
    articles = (
        f"<article>\n{part.head}{shown}"
        f"{_entries.listed(part.document, part.path, i, left / len(parts))}"
        f"{part.tail}</article>\n"
        for i, (part, shown) in enumerate(zip(parts, charts, strict=True))
    )
    return whole + "".join(articles) + _TAIL


def _size(words: str) -> int:
    return len(words.encode("utf-8", "replace"))


def style() -> str:
    """Return the style sheet."""
    return Path(__file__).with_name("_page.css").read_text(encoding="utf-8")


def _name(document: Document) -> str:
    kind = document["schema"].removeprefix(results.PREFIX).replace("-", " ")
    model = document.get("model")
    return f"{kind} of {model['id']}" if model else kind


def _part(path: Path) -> _Part:
    document = results.load(path)
    first, *others = sheets_of(document, path)
    head = [
        _header(document, first),
        _section("", _cards(_defaults.cards(document))),
        _section("Gates", _gates(document)),
        _section("Insights", _list(insight["text"] for insight in document.get("insights", ()))),
    ]
    tail = [
        _section("All numbers", _table(first)),
        *(_section(_capital(sheet.title), _table(sheet) + _notes([sheet])) for sheet in others),
        _section("Notes", _notes([first])),
        f"<footer>{text(f'file {path}')}</footer>\n",
    ]
    return _Part(document, path, "".join(head), "".join(tail))


def _section(heading: str, content: str) -> str:
    head = f"<h2>{text(heading)}</h2>\n" if heading else ""
    return f"<section>\n{head}{content}\n</section>\n" if content else ""


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _header(document: Document, sheet: Sheet) -> str:
    status = str(document["status"])
    words = f"{document['schema'].removeprefix(results.PREFIX)}, {document['timestamp']}"
    facts = "".join(f"<p>{text(fact)}</p>\n" for fact in sheet.facts)
    warnings = _list(sheet.warnings)
    warned = f'<div class="box undecided"><h3>Warnings</h3>{warnings}</div>' if warnings else ""
    return (
        f"<header>\n<h1>{text(sheet.title)}</h1>\n"
        f'<p><span class="chip {text(status)}">{text(status)}</span> {text(words)}</p>\n'
        f"{facts}{warned}</header>\n"
    )


def _cards(cards: Iterable[Card]) -> str:
    """Return the cards in as few rows as there is room for, each row about as full."""
    shown = [*map(_card, cards)]
    rows = -(-len(shown) // _CARDS_BESIDE)
    columns = -(-len(shown) // rows) if rows else 0
    return f'<div class="cards of{columns}">{"".join(shown)}</div>' if shown else ""


def _card(card: Card) -> str:
    unit = f" <small>{text(card.unit)}</small>" if card.unit else ""
    about = " · ".join(filter(None, (card.spread, card.note)))
    return (
        f'<div class="card"><p>{text(card.label)}</p><p class="value">{text(card.value)}{unit}</p>'
        f"<p>{text(about)}</p></div>"
    )


def _gates(document: Document) -> str:
    """Return the verdicts of the gates, each with its value and interval."""
    found = document["results"].get("gates", ())
    compared = document["schema"].endswith(("comparison", "/trend"))  # gates on a change
    sentence = gates.change_sentence if compared else gates.sentence
    items = "".join(_gate(gate["verdict"], sentence(gate)) for gate in found)
    return f'<ul class="gates box">{items}</ul>' if items else ""


def _gate(verdict: str, sentence: str) -> str:
    gate, _, why = sentence.partition(f": {verdict}: ")
    chip = f'<span class="chip {text(verdict)}">{text(verdict)}</span>'
    return f"<li>{chip}<b>{text(gate)}</b>: {text(why)}</li>"


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _notes(sheets: Sequence[Sheet]) -> str:
    """Return the notes in boxes below their headings."""
    boxes = "".join(
        f'<div class="box"><h3>{text(_capital(heading))}</h3>{_list(lines)}</div>'
        for sheet in sheets
        for heading, lines in sheet.sections().items()
        if heading not in (*_HIDDEN, "insights")
    )
    return f'<div class="notes">{boxes}</div>' if boxes else ""


# Charts


def _charts(documents: Sequence[Document], room: float) -> list[str]:
    """Return the charts of each file; if there is not room for all, those that come first."""
    found = [[*_defaults.charts(document)] for document in documents]
    for points in _POINTS:
        shown = [[drawn(chart, points) for chart in charts] for charts in found]
        if sum(_size(chart) for charts in shown for chart in charts) <= room:
            break
    kept = _fitting(shown, room)
    return [
        _figures(charts[:count], len(charts) - count)
        for charts, count in zip(shown, kept, strict=True)
    ]


def _fitting(shown: Sequence[Sequence[str]], room: float) -> list[int]:
    """Return how many charts of each file there is room for: the first ones of all files first."""
    kept = [0] * len(shown)
    for number, row in enumerate(zip_longest(*shown)):
        for file, chart in enumerate(row):
            if chart is not None and kept[file] == number and _size(chart) <= room:
                room -= _size(chart)
                kept[file] += 1
    return kept


def _figures(charts: Sequence[str], left_out: int) -> str:
    words = f"{left_out} more of the charts would make this page too large: show fewer files"
    more = f"<p>{words}</p>" if left_out else ""
    grid = f'<div class="grid">\n{chr(10).join(charts)}\n</div>' if charts else ""
    return _section("Charts", grid + more)


# Tables


def _table(sheet: Sheet) -> str:
    if not sheet.rows:
        return f'<p class="box">{text(sheet.empty)}</p>'
    head = "".join(_head_cells(sheet))
    body = "\n".join(_row(sheet, row) for row in sheet.rows)
    label = text(sheet.title)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{label}"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _head_cells(sheet: Sheet) -> Iterator[str]:
    for i, column in enumerate(sheet.columns):
        marked = ' class="w"' if i < sheet.words else ""
        yield f"<th{marked}>{text(column)}</th>"


def _row(sheet: Sheet, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(_cell(sheet, i, cell) for i, cell in enumerate(cells))}</tr>"


def _cell(sheet: Sheet, column: int, words: str) -> str:
    kinds = ["w"] if column < sheet.words else []
    kinds += [words] if words in _VERDICTS else []
    marked = f' class="{" ".join(kinds)}"' if kinds else ""
    return f"<td{marked}>{text(words)}</td>"


_VERDICTS = ("faster", "slower", "better", "worse")
