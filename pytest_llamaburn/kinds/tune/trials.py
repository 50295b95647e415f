"""What the times of settings in rounds say: differences, groups, effects, and what to leave out.

The value of a setting in a round is the mean logarithm of its times. Settings are compared within
rounds, so that what a whole round has in common, such as a hot machine, cancels out. What is left
after the means of settings and rounds is noise, the same for all settings; its standard deviation
is pooled over all of them. A difference has Student's interval. Its confidence is raised by
Bonferroni's rule for all pairs that are compared, so that it holds for the best setting too, which
is chosen because it looked best.
"""

from __future__ import annotations

import itertools
import math
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Values = Mapping[str, Mapping[int, float]]  # of each setting, by round

ERROR = 0.05  # of all statements of one kind together
LEAST_ROUNDS = 3  # before any setting is left out


class Noise(NamedTuple):
    """The standard deviation of a value, and its degrees of freedom."""

    sd: float
    df: int


class Difference(NamedTuple):
    """A difference of two mean values, and its ends; None without an interval."""

    middle: float
    ends: tuple[float, float] | None

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.ends is not None and not self.ends[0] <= 0 <= self.ends[1]


def noise(values: Values) -> Noise | None:
    """Return the noise that is left within rounds, or None with too few of them.

    Rounds with the same settings form a block. Each block's residuals are those of two ways.
    """
    squares, df = 0.0, 0
    for names, rounds in _blocks(values).items():
        table = [[values[name][number] for number in rounds] for name in names]
        df += (len(names) - 1) * (len(rounds) - 1)
        rows, columns = [*map(fmean, table)], [*map(fmean, zip(*table, strict=True))]
        whole = fmean(rows)
        squares += sum(
            (value - row - column + whole) ** 2
            for row, line in zip(rows, table, strict=True)
            for column, value in zip(columns, line, strict=True)
        )
    return Noise(math.sqrt(squares / df), df) if df else None


def difference(
    values: Values, one: str, other: str, spread: Noise | None, error: float
) -> Difference:
    """Return how much larger the value of `one` is; the interval is wrong with rate `error`.

    Only rounds that have both settings count. Without one, the middle is NaN.
    """
    common = values[one].keys() & values[other].keys()
    if not common:
        return Difference(math.nan, None)
    middle = fmean(values[one][number] - values[other][number] for number in common)
    return Difference(middle, _ends(middle, spread, 2 / len(common), error))


def ranked(values: Values) -> list[str]:
    """Return the settings, the one with the lowest mean first."""
    found = means(values)
    return sorted(found, key=lambda name: found[name])


def means(values: Values) -> dict[str, float]:
    """Return the mean of each setting, as if all had been in all rounds.

    It is the least-squares solution of value = setting + round.
    """
    import numpy as np

    names = [name for name in values if values[name]]
    rounds = sorted(set(itertools.chain.from_iterable(values.values())))
    cells = [(name, number) for name in names for number in values[name]]
    design = np.zeros((len(cells), len(names) + len(rounds)))
    for row, (name, number) in zip(design, cells, strict=True):
        row[names.index(name)] = row[len(names) + rounds.index(number)] = 1
    seen = [values[name][number] for name, number in cells]
    solved = np.linalg.lstsq(design, np.array(seen), rcond=None)[0] if cells else []
    return dict(zip(names, map(float, solved), strict=False))


def groups(values: Values) -> dict[str, int]:
    """Return the number of each setting's group, 1 for those not to be told from the best."""
    order, spread = ranked(values), noise(values)
    found: dict[str, int] = {}
    leader, number = "", 0
    for name in order:
        apart = leader and difference(values, name, leader, spread, pairwise(len(order))).certain
        if not leader or apart:
            leader, number = name, number + 1
        found[name] = number
    return found


def pairwise(settings: int) -> float:
    """Return the error of one comparison if all pairs of so many settings are compared."""
    return ERROR / max(1, settings * (settings - 1) // 2)


def slower(values: Values, alive: Sequence[str], looks: int) -> list[str]:
    """Return the settings to leave out: certainly slower than the best, and at most half of them.

    The true best is left out with a rate of at most ERROR over all looks and settings: it would
    have to look slower than some other one, by one of (settings - 1) one-sided tests at a look.
    """
    spread = noise(values)
    rounds = min((len(values[name]) for name in alive), default=0)
    if spread is None or rounds < LEAST_ROUNDS or len(alive) < 2:
        return []
    error = 2 * ERROR / (looks * max(1, len(values) - 1))
    best, *rest = (name for name in ranked(values) if name in alive)
    certain = [name for name in rest if difference(values, name, best, spread, error).certain]
    return certain[-(len(alive) // 2) :]


class Level(NamedTuple):
    """A value of an option, and how much more time it takes than the option's best value."""

    value: int | float | str
    more: Difference


def effect(
    values: Values, levels: Mapping[str, int | float | str], spread: Noise | None
) -> list[Level]:
    """Return the values of an option, best first; `levels` has that of each setting.

    Each is the mean over all settings with the value, in the rounds that have all settings, so
    that the other options cancel out.
    """
    whole = [*_whole(values)]
    by_value: dict[int | float | str, list[float]] = {}
    for name, level in levels.items():
        by_value.setdefault(level, []).extend(values[name][number] for number in whole)
    if not whole:
        return [Level(level, Difference(math.nan, None)) for level in by_value]
    best, *rest = sorted(by_value, key=lambda level: fmean(by_value[level]))
    found = [Level(best, Difference(0.0, None))]
    for level in rest:
        middle = fmean(by_value[level]) - fmean(by_value[best])
        share = 1 / len(by_value[level]) + 1 / len(by_value[best])
        found.append(Level(level, _difference(middle, spread, share, pairwise(len(by_value)))))
    return found


def _difference(middle: float, spread: Noise | None, share: float, error: float) -> Difference:
    return Difference(middle, _ends(middle, spread, share, error))


def _ends(
    middle: float, spread: Noise | None, share: float, error: float
) -> tuple[float, float] | None:
    if spread is None:
        return None
    half = _quantile(spread.df, 1 - error) * spread.sd * math.sqrt(share)
    return middle - half, middle + half


_quantile = cache(samples.t_quantile)  # it is asked for the same few values again and again


def _blocks(values: Values) -> dict[tuple[str, ...], list[int]]:
    """Return the rounds with the same settings, by these settings."""
    found: dict[tuple[str, ...], list[int]] = {}
    for number in sorted(set(itertools.chain.from_iterable(values.values()))):
        names = tuple(name for name in values if number in values[name])
        found.setdefault(names, []).append(number)
    return found


def _whole(values: Values) -> set[int]:
    """Return the rounds that have all settings."""
    return set.intersection(*({*rounds} for rounds in values.values())) if values else set()
