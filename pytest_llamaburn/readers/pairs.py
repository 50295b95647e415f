"""Media, each with a text file of the same name that has its reference; folders are categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import files
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.readers import listed
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

RANK: Final = 9
HELP: Final = "media with text files of the same names"


def finds(folder: Path) -> bool:
    """Return whether the directory has any files: it is the last layout that is tried."""
    return any(one.is_file() for one in folder.rglob("*"))


def read(folder: Path, suffixes: Collection[str]) -> list[dict[str, Any]]:
    """Return an entry for each medium; without any text file, none has a reference.

    Raises DatasetError for media without text files if others have one, and the reverse.
    """
    every = [one for one in files.found(folder, "**/*") if one.is_file()]
    media = [one for one in every if one.suffix.lower() in suffixes]
    texts = {one.with_suffix("") for one in every if one.suffix.lower() == ".txt"}
    if not media:
        raise DatasetError(
            f"--input: {folder} has no {', '.join(sorted(suffixes))} file: add media, or name "
            "another directory"
        )
    stems = {one.with_suffix("") for one in media}
    _refuse(folder, "reference", "matches no medium", sorted(texts - stems))
    if texts:
        _refuse(folder, "medium", "has no text file beside it", sorted(stems - texts), "media")
    return [_entry(folder, one, has_text=bool(texts)) for one in media]


def _refuse(folder: Path, noun: str, why: str, stems: list[Path], plural: str = "") -> None:
    if stems:
        names = [str(one.relative_to(folder)) for one in stems]
        raise DatasetError(
            f"--input: {counted(len(stems), noun, plural)} of {folder}, of which each {why}: "
            f"{listed(names)}: rename or remove these"
        )


def _entry(folder: Path, medium: Path, *, has_text: bool) -> dict[str, Any]:
    name = medium.relative_to(folder)
    parent = "" if str(name.parent) == "." else str(name.parent)
    entry = {"id": str(name), "media": [str(name)], **({"category": parent} if parent else {})}
    return {**entry, **({"reference": _text(medium.with_suffix(".txt"))} if has_text else {})}


def _text(path: Path) -> str:
    try:
        found = files.text(files.plain_bytes(path)).strip()
    except (OSError, ValueError) as err:
        raise DatasetError(f"{path} cannot be read: {files.reason(err)}") from None
    if not found:
        raise DatasetError(f"{path} is empty: write the reference in it")
    return found
