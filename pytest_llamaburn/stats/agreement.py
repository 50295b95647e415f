"""How well two raters agree, and how sure that is.

Every figure of degenerate input (fewer than 3 pairs, a constant rater) is None with a reason. All
intervals are 95 %. Those of agreement are percentile bootstraps with a fixed seed; where ratings
come in clusters, such as several of one question, whole clusters are drawn. Those of means on a
scale hold for any distribution on it and any number of values (`mean`).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.criteria import SHARES_OF_GRADES
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]
    Ratings = Sequence[float] | Array

DRAWS = 2000
_CELLS = 1 << 20  # numbers in one table of draws: a few megabytes
_FEWEST = 3
USABLE = 0.9  # an interval from fewer usable draws would leave out the unlucky ones
_NEWTON_STEPS = 50
_Z = 1.959963984540054
_TAIL = 0.025  # on each side of an interval
_BISECTIONS = 30
_LOG_STEP = 0.2  # of the integral in `_share_below`; an interval then has seven exact digits


@dataclass(frozen=True)
class Figure:
    """A statistic with its 95 % interval; None with a reason where there is none."""

    value: float | None
    n: int
    ci95: tuple[float, float] | None = None
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the figure as JSON types."""
        return asdict(self) | {"ci95": None if self.ci95 is None else [*self.ci95]}


class Game(NamedTuple):
    """One pair of answers, compared: the verdict is A, B, tie, or None where unscored.

    `first_picks` and `picks` count the single verdicts for the answer shown first, and those for
    either; `length_delta` is A's length less B's; all games of one question are one vote.
    """

    verdict: str | None
    inconsistent: bool
    first_picks: int
    picks: int
    length_delta: float
    question: str


class Pairs(NamedTuple):
    """The pairs of ratings of two raters: each different pair once, and how often it came.

    `counts` has a row for each draw of a bootstrap.
    """

    x: Array
    y: Array
    counts: Array


@dataclass(frozen=True)
class Statistic:
    """A statistic of two raters: called with their ratings, it returns a Figure.

    `of_draws` returns its value for each draw, NaN where it has none for the `reason`. A statistic
    that is the mean of a value of y − x has that as `of_difference`.
    """

    of_draws: Callable[[Pairs], Array]
    fewest: int
    reason: str
    of_difference: Callable[[Array], Any] | None = None

    def __call__(self, x: Ratings, y: Ratings) -> Figure:
        """Return the value without an interval; raises ValueError for raters of unequal length."""
        import numpy as np

        if len(x) != len(y):
            raise ValueError("two raters must rate the same items")
        if len(x) < self.fewest:
            few = f"fewer than {self.fewest} pairs" if self.fewest > 1 else "no pairs"
            return Figure(None, len(x), reason=few)
        pairs, place = _different(x, y)
        counts = np.bincount(place, minlength=len(pairs.x))[None, :].astype(float)
        value = float(self.of_draws(pairs._replace(counts=counts))[0])
        if math.isnan(value):
            return Figure(None, len(x), reason=self.reason)
        return Figure(value, len(x))


def _pearson(pairs: Pairs) -> Array:
    return _correlation(pairs.x, pairs.y, pairs.counts)


def _spearman(pairs: Pairs) -> Array:
    x, y = (_ranks(values, pairs.counts) for values in (pairs.x, pairs.y))
    return _correlation(x, y, pairs.counts)


def _kendall(pairs: Pairs) -> Array:
    import numpy as np

    table = _tables(pairs)
    concordant = (table * _beyond(table)).sum((1, 2))
    discordant = (table * _beyond(table[:, :, ::-1])[:, :, ::-1]).sum((1, 2))
    n = pairs.counts.sum(1)
    ties = [(m * (m - 1)).sum(1) / 2 for m in (table.sum(2), table.sum(1))]
    untied = np.prod([n * (n - 1) / 2 - tied for tied in ties], axis=0)
    return _ratio(concordant - discordant, np.sqrt(untied))


