"""What a scorer is asked, and what it finds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pytest_llamaburn.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Question(Protocol):
    """What scorers need of a question; a module's NEEDS names what it cannot do without.

    A module may have `faults`, which yields field and reason of what it could not score by.
    """

    @property
    def reference(self) -> str | None:
        """The right answer."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What the scorer offers to set."""


class Verdict(NamedTuple):
    """Whether an answer is right; `reason` is empty if so. `extracted` is what was read as it.

    The state is `scored` where an answer was read. Where none was, and that is the model's doing,
    the answer is wrong: `unparsable` (the text holds no answer, or more than one), `empty` (the
    model said nothing), `truncated` (the limit of tokens came first), `failed` (the model's own
    failure). Where it is not the model's doing, `correct` is None: `unavailable` (this machine
    cannot score it), `skipped_sut_error` (the server was gone, or a search failed).
    """

    correct: bool | None
    state: str
    reason: str
    extracted: str | None
    details: dict[str, Any]


def scored(correct: bool, extracted: str, reason: str, **details: Any) -> Verdict:
    """Return the verdict on an answer that could be read; `reason` is why it is wrong."""
    return Verdict(correct, "scored", "" if correct else reason, extracted, details)


def unparsable(reason: str) -> Verdict:
    """Return the verdict on a text in which no single answer is found: it is wrong."""
    return Verdict(False, "unparsable", reason, None, {})


def empty() -> Verdict:
    """Return the verdict on silence, thinking left out."""
    return Verdict(False, "empty", "the answer is empty", None, {})


def needed(question: Question, name: str) -> Any:
    """Return a question's reference or option. Raises DatasetError where it has none."""
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
    """Return an option that is a number, None where it is not set. Raises DatasetError for text."""
    value = question.options.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise DatasetError(f"the option '{name}' is {value!r}: give a number")
    return value


def bad_figures(question: Question, *names: str) -> Iterator[tuple[str, str]]:
    """Yield those options, with a reason, that are set and no numbers from 0 on."""
    for name in names:
        value = question.options.get(name, 0)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value < math.inf:
            yield name, f"{value!r} is no number from 0 on"
