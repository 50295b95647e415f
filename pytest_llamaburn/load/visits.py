"""Visits to one level that differ beyond chance: what comes from outside only slows and breaks.

A machine with other work serves a visit slower, or fails requests in it. Another visit of the same
level shows that, and the worse of the two is then set aside for points; the level still counts it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pytest_llamaburn.load import clusters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.load.records import Record

_Z = 3.0  # of two visits that differ
_VARY = 0.6  # a service's coefficient of variation
_SLOWER = 0.15  # in the logarithm of the throughput: less than that is no disturbance
_CLUSTER = 20  # failures this many requests apart are taken as independent
_FEWEST = 12  # requests of a visit that can be told from another


def settled(runs: Sequence[list[Record]], burst: int = 0) -> list[list[Record]]:
    """Return the visits to a level without those that the others show to have been disturbed.

    Each visit's first `burst` requests are not compared.
    """
    kept = [*runs]
    for run in sorted(runs, key=_failing, reverse=True):
        others = [other[burst:] for other in kept if other is not run]
        if others and (worse(run[burst:], others) > _Z or slower(run[burst:], others)):
            kept = [other for other in kept if other is not run]
    return kept


def told(runs: Sequence[list[Record]], burst: int) -> list[Record]:
    """Return the requests of a level that its points come from.

    Neither those of disturbed visits nor each visit's first `burst`, clients that start at once;
    these too where nothing else was sent.
    """
    kept = settled(runs, burst)
    return [r for run in kept for r in run[burst:]] or [r for run in kept for r in run]


def worse(run: Sequence[Record], others: Sequence[Sequence[Record]]) -> float:
    """Return by how many standard errors a visit fails more often than some others."""
    flags = [_flags(other) for other in others]
    mine, theirs = _flags(run), np.concatenate(flags)
    if min(len(mine), len(theirs)) < _FEWEST:
        return 0.0
    share = float((mine.sum() + theirs.sum()) / (len(mine) + len(theirs)))
    effect = max(2.0, clusters.design_effect(flags, _CLUSTER))
    error = math.sqrt(effect * share * (1 - share) * (1 / len(mine) + 1 / len(theirs)))
    return float(mine.mean() - theirs.mean()) / error if error else 0.0


def slower(run: Sequence[Record], others: Sequence[Sequence[Record]]) -> bool:
    """Return whether a visit was served slower than some others, beyond chance and by much."""
    mine = _pace([run])
    theirs = _pace(others)
    if min(mine[0], theirs[0]) < _FEWEST:
        return False
    chance = _Z * _VARY * math.sqrt(1 / mine[0] + 1 / theirs[0])
    return math.log(theirs[1] / mine[1]) > max(_SLOWER, chance)


def _failing(run: Sequence[Record]) -> float:
    return sum(r.failure is not None for r in run) / max(len(run), 1)


def _flags(run: Sequence[Record]) -> clusters.Flags:
    return np.array([r.failure is not None for r in run], bool)


def _pace(runs: Sequence[Sequence[Record]]) -> tuple[int, float]:
    """Return how many requests ended, and how many a second, between the first and the last end.

    None of those that were refused: nobody worked on them.
    """
    count, span_ns = 0, 0
    for run in runs:
        ends = [r.last_ns for r in run if r.failure is None or r.timed_out]
        if len(ends) > 1:
            count, span_ns = count + len(ends) - 1, span_ns + max(ends) - min(ends)
    return (count, count / span_ns * 1e9) if span_ns else (0, 0.0)