def _qwk(pairs: Pairs) -> Array:
    x, y, counts = pairs
    n = counts.sum(1)
    spread = sum((counts * _centred(v, counts) ** 2).sum(1) for v in (x, y))
    by_chance = spread / n + (counts @ (x - y) / n) ** 2
    return 1 - _ratio(counts @ (x - y) ** 2 / n, by_chance, bound=math.inf)


def _alpha(pairs: Pairs) -> Array:
    import numpy as np

    x, y, counts = pairs
    both = np.concatenate([x, y])
    twice = np.concatenate([counts, counts], axis=1)
    place = _ranks(both, twice)  # up to a constant, the ordinal scale's own distances
    n = twice.sum(1)
    observed = (counts * (place[:, : len(x)] - place[:, len(x) :]) ** 2).sum(1) * 2
    expected = (twice * _centred(place, twice) ** 2).sum(1) * 2 * n / (n - 1)
    return 1 - _ratio(observed, expected, bound=math.inf)


def _mean_of(value: Callable[[Array], Any]) -> Statistic:
    """Return the statistic that is the mean of a value of y − x."""

    def mean_of(pairs: Pairs) -> Array:
        found: Array = pairs.counts @ value(pairs.y - pairs.x) / pairs.counts.sum(1)
        return found

    return Statistic(mean_of, 1, "no pairs", value)


def _equal(difference: Array) -> Array:
    """Return 1 where no other whole rating is nearer, a half where another one is as near."""
    import numpy as np

    size = np.abs(difference).round(9)
    found: Array = np.where(size == 0.5, 0.5, size < 0.5)
    return found


# The linear correlation, from -1 to 1.
pearson = Statistic(_pearson, _FEWEST, "a rater is constant")
# The rank correlation, ties sharing their mean rank.
spearman = Statistic(_spearman, _FEWEST, "a rater is constant")
# Kendall's τ-b: concordant less discordant pairs, corrected for ties.
kendall = Statistic(_kendall, _FEWEST, "a rater is constant")
# Cohen's κ with quadratic weights: 1 − E(x−y)² / what it would be by chance, which is the same
# ratings, paired at random.
qwk = Statistic(_qwk, _FEWEST, "both raters are constant and equal")
# Krippendorff's ordinal alpha of two raters who rated everything.
alpha = Statistic(_alpha, 1, "all ratings are equal")
# The share of equal ratings; one between whole ratings equals the nearest, halfway both by half.
exact = _mean_of(_equal)
# The share of ratings at most one apart.
within_one = _mean_of(lambda d: (abs(d) <= 1) * 1.0)
# The mean absolute difference.
mae = _mean_of(abs)
# The mean of y − x: above 0, the second rater is the kinder one.
bias = _mean_of(lambda d: d)


def confusion(x: Sequence[float], y: Sequence[float], labels: Sequence[int]) -> list[list[float]]:
    """Return how often x gave the row's label and y the column's.

    A rating between two labels counts for the nearest, one halfway for both by half.
    """
    counts: dict[tuple[int, int], float] = {}
    for (a, b), times in Counter(zip(x, y, strict=True)).items():
        for row, part in _nearest(a).items():
            for column, share in _nearest(b).items():
                counts[row, column] = counts.get((row, column), 0.0) + times * part * share
    return [[counts.get((row, column), 0.0) for column in labels] for row in labels]


