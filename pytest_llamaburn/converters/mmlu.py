"""MMLU: multiple-choice questions, with one column per choice or all choices in a list."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.converters._row import fault, optional, text, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pytest_llamaburn.converters._row import Question

HELP = "question, choices or A B C D, answer as letter or index"
COLUMNS = ("question", "A", "B", "C", "D", "answer")
_LETTERS = "ABCDEFGHIJ"
# The published names, such as law_test.csv, and those of Hugging Face, such as
# law/test-00000-of-00001.parquet.
_FILE = re.compile(
    r"(?:(?P<subject>.+)_)?(?P<split>test|val|dev|train)(?:(?<=val)idation)?(?P<shard>-\d+-of-\d+)?"
)
_TRAINING = "auxiliary_train"  # the folder of training data
_WHOLE = "all"  # the folder that has all subjects once more
LEFT_OUT = (
    "training data, the val file of each subject that has a test file, and a second copy of all "
    "subjects"
)


class Parts(NamedTuple):
    """The files of an import by their use."""

    questions: list[Path]
    examples: list[Path]
    left_out: list[Path]


def parts(paths: Sequence[Path]) -> Parts:
    """Return the use of each file by its name: dev files hold examples.

    LEFT_OUT describes the files that are not used. If there are only dev or training files, they
    hold the questions.
    """
    tested = {subject_of(path) for path in paths if _split(path) == "test"}
    of_subjects = any(_is_shard(path) and path.parent.name != _WHOLE for path in paths)
    files = Parts([], [], [])
    for path in paths:
        spare = _split(path) == "val" and subject_of(path) in tested
        copied = of_subjects and _is_shard(path) and path.parent.name == _WHOLE
        if spare or copied or _split(path) == "train" or path.parent.name == _TRAINING:
            files.left_out.append(path)
        else:
            (files.examples if _split(path) == "dev" else files.questions).append(path)
    return files if files.questions else Parts([*paths], [], [])


def subject_of(path: Path) -> str | None:
    """Return the subject in the name of a file or of its folder; None if it is in the rows."""
    match = _FILE.fullmatch(path.stem)
    if match is None:
        return None
    folder = path.parent.name if match["shard"] and path.parent.name != _WHOLE else None
    return match["subject"] or folder


def _split(path: Path) -> str | None:
    match = _FILE.fullmatch(path.stem)
    return match["split"] if match else None


def _is_shard(path: Path) -> bool:
    match = _FILE.fullmatch(path.stem)
    return match is not None and match["shard"] is not None


class _Item(NamedTuple):
    row: Any
    question: str
    choices: list[str]
    answer: str


def convert(rows: Iterable[object], answers: str | None = None) -> Iterator[Question]:
    """Yield choice questions, with lettered choices in the prompt.

    `answers` is the notation of the answers, one of ANSWERS, or None to detect it. Raises
    DatasetError if no notation fits, or if several fit and differ.
    """
    items = [_item(row) for row in rows]
    counts: Counter[str] = Counter()
    for count, (item, right) in enumerate(zip(items, _right(items, answers), strict=True), 1):
        lettered = [f"{_LETTERS[i]}) {choice}" for i, choice in enumerate(item.choices)]
        ask = "Reply with the letter of the right answer only."
        subject = optional(item.row, "subject")
        counts[subject or ""] += 1
        yield {
            "id": f"mmlu-{subject}-{counts[subject]}" if subject else f"mmlu-{count}",
            "prompt": "\n".join([item.question, "", *lettered, "", ask]),
            "reference": _LETTERS[right],
            "category": subject or "knowledge",
            "scorer": "choice",
            "choices": item.choices,
        }


def _item(row: Any) -> _Item:
    listed = texts(row, "choices") if "choices" in row else [text(row, name) for name in "ABCD"]
    if not 2 <= len(listed) <= len(_LETTERS):
        raise fault(
            row, "choices", f"has {len(listed)} choices, but 2 to {len(_LETTERS)} are allowed"
        )
    return _Item(row, text(row, "question"), listed, text(row, "answer").strip())


def _letter(item: _Item) -> int | None:
    index = _LETTERS.find(item.answer.upper()) if len(item.answer) == 1 else -1
    return index if 0 <= index < len(item.choices) else None


def _index(item: _Item) -> int | None:
    return next((i for i in range(len(item.choices)) if item.answer == str(i)), None)


def _number(item: _Item) -> int | None:
    return next((i for i in range(len(item.choices)) if item.answer == str(i + 1)), None)


def _choice(item: _Item) -> int | None:
    return next((i for i, text in enumerate(item.choices) if item.answer == text.strip()), None)


# The notations of an answer; an index counts from 0, a number from 1.
ANSWERS: dict[str, Callable[[_Item], int | None]] = {
    "letter": _letter,
    "index": _index,
    "number": _number,
    "text": _choice,
}


def _right(items: Sequence[_Item], answers: str | None) -> list[int]:
    """Return the index of each right answer in its choices."""
    read = {name: [_read(item, name, answers) for item in items] for name in ANSWERS}
    fitting = {name: indexes for name, indexes in read.items() if None not in indexes}
    if not fitting:
        raise _unread(items, read)
    first, *others = fitting.values()
    for other in others:
        for item, index, another in zip(items, first, other, strict=True):
            if index != another:
                notations = " or ".join(fitting)
                words = f"'{item.answer}' can be read as {notations}: choose one with --answers"
                raise fault(item.row, "answer", words)
    return [index for index in first if index is not None]


def _read(item: _Item, name: str, answers: str | None) -> int | None:
    """Return the index of an answer; an integer in JSON is an index, as in the original MMLU."""
    published = type(item.row["answer"]) is int
    return ANSWERS[answers or ("index" if published else name)](item)


def _unread(items: Sequence[_Item], read: dict[str, list[int | None]]) -> Exception:
    """Return the error for the first answer that the most frequent notation cannot read."""
    best = max(read, key=lambda name: sum(index is not None for index in read[name]))
    first_bad = read[best].index(None)
    item = items[first_bad]
    words = f"'{item.answer}' is none of its {len(item.choices)} choices"
    if any(indexes[first_bad] is not None for indexes in read.values()):
        words = f"'{item.answer}' is not written as most answers are ({best})"
    return fault(item.row, "answer", f"{words}; set the notation of all answers with --answers")
