"""MMLU: multiple-choice questions, with one column a choice or all choices in a list."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.converters._row import fault, optional, text, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

HELP = "question, choices or A B C D, answer as letter or index"
COLUMNS = ("question", "A", "B", "C", "D", "answer")
_LETTERS = "ABCDEFGHIJ"
_FILE = re.compile(r"(?P<subject>.+)_(?P<split>test|val|dev)")  # as its makers name them
_TRAINING = "auxiliary_train"  # the folder of what is neither of a subject nor of a test


LEFT_OUT = "training data, and the val file of each subject that has a test file"


class Parts(NamedTuple):
    """What the files of an import are for."""

    questions: list[Path]
    examples: list[Path]
    left_out: list[Path]


def parts(paths: Sequence[Path]) -> Parts:
    """Return what files are for, by their names: dev files hold examples.

    What is left out is told by LEFT_OUT. Where there are only dev or training files, those are the
    questions.
    """
    tested = {subject_of(path) for path in paths if _split(path) == "test"}
    found = Parts([], [], [])
    for path in paths:
        spare = _split(path) == "val" and subject_of(path) in tested
        if spare or path.parent.name == _TRAINING:
            found.left_out.append(path)
        else:
            (found.examples if _split(path) == "dev" else found.questions).append(path)
    return found if found.questions else Parts([*paths], [], [])


def subject_of(path: Path) -> str | None:
    """Return the subject that a file is named after, None if it is named otherwise."""
    named = _FILE.fullmatch(path.stem)
    return named["subject"] if named else None


def _split(path: Path) -> str | None:
    named = _FILE.fullmatch(path.stem)
    return named["split"] if named else None


class _Asked(NamedTuple):
    row: Any
    question: str
    choices: list[str]
    answer: str


def convert(rows: Iterable[Any], answers: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield choice questions, their choices lettered in the prompt.

    `answers`, one of ANSWERS, says how the answers are written; None finds it out. Raises
    DatasetError if they can be read in several ways, or in none.
    """
    asked = [_asked(row) for row in rows]
    counts: Counter[str] = Counter()
    for count, (one, right) in enumerate(zip(asked, _right(asked, answers), strict=True), 1):
        lettered = [f"{_LETTERS[i]}) {choice}" for i, choice in enumerate(one.choices)]
        ask = "Reply with the letter of the right answer only."
        subject = optional(one.row, "subject")
        counts[subject or ""] += 1
        yield {
            "id": f"mmlu-{subject}-{counts[subject]}" if subject else f"mmlu-{count}",
            "prompt": "\n".join([one.question, "", *lettered, "", ask]),
            "reference": _LETTERS[right],
            "category": subject or "knowledge",
            "scorer": "choice",
            "choices": one.choices,
        }


def _asked(row: Any) -> _Asked:
    listed = texts(row, "choices") if "choices" in row else [text(row, name) for name in "ABCD"]
    if not 2 <= len(listed) <= len(_LETTERS):
        raise fault(row, "choices", f"are {len(listed)}: 2 to {len(_LETTERS)} are possible")
    return _Asked(row, text(row, "question"), listed, text(row, "answer").strip())


def _letter(one: _Asked) -> int | None:
    place = _LETTERS.find(one.answer.upper()) if len(one.answer) == 1 else -1
    return place if 0 <= place < len(one.choices) else None


def _index(one: _Asked) -> int | None:
    return next((i for i in range(len(one.choices)) if one.answer == str(i)), None)


def _number(one: _Asked) -> int | None:
    return next((i for i in range(len(one.choices)) if one.answer == str(i + 1)), None)


def _choice(one: _Asked) -> int | None:
    return next((i for i, text in enumerate(one.choices) if one.answer == text.strip()), None)


# How an answer can be written; an index counts from 0, a number from 1.
ANSWERS: dict[str, Callable[[_Asked], int | None]] = {
    "letter": _letter,
    "index": _index,
    "number": _number,
    "text": _choice,
}


def _right(asked: Sequence[_Asked], answers: str | None) -> list[int]:
    """Return the place of each right answer among its choices."""
    read = {name: [_read(one, name, answers) for one in asked] for name in ANSWERS}
    fitting = {name: places for name, places in read.items() if None not in places}
    if not fitting:
        raise _unread(asked, read)
    first, *others = fitting.values()
    for other in others:
        for one, place, another in zip(asked, first, other, strict=True):
            if place != another:
                ways = " or ".join(fitting)
                words = f"'{one.answer}' can be read as {ways}: say which with --answers"
                raise fault(one.row, "answer", words)
    return [place for place in first if place is not None]


def _read(one: _Asked, name: str, answers: str | None) -> int | None:
    """Return the place that an answer names; a whole number in JSON is an index, as published."""
    published = type(one.row["answer"]) is int
    return ANSWERS[answers or ("index" if published else name)](one)


def _unread(asked: Sequence[_Asked], read: dict[str, list[int | None]]) -> Exception:
    """Return the error of the first answer that the best way of reading does not understand."""
    best = max(read, key=lambda name: sum(place is not None for place in read[name]))
    place = read[best].index(None)
    one = asked[place]
    words = f"'{one.answer}' names none of its {len(one.choices)} choices"
    if any(places[place] is not None for places in read.values()):
        words = f"'{one.answer}' is written in another way than most answers, {best}"
    return fault(one.row, "answer", f"{words}; --answers says how all are written")
