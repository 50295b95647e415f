"""A judge's opinion of single answers, for tests that have answers of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn import judges
from pytest_llamaburn.errors import UnscoredError
from pytest_llamaburn.load.marking import Marking

if TYPE_CHECKING:
    from typing import Any


class Opinion(NamedTuple):
    """A score from 1 to 5, the reasons, and what they quote; `judgments` has each judge's own."""

    score: float
    reasoning: str
    evidence: tuple[str, ...]
    judgments: tuple[judges.Judgment, ...]


class Opinions:
    """The judges of a test session."""

    def __init__(self, settings: Any) -> None:
        """Take the judges that settings name; raises UsageError where one cannot be had."""
        self._marking = Marking(judges.Panel.of(settings), lambda _: None, {})

    def judge(
        self,
        question: str,
        answer: str,
        *,
        reference: str | None = None,
        rubric: str | None = None,
        criterion: str = "accuracy",
    ) -> Opinion:
        """Return the judges' opinion of an answer on one criterion.

        Raises UnscoredError where none comes to a verdict, UsageError where a judge cannot be had.
        """
        case = judges.Case(question, answer, reference, rubric)
        (found,) = self._marking.score("", case, (criterion,)).result()
        if found.score is None:
            error = found.judgments[0].error or {}
            raise UnscoredError(f"the answer was not judged: {found.state}: {error.get('words')}")
        first = next(one for one in found.judgments if one.scored)
        return Opinion(found.score, first.reasoning, first.evidence, found.judgments)

    def close(self) -> None:
        """Close the judges."""
        self._marking.close()
