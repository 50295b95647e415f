"""The same table in Markdown, for reports and pull requests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_llamaburn.tables import Sheet, sheets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIX = ".md"
BETWEEN = "\n"


def render(paths: Sequence[Path]) -> str:
    """Return the tables of all files."""
    return "\n".join(_text(sheet) for sheet in sheets(paths))


def _text(sheet: Sheet) -> str:
    ruler = ["---" if i < sheet.words else "--:" for i in range(len(sheet.columns))]
    table = [_line(sheet.columns), _line(ruler), *(_line(row) for row in sheet.rows)]
    table = table if sheet.rows else [_plain(sheet.empty)]
    facts = [f"- {_plain(fact)}" for fact in sheet.head()[1:]]
    chart = ["```text", *sheet.chart, "```", ""] if sheet.chart else []
    head = [f"### {_plain(sheet.title)}", "", *facts, "", *table, ""]
    notes = [line for part in sheet.sections().items() for line in _section(*part)]
    return "\n".join([*head, *chart, *notes[:-1]]) + "\n"


def _section(heading: str, lines: Sequence[str]) -> list[str]:
    """Return notes as a list below their heading."""
    notes = [f"- {_plain(line)}" for line in lines]
    return [*([f"**{_plain(heading)}**", ""] if heading else []), *notes, ""]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    """Return text that Markdown and HTML take literally: a server's words are not ours."""
    marked = re.sub(r"([\\`*\[])", r"\\\1", text)
    return " ".join(marked.replace("&", "&amp;").replace("<", "&lt;").split())
