"""The steps of a series of runs: where its level changed, by how much, and how sure that is.

A step is found by Student's t of the runs before and after it, over many parts of the series
(seeded binary segmentation: Kovács and others, Biometrika 110, 2023). Bonferroni's correction
covers every place in every part, so a series of equal runs has a step with at most the chance of
`runs.ALARM_RATE`.
"""

from __future__ import annotations

import math
from operator import itemgetter
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_llamaburn.stats import runs, samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST = 3  # runs on each side of a step
NEEDED = 2 * LEAST  # runs of a series
_FEW = 5  # runs of a level that say what the next one may be
_SHORTER = math.sqrt(0.5)  # of each length of parts, from the one before


class Step(NamedTuple):
    """A change of level before run `at`: the difference of the means, with its 95 % interval."""

    at: int
    change: float
    low: float
    high: float


def steps(values: Sequence[float], margin: float) -> list[Step]:
    """Return the steps of a series, oldest first; steps of at most `margin` are left out.

    A series of less than `NEEDED` runs has none.
    """
    series = np.asarray(values, float)
    parts = [*_parts(len(series))]
    alarm = runs.ALARM_RATE / max(1, sum(end - start - 2 * LEAST + 1 for start, end in parts))
    candidates = [(*part, *_clearest(series, *part, margin, alarm)) for part in parts]
    places = _settled(series, _found(candidates), margin, alarm)
    ends = [0, *places, len(series)]
    return [
        step(values[start:at], values[at:end], at)
        for start, at, end in zip(ends[:-2], places, ends[2:], strict=True)
    ]


def step(before: Sequence[float], after: Sequence[float], at: int) -> Step:
    """Return the change from some runs to later ones; each side has at least two runs."""
    return Step(at, *runs.ratio((before, after), (), (), 0.95))


def is_apart(level: Sequence[float], last: float) -> bool:
    """Return whether a run lies outside of what the runs before it predict for it (99 %).

    Too few runs predict nothing.
    """
    n = len(level)
    if n < _FEW:
        return False
    spread = math.sqrt(runs.variance(level) * (1 + 1 / n))
    return abs(last - fmean(level)) > samples.t_quantile(n - 1, 0.99) * spread


def _parts(n: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of the parts of a series: the whole, then shorter ones that overlap."""
    length = float(n)
    while round(length) >= NEEDED:
        size = round(length)
        count = 1 if size == n else 2 * math.ceil(n / size) - 1
        for i in range(count):
            start = round(i * (n - size) / max(1, count - 1))
            yield start, start + size
        length *= _SHORTER


def _found(candidates: Sequence[tuple[int, int, float, int]]) -> list[int]:
    """Return the places of steps: the clearest one, then those before and after it.

    A candidate is a part, its evidence for a step, and the place of that step.
    """
    _, _, evidence, place = max(candidates, key=itemgetter(2, 3), default=(0, 0, 0.0, 0))
    if evidence <= 1:
        return []
    left = [one for one in candidates if one[1] <= place]
    right = [one for one in candidates if one[0] >= place]
    return [*_found(left), place, *_found(right)]


def _settled(series: Array, places: list[int], margin: float, alarm: float) -> list[int]:
    """Move each step to the clearest place between its neighbours; drop those that are none."""
    for _ in range(len(places) + 1):
        ends = [0, *places, len(series)]
        moved = [
            _clearest(series, start, end, margin, alarm)
            for start, end in zip(ends[:-2], ends[2:], strict=True)
        ]
        kept = [place for evidence, place in moved if evidence > 1]
        if kept == places:
            break
        places = sorted({*kept})
    return places


def _clearest(
    series: Array, start: int, end: int, margin: float, alarm: float
) -> tuple[float, int]:
    """Return the evidence for a step between two runs, and the place where it is strongest.

    The evidence is t, divided by the value that it exceeds by chance with the rate `alarm`.
    """
    n, part = end - start, series[start:end]
    if n < NEEDED:
        return 0.0, start
    before = np.arange(LEAST, n - LEAST + 1)
    sums, squares = np.cumsum(part - part.mean()), np.cumsum((part - part.mean()) ** 2)
    means = sums[before - 1] / before, (sums[-1] - sums[before - 1]) / (n - before)
    inside = squares[-1] - before * means[0] ** 2 - (n - before) * means[1] ** 2
    deviation = np.sqrt(np.maximum(inside, 0.0) / (n - 2) * (1 / before + 1 / (n - before)))
    change = np.abs(means[1] - means[0])
    t = np.where(change > margin, change, 0.0) / np.maximum(deviation, _tiny(part))
    best = int(np.argmax(t))
    return float(t[best]) / samples.t_quantile(n - 2, 1 - alarm), start + int(before[best])


def _tiny(part: Array) -> float:
    """Return the deviation below which a series counts as constant: that of rounding."""
    return float(np.abs(part).max()) * 1e-12 + 1e-300
