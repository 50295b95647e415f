"""Intervals that hold however often one looks: for a run that stops once its answer is known.

A usual 95 % interval is wrong for a run that looks after every round and stops when it likes what
it sees. These intervals are right at all looks together. They invert the t-test with a normal
mixture over the effect: its Bayes factor is a martingale if the mean is 0, whatever the deviation,
so that it exceeds 1 / alarm at any look with at most the probability `alarm` (Lai, Annals of
Statistics 4, 1976; Wang and Ramdas, "Anytime-valid t-tests and confidence sequences", 2024).
"""

from __future__ import annotations

import math
from itertools import count
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.stats.runs import variance

if TYPE_CHECKING:
    from collections.abc import Sequence

EFFECT = 5.0  # the deviation of the mixture: the size of effects for which it is quickest


class Interval(NamedTuple):
    """The mean of some independent normal values, and its ends."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float], alarm: float) -> Interval | None:
    """Return the interval of the mean that covers it at all looks with probability 1 − `alarm`.

    Returns None for values that are too few for an interval.
    """
    n = len(values)
    factor = _t_squared_per_df(n, alarm) if n > 1 else math.inf
    if math.isinf(factor):
        return None
    mean = fmean(values)
    half = math.sqrt(variance(values) / n * (n - 1) * factor)
    return Interval(mean, mean - half, mean + half)


def least(alarm: float) -> int:
    """Return the least number of values that have an interval."""
    return next(n for n in count(2) if math.isfinite(_t_squared_per_df(n, alarm)))


def _t_squared_per_df(n: int, alarm: float) -> float:
    """Return t² / (n − 1) at which the Bayes factor of n values is 1 / alarm.

    With R = 1 + n · EFFECT², that factor is R^(−1/2) · ((1 + x) / (1 + x / R))^(n / 2) for
    x = t² / (n − 1).
    """
    ratio = 1 + n * EFFECT**2
    growth = (math.sqrt(ratio) / alarm) ** (2 / n)
    return (growth - 1) / (1 - growth / ratio) if growth < ratio else math.inf