def with_interval(
    statistic: Statistic,
    x: Ratings,
    y: Ratings,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Figure:
    """Return a statistic of two raters with its bootstrap interval.

    Without an interval where more than a tenth of the draws have no value; the reason says so.
    """
    import numpy as np

    figure = statistic(x, y)
    if figure.value is None:
        return figure
    pairs, place = _different(x, y)
    drawn = np.concatenate(
        [
            statistic.of_draws(pairs._replace(counts=counts))
            for counts in _drawn_counts(pairs, place, clusters, seed)
        ]
    )
    usable = drawn[~np.isnan(drawn)]
    if len(usable) < USABLE * DRAWS or len(set(clusters or range(len(x)))) == 1:
        return replace(figure, reason="too few values differ for an interval")
    return replace(figure, ci95=percentile_interval(usable))


def mean(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    scale: tuple[float, float] | None = None,
) -> Figure:
    """Return the mean with its interval; values of one cluster count as one independent value.

    With a scale, the lowest and the highest possible value, it is Gaffke's interval: it assumes
    nothing else, and for shares (values of 0 and 1) it is Clopper and Pearson's. Without a scale
    it is Student's, which needs two values that differ and ignores clusters.
    """
    if len(values) == 0:
        return Figure(None, 0, reason="no values")
    figure = Figure(math.fsum(values) / len(values), len(values))
    if scale is not None:
        return replace(figure, ci95=_gaffke(_units(values, clusters), scale))
    found = samples.distribution(values, "")
    if not found["std"]:
        return replace(figure, reason="one value, or all are equal: no interval")
    return replace(figure, ci95=tuple(found["ci95"]))


def graded(name: str, grades: Sequence[str]) -> Figure:
    """Return a share of grades, by its name in `criteria.GRADED`, or their F-score.

    The F-score is the harmonic mean of the share of correct answers and of that among the attempted
    ones, which is 2 · correct / (answers + attempted). It is above some t where the mean over
    answers is above t if a correct one counts 1, an incorrect one 0 and one not attempted t / 2: so
    its interval ends where that mean's does.
    """
    if not grades:
        return Figure(None, 0, reason="no answer was graded")
    if name != "f_score":
        told = [SHARES_OF_GRADES[name](grade) for grade in grades]
        found = mean([float(one) for one in told if one is not None], scale=(0, 1))
        return found if found.n else replace(found, reason="no answer was attempted")
    correct = sum(grade == "correct" for grade in grades)
    attempted = sum(grade != "not_attempted" for grade in grades)
    ends = (_f_score_end(grades, upper=False), _f_score_end(grades, upper=True))
    return Figure(2 * correct / (len(grades) + attempted), len(grades), ends)


def _f_score_end(grades: Sequence[str], *, upper: bool) -> float:
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        worth = {"correct": 1.0, "incorrect": 0.0, "not_attempted": middle / 2}
        values = [worth[grade] if upper else -worth[grade] for grade in grades]
        test = _test_of_upper(_units(values, None), 1.0 if upper else 0.0)
        is_below_end = test(middle) if upper else not test(-middle)
        low, high = (middle, high) if is_below_end else (low, middle)
    return (low + high) / 2


def difference(before: Figure, after: Figure) -> Figure:
    """Return after − before of two figures that have intervals, and its own by the MOVER method.

    It takes the two for independent, which makes the interval too wide rather than too narrow where
    they are of the same questions.
    """
    if before.value is None or after.value is None or not (before.ci95 and after.ci95):
        return Figure(None, 0, reason=before.reason or after.reason)
    change = after.value - before.value
    down = math.hypot(after.value - after.ci95[0], before.ci95[1] - before.value)
    up = math.hypot(after.ci95[1] - after.value, before.value - before.ci95[0])
    return Figure(change, after.n, (change - down, change + up))


def paired_difference(a: Sequence[float], b: Sequence[float], scale: tuple[float, float]) -> Figure:
    """Return the mean of b − a over the same questions, both on a scale, with its interval."""
    width = scale[1] - scale[0]
    found = [after - before for before, after in zip(a, b, strict=True)]
    return mean(found, scale=(-width, width))


def sign_test(wins: int, losses: int) -> Figure:
    """Return the two-sided exact p of so unequal a split if each side were as likely."""
    n = wins + losses
    if n == 0:
        return Figure(None, 0, reason="no decisive pairs")
    tail = sum(math.comb(n, k) for k in range(min(wins, losses) + 1))
    return Figure(min(1.0, 2 * tail / 2**n), n)


def consensus(ratings: Sequence[float]) -> float:
    """Return what several raters say together: their median, which may be halfway."""
    return float(median(ratings))


def ceiling(statistic: Statistic, ratings: Sequence[Sequence[float]]) -> Figure:
    """Return how well one human agrees with the others: the mean over raters, each left out once.

    `ratings` has the human ratings of each item; place k is taken for one rater. Items with one
    rating do not count.
    """
    shared = [item for item in ratings if len(item) > 1]
    if not shared:
        return Figure(None, 0, reason="no item has two human ratings")
    found = [
        statistic(*_left_out([item for item in shared if k < len(item)], k)).value
        for k in range(max(map(len, shared)))
    ]
    values = [value for value in found if value is not None]
    if not values:
        return Figure(None, len(shared), reason="too few items, or a constant rater")
    return Figure(sum(values) / len(values), len(shared))


def constant(x: Sequence[float]) -> dict[str, Any]:
    """Return how well the most frequent whole rating, given to all, would agree with x.

    The figures of several equally frequent `values` are averaged, so that no side is preferred.
    """
    counts: dict[int, float] = {}
    for rating in x:
        for value, share in _nearest(rating).items():
            counts[value] = counts.get(value, 0.0) + share
    values = sorted(v for v, count in counts.items() if count == max(counts.values()))
    if not values:
        return {"values": [], "reason": "no ratings"}
    figures = {"exact": exact, "within_one": within_one, "mae": mae}
    same = [[float(value)] * len(x) for value in values]
    means = {
        name: sum(statistic(x, one).value or 0.0 for one in same) / len(same)
        for name, statistic in figures.items()
    }
    return {"values": values, **means}


def games(played: Sequence[Game]) -> dict[str, Any]:
    """Return the figures of A against B: counts, rates with intervals, bias of position and length.

    A question has one vote, whatever the number of judges and repeats: the winner of most of its
    games. `win_rate` counts a tie as half a win; a judge that prefers a position drags it to 0.5,
    so `decisive_rate`, of the questions that have a winner, stands beside it.
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
        "decisive_rate": _share([1] * wins + [0] * losses, "no decisive pairs").as_dict(),
        "sign_test_p": sign_test(wins, losses).as_dict(),
        "consistency": _share([vote.consistent for vote in votes], "no pairs").as_dict(),
        "first_position_rate": _share(firsts, "no verdict for either").as_dict(),
        "length_delta": mean([vote.length_delta for vote in votes]).as_dict(),
        "length_controlled_rate": length_controlled(played).as_dict(),
    }


def length_controlled(played: Sequence[Game]) -> Figure:
    """Return A's win rate if both answers were equally long.

    That is 1 / (1 + e^−a) of a logistic fit of the points on a + b·tanh(length difference over its
    standard deviation); None where the fit does not converge.
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
    low, high = (_sigmoid(level + z * spread) for z in (-_Z, _Z))
    return Figure(_sigmoid(level), n, (low, high))


def _different(x: Ratings, y: Ratings) -> tuple[Pairs, Any]:
    """Return each different pair of ratings, still without counts, and the place of every item."""
    import numpy as np

    table = np.column_stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
    found, place = np.unique(table, axis=0, return_inverse=True)
    return Pairs(found[:, 0], found[:, 1], np.zeros((0, len(found)))), place.reshape(-1)


def _drawn_counts(
    pairs: Pairs, place: Any, clusters: Sequence[Hashable] | None, seed: int
) -> Iterator[Array]:
    """Yield how often each pair is in each bootstrap draw, some draws at a time."""
    import numpy as np

    groups = {name: i for i, name in enumerate(dict.fromkeys(clusters or range(len(place))))}
    group = np.array([groups[name] for name in clusters or range(len(place))])
    chosen = np.random.default_rng(seed).integers(0, len(groups), (DRAWS, len(groups)))
    cells = max(len(place), len(np.unique(pairs.x)) * len(np.unique(pairs.y)))
    size = max(1, _CELLS // cells)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(pairs.x)))
    for begin in range(0, DRAWS, size):
        draws = chosen[begin : begin + size]
        times = np.apply_along_axis(np.bincount, 1, draws, minlength=len(groups))
        yield np.add.reduceat(times[:, group[order]], starts, axis=1).astype(float)


def _correlation(x: Array, y: Array, counts: Array) -> Array:
    import numpy as np

    a, b = (_scaled(_centred(values, counts)) for values in (x, y))
    squares = (counts * a * a).sum(1) * (counts * b * b).sum(1)
    return _ratio((counts * a * b).sum(1), np.sqrt(squares))


def _scaled(values: Array) -> Array:
    """Return the values of each draw divided by the largest: their squares cannot vanish."""
    import numpy as np

    largest = np.abs(values).max(1, keepdims=True)
    found: Array = values / np.where(largest > 0, largest, 1.0)
    return found


def _ratio(part: Array, whole: Array, bound: float = 1.0) -> Array:
    """Return part / whole within ±bound, NaN where the whole is 0 or not finite."""
    import numpy as np

    usable = (whole != 0) & np.isfinite(whole)
    found: Array = np.clip(part / np.where(usable, whole, np.nan), -bound, bound)
    return found


def _centred(values: Array, counts: Array) -> Array:
    """Return the values less their mean in each draw, exactly 0 where a draw has but one value."""
    import numpy as np

    drawn = counts > 0
    low = np.where(drawn, values, np.inf).min(1, keepdims=True)
    high = np.where(drawn, values, -np.inf).max(1, keepdims=True)
    middle = (counts * values).sum(1, keepdims=True) / counts.sum(1, keepdims=True)
    found: Array = np.where(drawn & (low < high), values - middle, 0.0)
    return found


def _ranks(values: Array, counts: Array) -> Array:
    """Return the rank of each value in each draw, equal ones sharing their mean rank."""
    import numpy as np

    different, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(different)))
    times = np.add.reduceat(counts[:, order], starts, axis=1)
    shared: Array = times.cumsum(1) - (times - 1) / 2
    return shared[:, place]


