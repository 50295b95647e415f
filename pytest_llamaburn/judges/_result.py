"""What several judgments on the same answer, or on the same two answers, come to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median, median_low
from typing import TYPE_CHECKING, cast

from pytest_llamaburn.judges._judging import STATES, Judgment
from pytest_llamaburn.thinking import split_thinking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_llamaburn.judges._documents import ComparisonFields, ScoreFields
    from pytest_llamaburn.judges._prompt import Pair

_GRADES = ("incorrect", "not_attempted", "correct")  # the worst first: judges vote by median


@dataclass(frozen=True)
class JudgeResult:
    """The score of a jury on one criterion: the median of the scored judgments.

    `score` is None if no judgment is scored. `verdict` is the common grade: the lower median of
    incorrect, not attempted and correct, so that judges who disagree do not make an answer correct.
    `flip_rate` is the share of a judge's repeats that differ from its most frequent score, as the
    mean over the judges; None if no judge gave two.
    """

    criterion: str
    score: float | None
    state: str
    flip_rate: float | None
    judgments: tuple[Judgment, ...]
    verdict: str | None = None

    @property
    def reasoning(self) -> str:
        """The reasons of the first judge that gave a score."""
        return self._first.reasoning

    @property
    def evidence(self) -> tuple[str, ...]:
        """The passages that the first judge that gave a score quotes."""
        return self._first.evidence

    @property
    def _first(self) -> Judgment:
        return next((one for one in self.judgments if one.scored), self.judgments[0])

    def as_dict(self) -> ScoreFields:
        """Return the result as JSON types."""
        return cast("ScoreFields", _as_dict(self))


@dataclass(frozen=True)
class Comparison:
    """One judge's verdict on two answers, shown in both orders.

    `verdict` is A, B or tie; None unless both orders were judged. If the orders disagree, it is a
    tie and `inconsistent` is true. `first_picks` counts the verdicts for the answer shown first.
    """

    verdict: str | None
    state: str
    inconsistent: bool
    first_picks: int
    judgments: tuple[Judgment, ...]

    def as_dict(self) -> ComparisonFields:
        """Return the comparison as JSON types."""
        return cast("ComparisonFields", _as_dict(self))


def _as_dict(result: JudgeResult | Comparison) -> dict[str, object]:
    return vars(result) | {"judgments": [one.as_dict() for one in result.judgments]}


def combined(judgments: Iterable[Judgment]) -> JudgeResult:
    """Return the common result of judgments on one answer and criterion.

    Its state is `scored` if any judgment is scored, else that of the first one.
    """
    every = tuple(judgments)
    scores = [one.score for one in every if one.score is not None]
    grades = [_GRADES.index(one.verdict) for one in every if one.verdict is not None]
    return JudgeResult(
        criterion=every[0].criterion,
        score=float(median(scores)) if scores else None,
        state="scored" if scores or grades else every[0].state,
        flip_rate=_flip_rate(every),
        judgments=every,
        verdict=_GRADES[median_low(grades)] if grades else None,
    )


def comparison(shown_ab: Judgment, shown_ba: Judgment) -> Comparison:
    """Return the verdict of the two orders; `shown_ba` calls A what was B.

    If an order has no verdict, the comparison has its state. If neither has one, it has the state
    that stands first in STATES, whichever order that was.
    """
    both = (shown_ab, shown_ba)
    unscored = [one.state for one in both if not one.scored]
    if unscored:
        state = min(unscored, key=STATES.index)
        return Comparison(None, state, inconsistent=False, first_picks=0, judgments=both)
    firsts = sum(one.verdict == "A" for one in both)
    one, other = shown_ab.verdict, {"A": "B", "B": "A"}.get(str(shown_ba.verdict), "tie")
    verdict = one if one == other else "tie"
    return Comparison(verdict, "scored", one != other, firsts, both)


def by_rule(pair: Pair) -> Comparison | None:
    """Return the verdict if an answer is empty: the other one wins, and two empty ones tie."""
    a, b = (bool(split_thinking(text)[0]) for text in (pair.answer_a, pair.answer_b))
    if a and b:
        return None
    verdict = "A" if a else "B" if b else "tie"
    why = "an answer is empty"
    ruled = Judgment("preference", "scored", "rule", verdict=verdict, reasoning=why)
    return Comparison(verdict, "scored", inconsistent=False, first_picks=0, judgments=(ruled,))


def _flip_rate(judgments: Sequence[Judgment]) -> float | None:
    by_judge: dict[str, list[float | str]] = {}
    for one in judgments:
        value = one.verdict if one.score is None else one.score
        if value is not None and one.judge is not None:
            by_judge.setdefault(one.judge, []).append(value)
    rates = [
        1 - Counter(values).most_common(1)[0][1] / len(values)
        for values in by_judge.values()
        if len(values) > 1
    ]
    return sum(rates) / len(rates) if rates else None
