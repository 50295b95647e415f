"""The lists of result files, and the ids of the files in them.

An id is a file's name without its suffix. In a list that has folders, the folder and a dot come
first: `image.llava_7b_2026-01-13T10-30-00` is `multimodal/image/llava_7b_2026-01-13T10-30-00.json`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path

ID = r"^[\w][\w.+-]{0,199}$"
_FOLDER = r"\w[\w+-]*"  # without a dot, which ends it


class Reference(BaseModel):
    """A result: the list that it is in, and its id."""

    type: str
    id: str


def has_folders(name: str) -> bool:
    """Return whether the files of a list are in folders of their own."""
    return "/" in results.lists()[name].pattern


def folders(results_dir: Path, name: str) -> dict[str, Path]:
    """Return the folders of a list, each by what the ids of its files begin with."""
    folder = results_dir / name
    if not has_folders(name):
        return {"": folder}
    try:
        found = sorted(one.name for one in folder.iterdir())
    except OSError:
        return {}
    return {f"{one}.": folder / one for one in found if re.fullmatch(_FOLDER, one)}


def place(results_dir: Path, reference: Reference) -> Path | None:
    """Return where a result's file is, or None for an id that means no file."""
    name, folder, stem = reference.type, "", reference.id
    if has_folders(name):
        folder, _, stem = stem.partition(".")
        if not re.fullmatch(_FOLDER, folder):
            return None
    if not re.fullmatch(ID, stem):
        return None
    return results_dir / name / folder / f"{stem}.json"


def reference(results_dir: Path, path: Path) -> Reference | None:
    """Return which result a file is, or None for a file of no list."""
    try:
        name, *between, file = path.resolve().relative_to(results_dir.resolve()).parts
    except ValueError:
        return None
    found = Reference(type=name, id=".".join([*between, file.removesuffix(".json")]))
    if not file.endswith(".json") or name not in results.lists():
        return None
    return (
        found if place(results_dir, found) == results_dir.joinpath(name, *between, file) else None
    )
