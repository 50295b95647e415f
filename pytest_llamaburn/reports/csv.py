"""A line per request of a benchmark, level of a load or question of an eval, for spreadsheets.

What was not measured is an empty cell.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.tables import request_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document

SUFFIX = ".csv"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(paths: Sequence[Path]) -> str:
    """Return the rows of all files under one header; empty where no file has any."""
    rows = [_flat(row) for row in request_rows(paths)]
    if not rows:
        return ""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(row: Document) -> Document:
    row.pop("null_reasons", None)
    if "flags" in row:
        row["flags"] = " ".join(row["flags"])
    if row.get("error"):
        row["error"] = row["error"]["kind"]
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: object) -> Any:
    """Return a text that neither a spreadsheet nor a terminal takes for a command."""
    if not isinstance(value, str):
        return value
    seen = "".join(c for c in value if c in "\n\t" or unicodedata.category(c) != "Cc")
    return f"'{seen}" if value.startswith(_FORMULA) else seen
