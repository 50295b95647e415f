"""Disturbed visits to a level: they differ from other visits by more than chance.

If a machine has other work, it is slower or fails more requests during a visit. Another visit to
the same level shows this. The worse visit is then left out of the estimates of points; the level
still counts its requests.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_llamaburn.stats import clustered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from pytest_llamaburn.load.rows import Request

    Visits: TypeAlias = Sequence[Sequence[Request]]

_Z = 3.0  # of two visits that differ
_VARY = 0.6  # a service's coefficient of variation
_SLOWER = 0.15  # a smaller difference in the logarithm of throughput is not a disturbance
_CLUSTER = 20  # failures this many requests apart are taken as independent
_FEWEST = 12  # minimum requests of a visit that is compared


class _Pace(NamedTuple):
    """The number of requests that ended in a time span."""

    ended: int
    span_ns: int


class _Waits(NamedTuple):
    """The number of answers, and how long all of them took together."""

    answered: int
    total_ns: int

    @property
    def mean_ns(self) -> float:
        """How long an answer took."""
        return self.total_ns / self.answered


def settled(
    runs: Sequence[list[Request]], burst: int = 0, above: Visits = (), below: Visits = ()
) -> list[list[Request]]:
    """Return the undisturbed visits to a level.

    The failures of the first `burst` requests of each visit do not count, because all clients start
    at once. Visits to levels `above` and `below`, nearest first, are evidence too: an undisturbed
    level does not fail more often or answer later than a level above, and is not slower than one
    below.
    """
    kept = [run for run in runs if run]
    for run in sorted(kept, key=lambda one: float(flags(one).mean()), reverse=True):
        others = [other for other in kept if other is not run]
        lags = burst and _lags(run, above)  # in an open loop, latency depends on the length
        if lags or _slow(run, others, above, below) or _fails(run, others, burst, above):
            kept = others
    return kept


def _slow(run: Sequence[Request], others: Visits, above: Visits, below: Visits) -> bool:
    """Return whether a visit is slower than others of its level, or than levels on both sides.

    A level that is slower only than lower levels may belong to a server that slows under load.
    """
    if others and slower(run, others):
        return True
    return slower_than_any(run, below, others) and slower_than_any(run, above)


def _lags(run: Sequence[Request], above: Visits) -> bool:
    """Return whether answers took longer than at a level with more clients."""
    mine, theirs = _waits(run), _Waits(0, 0)
    for other in map(_waits, above):
        theirs = _Waits(theirs.answered + other.answered, theirs.total_ns + other.total_ns)
        if _longer(mine, theirs):
            return True
    return False


def _longer(mine: _Waits, theirs: _Waits) -> bool:
    """Return whether answers took much longer than others, beyond chance."""
    if min(mine.answered, theirs.answered) < _FEWEST:
        return False
    chance = _Z * _VARY * math.sqrt(1 / mine.answered + 1 / theirs.answered)
    return math.log(mine.mean_ns / theirs.mean_ns) > max(_SLOWER, chance)


def _waits(run: Sequence[Request]) -> _Waits:
    taken = [r.end_ns - r.sent_ns for r in run if r.failure is None]
    return _Waits(len(taken), sum(taken))


def slower_than_any(run: Sequence[Request], near: Visits, others: Visits = ()) -> bool:
    """Return whether a visit is slower than some number of its nearest neighbours."""
    mine, theirs, nearest = pace(run), _paces(others), _paces(near)
    return any(_behind(mine, [*theirs, *nearest[:n]]) for n in range(1, len(nearest) + 1))


def _fails(run: Sequence[Request], others: Visits, burst: int, above: Visits) -> bool:
    """Return whether a visit fails more often than others of its level and of levels above."""
    mine, theirs = run[burst:], [other[burst:] for other in others]
    if theirs and worse(mine, theirs) <= 1:
        return False
    pools = [[*theirs, *above[:n]] for n in range(len(above) + 1)]
    return any(pool and worse(mine, pool) > _Z for pool in pools)


def for_points(
    levels: Mapping[float, Sequence[list[Request]]], *, clients: bool
) -> dict[float, Any]:
    """Return the requests of each level from which points are estimated, from its visits.

    Requests of disturbed visits are left out, and so is the first request of each of the `clients`,
    unless a level has no others.
    """
    found: dict[float, list[Request]] = {}
    above: list[list[Request]] = []
    for level, runs in sorted(levels.items(), reverse=True):
        burst = int(level) if clients else 0
        below = [run for at in sorted(levels, reverse=True) if at < level for run in levels[at]]
        kept = settled(runs, burst, above, below)
        above = [*(run[burst:] for run in kept), *above]
        found[level] = [r for run in kept for r in run[burst:]] or [r for run in kept for r in run]
    return found


def worse(run: Sequence[Request], others: Sequence[Sequence[Request]]) -> float:
    """Return by how many standard errors a visit fails more often than others."""
    several = [flags(other) for other in others]
    mine, theirs = flags(run), np.concatenate(several)
    if min(len(mine), len(theirs)) < _FEWEST or mine.mean() <= theirs.mean():
        return 0.0
    share = float((mine.sum() + theirs.sum()) / (len(mine) + len(theirs)))
    effect = max(2.0, clustered.design_effect(several, _CLUSTER))
    error = math.sqrt(effect * share * (1 - share) * (1 / len(mine) + 1 / len(theirs)))
    return float(mine.mean() - theirs.mean()) / error if error else 0.0


def slower(run: Sequence[Request], others: Visits) -> bool:
    """Return whether a visit was served much slower than others, beyond chance."""
    return _behind(pace(run), _paces(others))


def _behind(mine: _Pace, others: Sequence[_Pace]) -> bool:
    theirs = _Pace(sum(one.ended for one in others), sum(one.span_ns for one in others))
    if min(mine.ended, theirs.ended) < _FEWEST:
        return False
    chance = _Z * _VARY * math.sqrt(1 / mine.ended + 1 / theirs.ended)
    faster = theirs.ended / theirs.span_ns * mine.span_ns / mine.ended
    return math.log(faster) > max(_SLOWER, chance)


def flags(run: Sequence[Request]) -> clustered.Flags:
    """Return which requests failed, in order of sending."""
    return np.array([r.failure is not None for r in run], bool)


def _paces(runs: Visits) -> list[_Pace]:
    return [pace(run) for run in runs]


def pace(run: Sequence[Request]) -> _Pace:
    """Return the number of requests that occupied a slot, and the time from first to last end.

    A request that failed during its answer occupied a slot; one that was refused or only waited did
    not.
    """
    ends = [r.end_ns for r in run if r.failure is None or r.first_ns is not None]
    span_ns = max(ends) - min(ends) if ends else 0
    return _Pace(len(ends) - 1, span_ns) if span_ns else _Pace(0, 0)
