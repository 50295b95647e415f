"""Common Voice: `validated.tsv`, or the table of a split, and the recordings in `clips/`."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import files
from pytest_llamaburn.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

RANK: Final = 4
HELP: Final = "Common Voice: validated.tsv (or test.tsv, dev.tsv, train.tsv) and clips/"
_TABLES: Final = ("validated.tsv", "test.tsv", "dev.tsv", "train.tsv")
_CLIPS: Final = "clips"
_GROUPS: Final = ("accents", "accent", "gender")  # columns that name a category


def finds(folder: Path) -> bool:
    """Return whether there are a table and the directory of recordings."""
    return (folder / _CLIPS).is_dir() and _table(folder) is not None


def read(folder: Path, suffixes: Collection[str]) -> list[dict[str, Any]]:  # noqa: ARG001
    """Return an entry for each row of the first table that is there."""
    path = _table(folder)
    assert path is not None  # noqa: S101 - `finds` said so
    try:
        lines = files.text(files.plain_bytes(path)).splitlines()
    except (OSError, ValueError) as err:
        raise DatasetError(f"{path} cannot be read: {files.reason(err)}") from None
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [_entry(row, f"{path}: line {number}") for number, row in enumerate(rows, 2)]


def _table(folder: Path) -> Path | None:
    return next((folder / name for name in _TABLES if (folder / name).is_file()), None)


def _entry(row: dict[str, Any], where: str) -> dict[str, Any]:
    name, said = row.get("path"), (row.get("sentence") or "").strip()
    if not name or not said:
        raise DatasetError(f"{where}: should have a path and a sentence")
    group = next((row[column] for column in _GROUPS if row.get(column)), None)
    named = name if "." in name else f"{name}.mp3"  # as older versions write it
    return {
        "id": name,
        "media": [f"{_CLIPS}/{named}"],
        "reference": said,
        **({"category": group} if group else {}),
        **({"options": {"language": row["locale"]}} if row.get("locale") else {}),
    }
