"""Eval sets that ask about a user's own media: a directory, asked as a set with media asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import evalsets, files, readers, registry
from pytest_llamaburn.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.evalsets import EvalSet


def load(name: str, folder: str | None) -> EvalSet:
    """Return an eval set; with a directory, its questions are about the media in it.

    Raises DatasetError.
    """
    found = evalsets.load_eval_set(name)
    return found if folder is None else _about(files.home(folder), found)


def _about(folder: Path, found: EvalSet) -> EvalSet:
    if found.modality is None:
        raise DatasetError(
            f"--input: {found.name} has no media: name a set that has: --set "
            f"{', '.join(evalsets.builtin_media_sets())}"
        )
    suffixes = registry.load("modalities", found.modality).SUFFIXES
    entries = readers.entries(folder, suffixes)
    content = {
        "name": found.name,
        "version": found.version,
        "modality": found.modality,
        "system_prompt": found.system_prompt,
        "questions": [_asked_as(found.input, one, n) for n, one in enumerate(entries, 1)],
    }
    return evalsets.eval_set(content, folder, folder=folder)


def _asked_as(usual: dict[str, Any], entry: dict[str, Any], number: int) -> dict[str, Any]:
    """Return an entry of a directory with what it lacks; without a reference, judges score it."""
    own = {"id": f"{number}", **usual, **entry}
    if "scorer" not in entry and "options" in entry:  # options of a row join those of the set
        own["options"] = {**usual.get("options", {}), **entry["options"]}
    if own.get("reference") is None and "scorer" not in entry:
        own.pop("scorer", None)
    return own
