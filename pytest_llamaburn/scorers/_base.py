"""What a scorer is asked, and what it finds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pytest_llamaburn.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_llamaburn.documents import Document


class Question(Protocol):
    """What a scorer gets of a question.

    A scorer's module names in NEEDS what a question must have. Its function `faults` yields the
    field and the reason of whatever it cannot score by.
    """

    @property
    def reference(self) -> str | None:
        """The right answer."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What the scorer offers to set."""


class Score(NamedTuple):
    """Whether an answer is right, else the reason; `extracted` is what was read as the answer.

    The state is `scored` if an answer was read. If none was read because of the model, the answer
    is wrong: `unparsable` (the text holds no answer, or several), `not_attempted` (it only says
    that it does not know, or declines), `empty` (the model said nothing), `truncated` (the limit of
    tokens came first), `failed` (the model failed). If the reason is not the model, `correct` is
    None: `unavailable` (this machine cannot score it), `skipped_sut_error` (the server was gone, or
    a search failed).
    """

    correct: bool | None
    state: str
    reason: str
    extracted: str | None
    details: Document


def scored(correct: bool, extracted: str, reason: str, **details: object) -> Score:
    """Return the score of an answer that was read; `reason` says why it is wrong."""
    return Score(correct, "scored", "" if correct else reason, extracted, details)


def unparsable(reason: str) -> Score:
    """Return the score of a text that holds no answer, or several: it is wrong."""
    return Score(False, "unparsable", reason, None, {})


def empty() -> Score:
    """Return the score of a text that is empty without its thinking: it is wrong."""
    return Score(False, "empty", "the answer is empty", None, {})


def needed(question: Question, name: str) -> Any:
    """Return a question's reference or option; raises DatasetError if it has none."""
    value = question.reference if name == "reference" else question.options.get(name)
    if value is None:
        raise DatasetError(f"a question lacks '{name}', which its scorer needs: add it to the set")
    return value


def accepted(question: Question) -> list[str]:
    """Return the reference and the alternatives of the option `accept`, a string or a list."""
    more = question.options.get("accept", [])
    every = [needed(question, "reference"), *([more] if isinstance(more, str) else more)]
    return [str(one) for one in every]


def figure(question: Question, name: str) -> float | None:
    """Return an option that is a number, None if it is not set; raises DatasetError for text."""
    value = question.options.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise DatasetError(f"the option '{name}' is {value!r}: give a number")
    return value


def bad_figures(question: Question, *names: str) -> Iterator[tuple[str, str]]:
    """Yield name and reason of each option that is set and is not a number from 0 on."""
    for name in names:
        value = question.options.get(name, 0)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value < math.inf:
            yield name, f"{value!r} is not a number from 0 on"
