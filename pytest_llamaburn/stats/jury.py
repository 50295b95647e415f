"""How well the judges of a jury agree: Krippendorff's alpha, for any number of raters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.stats import resampling
from pytest_llamaburn.stats.agreement import consensus
from pytest_llamaburn.stats.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]


def alpha(ratings: Iterable[Iterable[tuple[str | None, float | None]]]) -> Figure | None:
    """Return the ordinal alpha of the judges over some answers; None for fewer than two judges.

    `ratings` has for each answer the judge of each judgment and its score, None if it has none. A
    judge's rating of an answer is the median of its scores. A judge that never gave a score counts
    as one of the judges.
    """
    answers: list[dict[str, list[float]]] = []
    for judgments in ratings:
        scores: dict[str, list[float]] = {}
        for judge, score in judgments:
            if judge is not None:
                scores.setdefault(judge, []).extend([] if score is None else [score])
        answers.append(scores)
    judges = sorted({name for scores in answers for name in scores})
    if len(judges) < 2:
        return None
    rows = [[scores.get(name) for scores in answers] for name in judges]
    table = [[consensus(scores) if scores else None for scores in row] for row in rows]
    return krippendorff(table, "ordinal")


def krippendorff(ratings: Sequence[Sequence[float | None]], level: str) -> Figure:
    """Return Krippendorff's alpha of raters (rows) over units (columns); None is a missing rating.

    `level` is nominal, ordinal or interval. Alpha is 1 - observed / expected disagreement, from the
    coincidences of values within units (Krippendorff, Content Analysis, ch. 12); n counts the units
    with two ratings or more. The interval is that of `resampling.with_interval` over units.
    """
    import numpy as np

    units = [[v for v in unit if v is not None] for unit in zip(*ratings, strict=True)]
    units = [unit for unit in units if len(unit) > 1]
    values = sorted({value for unit in units for value in unit})
    if not units:
        return Figure(None, 0, reason="no unit has two ratings")
    if len(values) < 2:
        return Figure(None, len(units), reason="all ratings are equal")
    pairs = np.stack([_coincidences(unit, values) for unit in units])
    figure = Figure(float(_alphas(pairs.sum(0)[None], values, level)[0]), len(units))
    return resampling.with_interval(figure, _alphas(pairs.sum(0) - pairs, values, level))


def _coincidences(unit: Sequence[float], values: Sequence[float]) -> Array:
    """Return how often two raters of a unit give each pair of values."""
    import numpy as np

    places = [values.index(value) for value in unit]
    counts = np.bincount(places, minlength=len(values)).astype(float)
    pairs: Array = (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    return pairs


def _alphas(pairs: Array, values: Sequence[float], level: str) -> Array:
    """Return the alpha of each table of coincidences, NaN if all ratings in it are equal."""
    import numpy as np

    marginal = pairs.sum(1)
    n = marginal.sum(1)
    distance = _distances(values, marginal, level)
    observed = (pairs * distance).sum((1, 2))
    by_chance = (marginal[:, :, None] * marginal[:, None, :] * distance).sum((1, 2))
    alphas: Array = 1 - observed * (n - 1) / np.where(by_chance > 0, by_chance, np.nan)
    return alphas


def _distances(values: Sequence[float], marginal: Array, level: str) -> Array:
    """Return the squared distances between values at a level of measurement, for each table."""
    import numpy as np

    if level == "nominal":
        unequal: Array = 1.0 - np.eye(len(values))
        return unequal
    place = np.broadcast_to(np.asarray(values, dtype=float), marginal.shape)
    if level == "ordinal":
        place = marginal.cumsum(1) - marginal / 2  # ratings below, and half of the equal ones
    squared: Array = (place[:, :, None] - place[:, None, :]) ** 2
    return squared
