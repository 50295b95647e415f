"""A judge's opinion of single answers, for tests that have answers of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn import criteria, judges
from pytest_llamaburn.errors import SettingsError, UnscoredError
from pytest_llamaburn.judges._queue import Marking

if TYPE_CHECKING:
    from typing import Any

    from pytest_llamaburn.criteria import Criterion


class Opinion(NamedTuple):
    """A score, the reasons, and what they quote; `judgments` has each judge's own.

    The score is from 1 to 5, or a share of claims; `verdict` is a grade, whose score is 1 for
    correct and else 0.
    """

    score: float
    reasoning: str
    evidence: tuple[str, ...]
    judgments: tuple[judges.Judgment, ...]
    verdict: str | None = None


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
        evidence: str | None = None,
    ) -> Opinion:
        """Return the judges' opinion of an answer on one criterion, also one of NAME=DESCRIPTION.

        Raises UnscoredError where none comes to a verdict, UsageError where a judge cannot be had
        or the criterion is ill defined.
        """
        case = judges.Case(question, answer, reference, rubric, evidence=evidence)
        (found,) = self._marking.score("", case, (_asked(criterion),)).result()
        if found.state != "scored":
            error = found.judgments[0].error or {}
            raise UnscoredError(f"the answer was not judged: {found.state}: {error.get('words')}")
        first = next(one for one in found.judgments if one.scored)
        score = float(found.verdict == "correct") if found.score is None else found.score
        return Opinion(score, first.reasoning, first.evidence, found.judgments, found.verdict)

    def close(self) -> None:
        """Close the judges."""
        self._marking.close()


def _asked(criterion: str) -> Criterion:
    if "=" not in criterion:
        return criteria.named(criterion)
    try:
        return criteria.parse(criterion)
    except ValueError as err:
        raise SettingsError(f"judge: criterion: {err}") from None
