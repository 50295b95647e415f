"""What the page shows of a result of any kind: what reports show, as data.

So a kind of run that the page has no view of its own for is shown by what its `charts` and `table`
say, as in the HTML report.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.tables import Sheet

_ELSEWHERE = ("gates", "insights")  # notes that the page takes from the result itself
_Fields = dict[str, Any]  # those of a NamedTuple of `charts`, by name


class Shown(BaseModel):
    """A table of a result: its heading, its columns, its rows, and notes by their headings."""

    title: str
    columns: list[str]
    words: int
    rows: list[list[str]]
    notes: dict[str, list[str]]
    warnings: list[str]


class View(BaseModel):
    """A result as a page shows it: cards, charts and entries are those of `charts.py`."""

    cards: list[_Fields]
    charts: list[_Fields]
    entries: list[_Fields]
    tables: list[Shown]


def of(document: Document) -> View:
    """Return what is to be shown of the content of a result file."""
    from pytest_llamaburn.reports import _defaults  # with charts: not for an idle server
    from pytest_llamaburn.tables import sheets_of

    return View(
        cards=_all(_defaults.cards(document)),
        charts=_all(_defaults.charts(document)),
        entries=_all(_defaults.entries(document)),
        tables=[*map(_shown, sheets_of(document, Path()))],
    )


def _shown(sheet: Sheet) -> Shown:
    from pytest_llamaburn.tables import FILE

    apart = (*_ELSEWHERE, FILE)
    notes = {name: lines for name, lines in sheet.sections().items() if name not in apart}
    return Shown(
        title=sheet.title,
        columns=[*sheet.columns],
        words=sheet.words,
        rows=[[*row] for row in sheet.rows],
        notes=notes,
        warnings=[*sheet.warnings],
    )


def _all(found: Iterable[Any]) -> list[_Fields]:
    return [*map(_plain, found)]


def _plain(value: Any) -> Any:
    """Return a NamedTuple as the fields that it has, also those in it."""
    if hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    return [*map(_plain, value)] if isinstance(value, list | tuple) else value
