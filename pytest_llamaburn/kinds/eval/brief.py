"""What lists read of an eval's results."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_llamaburn.kinds import _brief
from pytest_llamaburn.metrics import NO_VERDICT

_LISTED = ("graded_correct", "f_score")  # of the shares of grades


@dataclass
class Mark:
    """A mean, or a rate."""

    mean: float | None = None
    value: float | None = None


@dataclass
class Right:
    """How many answers were right, and what became of the others."""

    right: int = 0
    by_state: dict[str, int] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        """The share of right answers; what an earlier version left out is wrong."""
        states = self.by_state.items()
        answers = sum(count for state, count in states if state not in NO_VERDICT)
        return self.right / answers if answers else None


@dataclass
class Pairs:
    """How often the model won."""

    win_rate: Mark


@dataclass
class Totals(_brief.Totals):
    """As of all kinds; `planned` also counts what has yet to be scored."""

    planned_answers: int | None = None


@dataclass
class Results(_brief.Results):
    """What all kinds have, and the scores."""

    criteria: dict[str, Mark] = field(default_factory=dict)
    grades: dict[str, Mark] = field(default_factory=dict)
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
        """Means of criteria and grades, the share of right answers, the win rate; if known."""
        rate = self.pairwise.win_rate.value if self.pairwise else None
        means = {name: one.mean for name, one in self.criteria.items()}
        means |= {name: self.grades[name].mean for name in _LISTED if name in self.grades}
        every = {**means, "correct": self.correct.mean, "win rate": rate}
        return {name: mean for name, mean in every.items() if mean is not None}
