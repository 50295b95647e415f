"""VQAv2: a file of questions, a file of annotations with ten answers each, and the images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import datasets, files
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.readers.coco import by_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

RANK: Final = 1
HELP: Final = "VQAv2: *questions.json and *annotations.json"


def finds(folder: Path) -> bool:
    """Return whether there are both files."""
    return all(_file(folder, name) for name in ("questions", "annotations"))


def read(folder: Path, suffixes: Collection[str]) -> list[dict[str, Any]]:  # noqa: ARG001
    """Return an entry for each question that has answers."""
    asked, told = _file(folder, "questions")[0], _file(folder, "annotations")[0]
    known = by_name(folder)
    images = {name[-16:]: path for name, path in known.items()}  # COCO_val2014_000000000042.jpg
    try:
        notes = {one["question_id"]: one for one in _rows(told, "annotations")}
        rows = [one for one in _rows(asked, "questions") if one["question_id"] in notes]
        return [_entry(row, notes[row["question_id"]], images) for row in rows]
    except (KeyError, TypeError, ValueError) as err:
        raise DatasetError(f"{asked}: is no file of VQAv2: {err} is missing or wrong") from None


def _rows(path: Path, key: str) -> list[Any]:
    content, _ = datasets.content_of(path, key)
    rows = content[key]
    if not isinstance(rows, list):
        raise TypeError(key)
    return rows


def _file(folder: Path, name: str) -> list[Path]:
    return files.found(folder, f"*{name}.json") or files.found(folder, f"*/*{name}.json")


def _entry(row: Mapping[str, Any], note: Mapping[str, Any], images: Mapping[str, str]) -> Any:
    name = f"{int(row['image_id']):012d}.jpg"
    return {
        "id": f"vqa-{row['question_id']}",
        "media": [images.get(name, name)],
        "prompt": f"{row['question']} Answer with one word or a short phrase.",
        "reference": str(note["multiple_choice_answer"]),
        "category": str(note.get("answer_type", "custom")),
        "scorer": "vqa",
        "options": {"answers": [str(one["answer"]) for one in note["answers"]]},
    }