def _tables(pairs: Pairs) -> Array:
    """Return the contingency table of each draw."""
    import numpy as np

    (rows, row), (columns, column) = (np.unique(v, return_inverse=True) for v in pairs[:2])
    tables: Array = np.zeros((len(pairs.counts), len(rows), len(columns)))
    tables[:, row, column] = pairs.counts
    return tables


def _beyond(tables: Array) -> Array:
    """Return for each cell the sum of all cells below it and to its right."""
    import numpy as np

    summed = tables[:, ::-1, ::-1].cumsum(1).cumsum(2)[:, ::-1, ::-1]
    beyond: Array = np.zeros_like(tables)
    beyond[:, :-1, :-1] = summed[:, 1:, 1:]
    return beyond


def _nearest(rating: float) -> dict[int, float]:
    """Return the whole rating nearest to one, or the two that it is halfway between, by half."""
    low = math.floor(rating)
    part = round(rating - low, 9)
    return {low: 0.5, low + 1: 0.5} if part == 0.5 else {low + (part > 0.5): 1.0}


def percentile_interval(values: Ratings) -> tuple[float, float]:
    """Return the middle 95 % of bootstrap draws."""
    import numpy as np

    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _left_out(items: Sequence[Sequence[float]], k: int) -> tuple[list[float], list[float]]:
    """Return what the others say together, and what rater k says."""
    others = [consensus([*item[:k], *item[k + 1 :]]) for item in items]
    return others, [float(item[k]) for item in items]


