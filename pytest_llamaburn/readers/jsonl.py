"""A data set as JSON lines, as Hugging Face's library exports one: `test.jsonl` with local files.

A medium is a path, or an object with a `path`. Columns that are no field of a question are left
out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import datasets, files
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.readers import manifest

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

RANK: Final = 5
HELP: Final = "JSON lines: test.jsonl, validation.jsonl, train.jsonl, or the only .jsonl file"
_SPLITS: Final = ("test", "validation", "valid", "dev", "train")
_FIELDS: Final = ("prompt", "reference", "category", "rubric", "accept", "choices", "options", "id")


def finds(folder: Path) -> bool:
    """Return whether there is such a file."""
    return bool(files.found(folder, "*.jsonl"))


def read(folder: Path, suffixes: Collection[str]) -> list[dict[str, Any]]:  # noqa: ARG001
    """Return an entry for each row of the first split, or of the only file."""
    path = _chosen(folder)
    content, places = datasets.content_of(path, "questions")
    return [
        _entry(row, f"{path}: {place}")
        for row, place in zip(content["questions"], places, strict=True)
    ]


def _chosen(folder: Path) -> Path:
    found = {one.stem: one for one in files.found(folder, "*.jsonl")}
    for split in _SPLITS:
        if split in found:
            return found[split]
    if len(found) > 1:
        names = ", ".join(sorted(one.name for one in found.values()))
        raise DatasetError(
            f"--input: {folder} has several .jsonl files: {names}: rename the one to read to "
            "test.jsonl"
        )
    return next(iter(found.values()))


def _entry(row: object, where: str) -> dict[str, Any]:
    entry = manifest.entry(row, where)
    answers = entry.get("answers")
    if isinstance(answers, dict):
        answers = answers.get("text")
    if isinstance(answers, list) and answers and "reference" not in entry:
        entry["reference"], *entry["accept"] = map(str, answers)
    kept = {n: entry[n] for n in _FIELDS if entry.get(n) not in (None, [], "")}
    return {**kept, "media": entry["media"]}
