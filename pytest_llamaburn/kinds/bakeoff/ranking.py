"""Which models are surely faster than which others, and the ranks that follow from it.

A round gives one difference of two models: that of the logarithms of their values, so that a drift
of the machine cancels. The interval of its mean holds however often one looks (`stats/sequential`),
for all pairs together.
"""

from __future__ import annotations

import math
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.stats import sequential
from pytest_llamaburn.stats.runs import ALARM_RATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AHEAD, BEHIND, SAME, OPEN = "faster", "slower", "same", "open"
NOT_LOADED = "not_loaded"  # the kind of failure of a model that cannot be loaded


class Pair(NamedTuple):
    """Two models: how much faster the first is, as a share, and what is known of their order."""

    first: str
    second: str
    change: float | None
    interval: tuple[float, float] | None
    rounds: int
    verdict: str


def values(rows: Sequence[Any], metric: str) -> dict[str, dict[int, float]]:
    """Return the mean of a metric in each round by model, over the requests that have a value."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        if row["error"] is None and row[metric] is not None and row[metric] > 0:
            found.setdefault(row["model"], {}).setdefault(row["round"], []).append(row[metric])
    return {
        model: {number: fmean(each) for number, each in rounds.items()}
        for model, rounds in found.items()
    }


def failure(rows: Sequence[Any], iterations: int) -> Any:
    """Return why a model is out: its last error, if its latest turn has nothing else; else None.

    `rows` are the requests to the model. A turn of less than `iterations` requests is not over,
    unless the model could not be loaded.
    """
    turn = [row["error"] for row in rows if row["round"] == rows[-1]["round"]]
    if not turn or None in turn:
        return None
    is_over = len(turn) >= iterations or turn[-1]["kind"] == NOT_LOADED
    return turn[-1] if is_over else None


def pairs(by_model: Mapping[str, Mapping[int, float]], better: str, margin: float) -> list[Pair]:
    """Return the verdict on each pair of models; `better` is the metric's good direction."""
    every = [*combinations(by_model, 2)]
    alarm = ALARM_RATE / max(1, len(every))
    sign = 1 if better == "higher" else -1
    return [
        _pair(names, (by_model[names[0]], by_model[names[1]]), sign, (alarm, margin))
        for names in every
    ]


def _pair(
    names: tuple[str, str],
    rounds: tuple[Mapping[int, float], Mapping[int, float]],
    sign: int,
    rule: tuple[float, float],
) -> Pair:
    """Return the verdict on two models; `rule` has the alarm rate and the margin."""
    first, second = rounds
    common = sorted(first.keys() & second.keys())
    logs = [sign * (math.log(first[one]) - math.log(second[one])) for one in common]
    found = sequential.interval(logs, rule[0])
    change = math.expm1(fmean(logs)) if logs else None
    if found is None:
        return Pair(*names, change, None, len(common), OPEN)
    ends = (math.expm1(found.low), math.expm1(found.high))
    return Pair(*names, change, ends, len(common), _verdict(found, math.log1p(rule[1])))


def _verdict(found: sequential.Interval, margin: float) -> str:
    if -margin <= found.low and found.high <= margin:
        return SAME
    if found.low > 0:
        return AHEAD
    return BEHIND if found.high < 0 else OPEN


def ranks(models: Sequence[str], decided: Sequence[Pair]) -> dict[str, tuple[int, int]]:
    """Return the best and the worst rank that each model may have."""
    ahead = [_of(pair) for pair in decided if pair.verdict in (AHEAD, BEHIND)]
    count = len(models)
    return {
        model: (
            1 + sum(slower == model for _, slower in ahead),
            count - sum(faster == model for faster, _ in ahead),
        )
        for model in models
    }


def _of(pair: Pair) -> tuple[str, str]:
    """Return the faster and the slower model of a pair."""
    both = (pair.first, pair.second)
    return both if pair.verdict == AHEAD else both[::-1]
