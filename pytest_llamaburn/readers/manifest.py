"""A `manifest` or `metadata` file (JSON, JSONL, CSV) beside the media, also as in image folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import datasets
from pytest_llamaburn.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

RANK: Final = 0
HELP: Final = "manifest.json, .jsonl or .csv, or metadata.jsonl or .csv"
_NAMES = tuple(
    f"{name}{suffix}" for name in ("manifest", "metadata") for suffix in (".json", ".jsonl", ".csv")
)
# The names that other tools give to our fields.
_MEDIA = ("media", "images", "image", "audio", "video", "file_name", "file", "path")
_SAME: Final = {
    "question": "prompt",
    "answer": "reference",
    "text": "reference",
    "caption": "reference",
    "transcription": "reference",
    "sentence": "reference",
}


def finds(folder: Path) -> bool:
    """Return whether the directory has a manifest."""
    return _manifest(folder) is not None


def read(folder: Path, suffixes: Collection[str]) -> list[dict[str, Any]]:  # noqa: ARG001
    """Return an entry for each row; each names at least one medium."""
    path = _manifest(folder)
    assert path is not None  # noqa: S101 - `finds` said so
    content, places = datasets.content_of(path, "questions")
    rows = content.get("questions")
    if not isinstance(rows, list):
        raise DatasetError(f"{path}: questions: is missing: write a list of rows")
    named = places or [f"questions[{index}]" for index in range(len(rows))]
    return [entry(row, f"{path}: {place}") for row, place in zip(rows, named, strict=True)]


def _manifest(folder: Path) -> Path | None:
    return next((folder / name for name in _NAMES if (folder / name).is_file()), None)


def entry(row: object, where: str) -> dict[str, Any]:
    """Return the entry of a row; raises DatasetError for a row that names no medium."""
    if not isinstance(row, dict):
        raise DatasetError(f"{where}: should have fields, but is {row!r}")
    media = next((row[name] for name in _MEDIA if row.get(name)), None)
    named = media if isinstance(media, list) else [media]
    paths = [one.get("path") if isinstance(one, dict) else one for one in named]
    if not all(isinstance(one, str) for one in paths):
        raise DatasetError(
            f"{where}: names no media: give it a field 'media' with the path of a file, or a list"
        )
    rest = {name: value for name, value in row.items() if name not in _MEDIA}
    same = {_SAME.get(name, name): value for name, value in rest.items() if name not in _SAME}
    aliases = {_SAME[name]: value for name, value in rest.items() if name in _SAME}
    return {**aliases, **same, "media": paths}