class _Vote(NamedTuple):
    """What the games of one question say: A's points, and the shares that a Game counts."""

    points: float
    consistent: float
    firsts: float | None
    length_delta: float


def _votes(played: Sequence[Game]) -> list[_Vote]:
    """Return a vote for each question that has a scored game."""
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


class _Unit(NamedTuple):
    """One independent value: the mean of so many values."""

    value: float
    size: int


def _units(values: Sequence[float], clusters: Sequence[Hashable] | None) -> list[_Unit]:
    groups: dict[Hashable, list[float]] = {}
    for name, value in zip(clusters or range(len(values)), values, strict=True):
        groups.setdefault(name, []).append(float(value))
    return [_Unit(math.fsum(group) / len(group), len(group)) for group in groups.values()]


def _gaffke(units: Sequence[_Unit], scale: tuple[float, float]) -> tuple[float, float]:
    """Return the interval of a mean of independent values on a scale.

    Gaffke (2005), as Learned-Miller and Thomas put it (A new confidence interval for the mean of a
    bounded random variable, arXiv 1905.06208): the upper end is the 97.5 % quantile of the mean
    when the values, and one more at the top of the scale, get random weights, uniform among all
    that sum to 1. The lower end is the same of the mirrored values.
    """
    mirrored = [unit._replace(value=-unit.value) for unit in units]
    low, high = scale
    return 0.0 - _upper(mirrored, -low), _upper(units, high)


