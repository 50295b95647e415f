"""Readers of directories of media, for `--input`: one module per layout.

A module has `RANK` (lower ones are tried first), `HELP`, `finds(folder)`, which returns whether the
directory has this layout, and `read(folder, suffixes)`, which returns the entries of a set: the
fields of a question, with `media`, a list of paths in the directory. It raises DatasetError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import registry
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

_SHOWN = 10  # files that an error lists


def entries(folder: Path, suffixes: Collection[str]) -> list[dict[str, Any]]:
    """Return the entries of a directory of media, by the first layout that it has.

    Raises DatasetError for a directory without media.
    """
    if not folder.is_dir():
        why = "is no directory" if folder.exists() else "does not exist"
        raise DatasetError(f"--input: {folder} {why}: name a directory of media")
    modules = [registry.load("readers", name) for name in registry.names("readers")]
    for module in sorted(modules, key=lambda one: one.RANK):
        if module.finds(folder):
            found: list[dict[str, Any]] = module.read(folder, suffixes)
            _refuse_missing(folder, found)
            return found
    raise DatasetError(
        f"--input: {folder} has no {', '.join(sorted(suffixes))} file and no manifest: add some"
    )


def listed(names: Sequence[str]) -> str:
    """Return names for an error: the first ones, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _refuse_missing(folder: Path, found: Sequence[dict[str, Any]]) -> None:
    named = dict.fromkeys(str(path) for entry in found for path in entry.get("media", ()))
    missing = [name for name in named if not (folder / name).is_file()]
    if missing:
        raise DatasetError(
            f"--input: {counted(len(missing), 'file')} that the references of {folder} name "
            f"{'does' if len(missing) == 1 else 'do'} not exist: {listed(missing)}: add the files, "
            "or remove their references"
        )
