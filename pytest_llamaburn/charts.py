"""What a page shows of a result file beside its tables: cards, charts and entries, as data.

A kind describes them in its module `charts`; `reports` draws them. A kind without that module gets
cards and distributions from its measures and rows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_BINS = 30
_WIDE = 50  # a distribution that spans such a factor is drawn on a logarithmic axis


class Card(NamedTuple):
    """A headline number: its label, value and unit, how sure it is, and from how many values."""

    label: str
    value: str
    unit: str = ""
    spread: str = ""  # such as `± 3.2` or `[1, 2]`
    note: str = ""  # such as `n 40`, or why there is no value


class Axis(NamedTuple):
    """An axis: its name and unit, the ends that it has at least, and the places of its ticks.

    `at` are the only places that get ticks, such as the levels that were measured.
    """

    label: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False  # whether only whole numbers have a meaning
    at: Sequence[float] = ()


class Point(NamedTuple):
    """A point, the ends of its interval, and the words beside it."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    label: str = ""


class Line(NamedTuple):
    """A series: joined points, separate `dots`, or `bars` from `x` with the width `high`."""

    name: str
    points: Sequence[Point]
    style: str = "line"
    labelled: bool = False  # whether the labels stand beside the points, for the first series


class Band(NamedTuple):
    """A part of the x axis with a label; `kind` is the word for its colour and pattern."""

    start: float
    end: float
    label: str
    kind: str = ""


class Mark(NamedTuple):
    """A place on the x axis with a label."""

    at: float
    label: str


class Plot(NamedTuple):
    """A chart of series over an axis."""

    title: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    bands: Sequence[Band] = ()
    marks: Sequence[Mark] = ()
    note: str = ""


class Span(NamedTuple):
    """An interval of a Forest: its label, ends and middle, and its values in words."""

    label: str
    low: float
    middle: float
    high: float
    words: str
    kind: str = ""


class Forest(NamedTuple):
    """A chart of intervals below each other.

    `margin` is the band around 0 that does not matter. Intervals that go beyond `reach` on either
    side of 0 end there with an arrow, so that a wide one does not make the others small.
    """

    title: str
    x: Axis
    spans: Sequence[Span]
    margin: float | None = None
    note: str = ""
    reach: float | None = None


Chart: TypeAlias = Plot | Forest


class Shown(NamedTuple):
    """A medium that is shown small: its id where it is kept, None if it is not, and what it is."""

    id: str | None
    label: str


class Entry(NamedTuple):
    """One of many things to look through, such as a question: a line, and what it opens to.

    `verdict` is a short word beside its line; `filters` are its value in each filter; `texts` are
    its texts by heading; `media` are the samples that it asks about and the sound of its answer.
    """

    title: str
    verdict: str
    cells: Sequence[str]
    filters: Mapping[str, str]
    texts: Sequence[tuple[str, str]]
    media: Sequence[Shown] = ()


def distribution(title: str, values: Sequence[float], axis: Axis, marks: Sequence[Mark]) -> Plot:
    """Return a histogram of values, on a logarithmic axis if they span orders of magnitude."""
    low, high = min(values), max(values)
    log = low > 0 and high / low > _WIDE
    edges = _edges(low, high, _bins(sorted(values)), log=log)
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[_bin(value, edges, log=log)] += 1
    bars = [
        Point(start, count, high=end)
        for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True)
        if count
    ]
    x = axis._replace(low=edges[0], high=edges[-1], log=log)
    y = Axis("requests", low=0.0, whole=True)
    return Plot(title, x, y, [Line("requests", bars, "bars")], marks=marks)


def bands(places: Sequence[float], words: Sequence[str], *, log: bool = False) -> list[Band]:
    """Return the bands of the places on an axis; neighbours with the same word share one."""
    found: list[Band] = []
    for i, word in enumerate(words):
        start = _between(places[i - 1], places[i], log=log) if i else places[0]
        last = i + 1 == len(places)
        end = places[i] if last else _between(places[i], places[i + 1], log=log)
        if found and found[-1].label == word:
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Band(start, end, word, word))
    return found


def _between(a: float, b: float, *, log: bool) -> float:
    return math.sqrt(a * b) if log else (a + b) / 2


def _bins(values: Sequence[float]) -> int:
    """Return the number of bins by the rule of Freedman and Diaconis, at least by Sturges'."""
    count = len(values)
    spread = values[(3 * count) // 4] - values[count // 4]
    least = 1 + math.ceil(math.log2(count))
    if spread <= 0:
        return least
    share = (values[-1] - values[0]) / (2 * spread)
    return int(max(least, min(_MOST_BINS, math.ceil(share * count ** (1 / 3)))))


def _edges(low: float, high: float, bins: int, *, log: bool) -> list[float]:
    if low == high:
        half = abs(low) / 20 or 0.5
        return [low - half, high + half]
    if log:
        step = (math.log(high) - math.log(low)) / bins  # their ratio may be too large
        return [low * math.exp(i * step) for i in range(bins)] + [high]
    return [low + i * (high - low) / bins for i in range(bins)] + [high]


def _bin(value: float, edges: Sequence[float], *, log: bool) -> int:
    low, high, last = edges[0], edges[-1], len(edges) - 2
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    share = (value - low) / (high - low)
    return min(last, int(share * (last + 1)))