def _upper(units: Sequence[_Unit], top: float) -> float:
    """Return the upper end, found by bisection between the mean and the top of the scale."""
    total = sum(unit.size for unit in units)
    low, high = math.fsum(unit.value * unit.size for unit in units) / total, top
    is_below_end = _test_of_upper(units, top)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below_end(middle) else (low, middle)
    return high


def _test_of_upper(units: Sequence[_Unit], top: float) -> Callable[[float], bool]:
    """Return what tells whether a value is below the upper end of the mean's interval."""
    import numpy as np

    counts = Counter(units)
    counts[_Unit(top, 0)] += 1
    values, sizes = (np.array(column, dtype=float) for column in zip(*counts, strict=True))
    times = np.array([*counts.values()], dtype=float)
    # The one more is as large as the others on average.
    sizes[sizes == 0] = sum(unit.size for unit in units) / len(units)
    return lambda at: _share_below(sizes * (values - at), times) < 1 - _TAIL


def _share_below(steps: Array, times: Array) -> float:
    """Return the chance that Σ G·step is below 0, each G gamma-distributed with shape `times`.

    Random weights that sum to 1 are such G, divided by their sum. The chance is Gil-Pelaez's
    integral (1951) of the characteristic function Π (1 − i·u·step)^−times, taken over log u by the
    trapezoidal rule. Where the mean of the sum lies √39 or more standard deviations below 0, the
    chance is at least 97.5 % by Cantelli's inequality; 1 is returned.
    """
    import numpy as np

    if float(times @ steps) <= -math.sqrt((1 / _TAIL - 1) * float(times @ steps**2)):
        return 1.0
    u = np.exp(np.arange(-32, 20, _LOG_STEP)) / np.abs(steps).max()
    turned = np.arctan(np.outer(u, steps)) @ times
    shrunk = np.log1p(np.outer(u, steps) ** 2) @ times / 2
    return 0.5 - _LOG_STEP / math.pi * float(np.sum(np.sin(turned) * np.exp(-shrunk)))


def _share(values: Sequence[float], reason: str) -> Figure:
    """Return the mean of shares; `reason` says why there are none."""
    return mean(values, scale=(0, 1)) if values else Figure(None, 0, reason=reason)


def _logistic(design: Array, points: Array) -> tuple[float, float] | None:
    """Return the intercept of a logistic fit and its standard error, None without convergence.

    Newton's method; points of 0.5 count as half a win. Separated points have no finite fit.
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
