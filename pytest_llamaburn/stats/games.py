"""Pairwise comparisons of answers: win rates, position bias and length control."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.stats.figures import Figure, mean, share
from pytest_llamaburn.stats.samples import Z95

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from pytest_llamaburn.documents import Document

    Array = np.ndarray[Any, np.dtype[np.float64]]
    Ratings = Sequence[float] | Array

_FEWEST = 3
_NEWTON_STEPS = 50


class Game(NamedTuple):
    """One compared pair of answers; the verdict is A, B, tie, or None if unscored.

    `first_picks` counts the single verdicts for the answer shown first, `picks` those for either
    answer. `length_delta` is A's length minus B's. All games of one question count as one vote.
    """

    verdict: str | None
    inconsistent: bool
    first_picks: int
    picks: int
    length_delta: float
    question: str


def sign_test(wins: int, losses: int) -> Figure:
    """Return the exact two-sided p of the sign test: both sides equally likely to win."""
    n = wins + losses
    if n == 0:
        return Figure(None, 0, reason="no decisive pairs")
    tail = sum(math.comb(n, k) for k in range(min(wins, losses) + 1))
    return Figure(min(1.0, 2 * tail / 2**n), n)


def games(played: Sequence[Game]) -> Document:
    """Return the figures of A against B: counts, rates with intervals, position and length bias.

    Each question has one vote, for any number of judges and repeats: the winner of most of its
    games. `win_rate` counts a tie as half a win. A judge with a position bias moves it towards 0.5;
    `decisive_rate`, the share of wins among questions with a winner, does not have that problem.
    """
    questions = dict.fromkeys(game.question for game in played)
    votes = _votes(played)
    wins, losses = (sum(sign * (v.points - 0.5) > 0 for v in votes) for sign in (1, -1))
    firsts = [vote.firsts for vote in votes if vote.firsts is not None]
    return {
        "n_total": len(questions),
        "n_scored": len(votes),
        "wins": wins,
        "losses": losses,
        "ties": len(votes) - wins - losses,
        "win_rate": mean([vote.points for vote in votes], scale=(0, 1)).as_dict(),
        "decisive_rate": share([1] * wins + [0] * losses, "no decisive pairs").as_dict(),
        "sign_test_p": sign_test(wins, losses).as_dict(),
        "consistency": share([vote.consistent for vote in votes], "no pairs").as_dict(),
        "first_position_rate": share(firsts, "no verdict for either").as_dict(),
        "length_delta": mean([vote.length_delta for vote in votes]).as_dict(),
        "length_controlled_rate": length_controlled(played).as_dict(),
    }


def length_controlled(played: Sequence[Game]) -> Figure:
    """Return A's win rate for answers of equal length.

    It is 1 / (1 + e^−a) of a logistic fit of the points on a + b·tanh(length difference / its
    standard deviation); None if the fit does not converge.
    """
    import numpy as np

    votes = _votes(played)
    n = len(votes)
    deltas = np.array([vote.length_delta for vote in votes], dtype=float)
    if n < _FEWEST or float(deltas.std()) == 0:
        return Figure(None, n, reason="fewer than 3 pairs, or all differ by the same length")
    points = np.array([vote.points for vote in votes])
    fit = _logistic(np.column_stack([np.ones(n), np.tanh(deltas / deltas.std())]), points)
    if fit is None:
        return Figure(None, n, reason="the fit does not converge")
    level, spread = fit
    low, high = (_sigmoid(level + z * spread) for z in (-Z95, Z95))
    return Figure(_sigmoid(level), n, (low, high))


class _Vote(NamedTuple):
    """The vote of one question: A's points, and the shares of the counts in its games."""

    points: float
    consistent: float
    firsts: float | None
    length_delta: float


def _votes(played: Sequence[Game]) -> list[_Vote]:
    """Return one vote per question with a scored game."""
    groups: dict[str, list[Game]] = {}
    for game in played:
        if game.verdict is not None:
            groups.setdefault(game.question, []).append(game)
    return [_vote(group) for group in groups.values()]


def _vote(games: Sequence[Game]) -> _Vote:
    counts = Counter(game.verdict for game in games)
    won, lost, picks = counts["A"], counts["B"], sum(game.picks for game in games)
    return _Vote(
        1.0 if won > lost else 0.0 if lost > won else 0.5,
        sum(not game.inconsistent for game in games) / len(games),
        sum(game.first_picks for game in games) / picks if picks else None,
        sum(game.length_delta for game in games) / len(games),
    )


def _logistic(design: Array, points: Array) -> tuple[float, float] | None:
    """Return the intercept of a logistic fit and its standard error, or None without convergence.

    It uses Newton's method; points of 0.5 count as half a win. Separated points have no finite fit.
    """
    import numpy as np

    weights = np.zeros(design.shape[1])
    for _ in range(_NEWTON_STEPS):
        chances = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        curvature = (design.T * (chances * (1 - chances))) @ design
        if np.linalg.cond(curvature) > 1e10:
            return None
        step = np.linalg.solve(curvature, design.T @ (points - chances))
        weights = weights + step
        if float(np.abs(step).max()) < 1e-10:
            return float(weights[0]), float(np.sqrt(np.linalg.inv(curvature)[0, 0]))
    return None


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(min(-value, 700.0)))
