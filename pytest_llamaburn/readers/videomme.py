"""Video-MME: questions with four choices about videos, as Parquet or JSON, and the videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import datasets, files
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.readers.coco import by_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from pytest_llamaburn.documents import Document

RANK: Final = 3
HELP: Final = "Video-MME: a Parquet or JSON file with question, options, answer and videoID"
_NEEDED = ("question", "options", "answer")
_LETTERS = "ABCDEFGHIJ"
_TEMPORAL = ("temporal", "counting")  # in the names of the types of questions about time
_INSTRUCTION = "Answer with the letter of the right choice only."


def finds(folder: Path) -> bool:
    """Return whether there is a file of such questions."""
    return any(_is_one(path) for path in _candidates(folder))


def read(folder: Path, suffixes: Collection[str]) -> list[Document]:
    """Return an entry for each question; the length of a video is part of its options."""
    path = next(one for one in _candidates(folder) if _is_one(one))
    videos = {name.rpartition(".")[0]: one for name, one in _videos(folder, suffixes)}
    return [_entry(row, f"{path}: {place}", videos) for place, row in _rows(path)]


def _candidates(folder: Path) -> Iterator[Path]:
    """Yield Parquet and JSON files, in the directory or in one below it; Parquet comes first."""
    for pattern in ("*.parquet", "*/*.parquet", "*.json", "*/*.json"):
        yield from files.found(folder, pattern)


def _is_one(path: Path) -> bool:
    """Return whether a file has such questions; raises DatasetError for Parquet that is damaged."""
    try:
        first = next(iter(_rows(path)), None)
    except DatasetError:
        if path.suffix == ".parquet":
            raise
        return False  # JSON beside media may be anything
    return first is not None and isinstance(first[1], dict) and set(_NEEDED) <= set(first[1])


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the questions; in JSON a video may have a list of them."""
    if path.suffix == ".json":
        content, _ = datasets.content_of(path, "questions")
        rows = content.get("questions")
        pairs = [(f"[{n}]", row) for n, row in enumerate(rows)] if isinstance(rows, list) else []
    else:
        pairs = [*datasets.rows(path)]
    for place, row in pairs:
        nested = row.get("questions") if isinstance(row, dict) else None
        if isinstance(nested, list):
            shared = {name: value for name, value in row.items() if name != "questions"}
            yield from ((place, {**shared, **one}) for one in nested if isinstance(one, dict))
        else:
            yield place, row


def _videos(folder: Path, suffixes: Collection[str]) -> Iterator[tuple[str, str]]:
    for name, path in by_name(folder).items():
        if f".{name.rpartition('.')[2].lower()}" in suffixes:
            yield name, path


def _entry(row: Mapping[str, Any], where: str, videos: Mapping[str, str]) -> Document:
    try:
        choices = [_without_letter(str(one), n) for n, one in enumerate(row["options"])]
        answer = str(row["answer"]).strip().upper()[:1]
        right, question = choices[_LETTERS.index(answer)], str(row["question"])
        name = str(row.get("videoID") or row["video_id"])
    except (KeyError, TypeError, ValueError, IndexError) as err:
        raise DatasetError(
            f"{where}: is no question of Video-MME: {err} is missing or wrong"
        ) from None
    lettered = "\n".join(f"{_LETTERS[n]}) {text}" for n, text in enumerate(choices))
    category = str(row.get("task_type") or "custom")
    options = {"level": row["duration"]} if row.get("duration") else {}
    options |= {"temporal": True} if any(w in category.lower() for w in _TEMPORAL) else {}
    return {
        "id": str(row.get("question_id") or f"{name}-{where.rpartition(' ')[2]}"),
        "media": [videos.get(name, f"{name}.mp4")],
        "prompt": f"{question}\n\n{lettered}\n\n{_INSTRUCTION}",
        "reference": right,
        "choices": choices,
        "scorer": "choice",
        "category": category,
        "options": options,
    }


def _without_letter(text: str, number: int) -> str:
    """Return a choice without its letter, which the file has as in `A. text`."""
    text = text.strip()
    marks = tuple(f"{_LETTERS[number]}{mark}" for mark in (". ", ".", ") ", ")", ": ", ":"))
    mark = next((one for one in marks if text.startswith(one)), "")
    return text.removeprefix(mark).strip()
