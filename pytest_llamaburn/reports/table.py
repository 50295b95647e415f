"""A table for people, on a terminal or in a text file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import grids
from pytest_llamaburn.tables import Sheet, sheets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIX = ".txt"
BETWEEN = "\n"


def render(paths: Sequence[Path]) -> str:
    """Return the tables of all files, with all columns."""
    return fitted(paths, None)


def fitted(paths: Sequence[Path], width: int | None) -> str:
    """Return the tables of all files for a terminal of so many columns."""
    return "\n".join(_text(sheet, width) for sheet in sheets(paths))


def _text(sheet: Sheet, width: int | None) -> str:
    head = [part for line in sheet.head() for part in _wrapped(line, width)]
    parts = [head, _table(sheet, width), fitted_chart(sheet.chart, width)]
    parts += [
        grids.section(heading, lines, width) if heading else lines
        for heading, lines in sheet.sections().items()
    ]
    return "\n".join([line for part in filter(None, parts) for line in (*part, "")][:-1]) + "\n"


def _table(sheet: Sheet, width: int | None) -> list[str]:
    if not sheet.rows:
        return _wrapped(sheet.empty, width)
    table = grids.Table(sheet.columns, sheet.rows, sheet.words, sheet.least, sheet.wrapped)
    return [grids.text(table, width)]


def fitted_chart(lines: Sequence[str], width: int | None) -> Sequence[str]:
    """Return the chart; where it does not fit, a line that says so."""
    needed = max(map(len, lines), default=0)
    if width is None or needed <= width:
        return lines
    return _wrapped(f"the chart needs {needed} columns: --wide shows it", width)


def _wrapped(line: str, width: int | None) -> list[str]:
    return grids.wrapped(line, width, "  ")
