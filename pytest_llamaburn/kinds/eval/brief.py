"""The fields of an eval's results that lists read."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_llamaburn.kinds import _brief
from pytest_llamaburn.metrics import NO_VERDICT

_LISTED = ("graded_correct", "f_score")  # the shares of grades that lists show


@dataclass
class Mean:
    """A mean, or a rate."""

    mean: float | None = None
    value: float | None = None


@dataclass
class Right:
    """How many answers were right, and the states of all answers."""

    right: int = 0
    by_state: dict[str, int] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        """The share of right answers; answers that earlier versions left out count as wrong."""
        states = self.by_state.items()
        answers = sum(count for state, count in states if state not in NO_VERDICT)
        return self.right / answers if answers else None


@dataclass
class Pairs:
    """How often the model won."""

    win_rate: Mean


@dataclass
class Totals(_brief.Totals):
    """The totals of all kinds; `planned` also counts answers that are still to be scored."""

    planned_answers: int | None = None


@dataclass
class Results(_brief.Results):
    """The fields of all kinds, and the scores."""

    criteria: dict[str, Mean] = field(default_factory=dict)
    grades: dict[str, Mean] = field(default_factory=dict)
    correct: Right = field(default_factory=Right)
    pairwise: Pairs | None = None
    totals: Totals | None = None

    @property
    def requests(self) -> tuple[int, int] | None:
        """How many answers succeeded, and how many were planned or asked for."""
        if self.totals is None:
            return None
        return self.totals.succeeded, max(self.totals.requests, self.totals.planned_answers or 0)

    @property
    def scores(self) -> dict[str, float]:
        """The known means of criteria and grades, share of right answers and win rate."""
        rate = self.pairwise.win_rate.value if self.pairwise else None
        means = {name: one.mean for name, one in self.criteria.items()}
        means |= {name: self.grades[name].mean for name in _LISTED if name in self.grades}
        every = {**means, "correct": self.correct.mean, "win rate": rate}
        return {name: mean for name, mean in every.items() if mean is not None}
