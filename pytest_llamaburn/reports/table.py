"""A table for people, on a terminal or in a text file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.tables import Sheet, grid, sheets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIX = ".txt"
BETWEEN = "\n"


def render(paths: Sequence[Path]) -> str:
    """Return the tables of all files."""
    return "\n".join(_text(sheet) for sheet in sheets(paths))


def _text(sheet: Sheet) -> str:
    table = grid(sheet.columns, sheet.rows, numeric=sheet.words)
    return "\n".join([sheet.title, *sheet.facts, "", table, "", *sheet.chart, *sheet.notes]) + "\n"
