"""Charts as inline SVG: drawn here, coloured by the page, titled for those who cannot see them."""

from __future__ import annotations

import html
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.charts import Forest, Line, Point
from pytest_llamaburn.reports import _scales
from pytest_llamaburn.tables import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.charts import Axis, Band, Chart, Mark, Plot, Span
    from pytest_llamaburn.reports._scales import Scale

_WIDTH, _RIGHT = 360.0, 12.0  # a page scales this little, so that its letters keep their size
_PLOT_HEIGHT = 160.0
_ROW, _ROWS = 14.0, 4  # height of a row of labels above the plot, and how many there may be
_BELOW = 36.0  # for the labels and the name of the x axis
_MARKED = 40  # a line of more points has no marks on it
_SPAN, _SPAN_HEAD = 34.0, 6.0
_SHAPES = (  # marks of series differ by shape, not only by colour
    "M{x} {y}m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0",
    "M{x} {y}m-3 -3h6v6h-6z",
    "M{x} {y}m0 -4.5l4 7.5h-8z",
    "M{x} {y}m0 -4.5l4.5 4.5l-4.5 4.5l-4.5 -4.5z",
)
_FILLS = {"degraded": ' fill="url(#lines)"', "failure": ' fill="url(#cross)"'}
PATTERNS = (  # once in a page; the fills of bands refer to them
    '<svg class="patterns" aria-hidden="true"><defs>'
    '<pattern id="lines" width="7" height="7" patternUnits="userSpaceOnUse">'
    '<path d="M0 7L7 0"/></pattern>'
    '<pattern id="cross" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<path d="M0 6L6 0M0 0L6 6"/></pattern></defs></svg>'
)


def text(words: str) -> str:
    """Return words as HTML and SVG show them literally, without signs that steer."""
    return html.escape("".join(c if c.isprintable() else " " for c in words))


def drawn(chart: Chart, points: int) -> str:
    """Return a chart as a figure, with at most so many points in a series."""
    picture = _forest(chart) if isinstance(chart, Forest) else _plot(chart, points)
    note = f"<p>{text(chart.note)}</p>" if chart.note else ""
    head = f"<figcaption>{text(chart.title)}</figcaption>"
    return f"<figure>{head}{_legend(chart)}{picture}{note}</figure>"


def _legend(chart: Chart) -> str:
    """Return the names of the series with their marks, if there are several."""
    if isinstance(chart, Forest) or len(chart.lines) < 2:
        return ""
    items = (
        f'<li class="l{i % 4}"><svg viewBox="0 0 26 12" aria-hidden="true">'
        f'<path d="M0 6H26" class="line"/>{_shape(i, 13, 6)}</svg>{text(line.name)}</li>'
        for i, line in enumerate(chart.lines)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="{text(title)}">'
    return f"{head}{''.join(parts)}</svg>"


class _Frame(NamedTuple):
    """The area of a plot: its left edge and its scales, which may begin beside that edge."""

    left: float
    x: Scale
    y: Scale

    @property
    def top(self) -> float:
        return self.y.end

    @property
    def bottom(self) -> float:
        return self.y.start

    @property
    def limits(self) -> tuple[float, float]:
        return self.left, _WIDTH


def _plot(plot: Plot, points: int) -> str:
    lines = [line._replace(points=_fewer(line, points)) for line in plot.lines]
    y = _scale_y(plot.y, lines, _PLOT_HEIGHT, 0.0)
    left = 10 + _scales.CHARACTER * max(
        (len(t.label) for t in _scales.ticks(y, whole=plot.y.whole)), default=1
    )
    top = _ROW * (1 + _rows_needed(plot, lines, left))
    y = y._replace(start=top + _PLOT_HEIGHT, end=top)
    frame = _Frame(left, _scale_x(plot, lines, left), y)
    parts = [
        *_bands(plot.bands, frame),
        *_y_axis(plot.y, frame),
        *_x_axis(plot.x, frame),
        *(_series(i, line, frame) for i, line in enumerate(lines)),
        *_marks(plot, frame),
        *_labels(lines, frame),
    ]
    return _svg(_spoken(plot), frame.bottom + _BELOW, parts)


def _spoken(plot: Plot) -> str:
    """Return a chart in words: its title, and the range of each series."""
    told = []
    for line in plot.lines:
        values = [point.y for point in line.points]
        if values and line.style != "bars":
            ends = f"{number(min(values))} to {number(max(values))} {plot.y.unit}".strip()
            told.append(f"{line.name} from {ends}")
    return ": ".join(filter(None, [plot.title, "; ".join(told)]))


def _fewer(line: Line, most: int) -> Sequence[Point]:
    """Return at most so many points: neighbours are drawn as their median with their range."""
    found = line.points
    if len(found) <= most:
        return found
    size = -(-len(found) // most)
    return [_median(found[i : i + size]) for i in range(0, len(found), size)]


def _median(group: Sequence[Point]) -> Point:
    values = [point.y for point in group]
    middle = group[len(group) // 2].x
    return Point(middle, median(values), min(values), max(values))


def _ends(points: Iterator[Point]) -> list[float]:
    return [
        value for point in points for value in (point.y, point.low, point.high) if value is not None
    ]


def _scale_y(axis: Axis, lines: Sequence[Line], start: float, end: float) -> Scale:
    values = [
        v
        for line in lines
        for p in line.points
        for v in ([p.y] if line.style == "bars" else _ends(iter([p])))
    ]
    values += [end for end in (axis.low, axis.high) if end is not None]
    found = _scales.scale(values or [0.0, 1.0], start, end, log=axis.log)
    room = 0 if found.log else (found.high - found.low) * 0.06
    return found._replace(high=found.high + room)


def _scale_x(plot: Plot, lines: Sequence[Line], left: float) -> Scale:
    axis = plot.x
    values = [point.x for line in lines for point in line.points]
    values += [end for end in (axis.low, axis.high) if end is not None]
    values += [*axis.at, *(mark.at for mark in plot.marks)]
    values += [end for band in plot.bands for end in (band.start, band.end)]
    found = _scales.scale(values or [0.0, 1.0], left, _WIDTH - _RIGHT, log=axis.log)
    if any(line.style == "bars" for line in lines):
        return found
    return found._replace(start=left + 10, end=_WIDTH - _RIGHT - 8)


# Axes


def _y_axis(axis: Axis, frame: _Frame) -> Iterator[str]:
    left = frame.left
    for tick in _scales.ticks(frame.y, whole=axis.whole):
        y = tick.place
        yield f'<path d="M{left:.1f} {y:.1f}H{_WIDTH - _RIGHT:g}" class="grid"/>'
        yield f'<text x="{left - 5:.1f}" y="{y + 4:.1f}" class="end">{tick.label}</text>'
    yield f'<text x="0" y="10" class="name">{text(_named(axis))}</text>'


def _x_axis(axis: Axis, frame: _Frame) -> Iterator[str]:
    bottom = frame.bottom
    yield f'<path d="M{frame.left:.1f} {bottom:.1f}H{_WIDTH - _RIGHT:g}" class="axis"/>'
    for tick in _scales.ticks(frame.x, axis.at, frame.limits, whole=axis.whole):
        yield f'<path d="M{tick.place:.1f} {bottom:.1f}v4" class="axis"/>'
        middle = (tick.start + tick.end) / 2
        yield f'<text x="{middle:.1f}" y="{bottom + 16:.1f}" class="mid">{tick.label}</text>'
    middle, name = (frame.left + _WIDTH - _RIGHT) / 2, text(_named(axis))
    yield f'<text x="{middle:.1f}" y="{bottom + 31:.1f}" class="mid name">{name}</text>'


def _named(axis: Axis) -> str:
    return f"{axis.label}, {axis.unit}" if axis.unit else axis.label


# Series


def _series(index: int, line: Line, frame: _Frame) -> str:
    if line.style == "bars":
        return f'<g class="l{index % 4}">{"".join(_bar(p, frame) for p in line.points)}</g>'
    places = [(frame.x(p.x), frame.y(p.y)) for p in line.points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    joined = f'<path d="M{path}" class="line"/>' if line.style == "line" and len(places) > 1 else ""
    whiskers = "".join(_whisker(p, frame) for p in line.points)
    marked = line.style == "dots" or len(places) <= _MARKED
    pairs = zip(places, line.points, strict=True) if marked else ()
    shapes = "".join(_shape(index, x, y, _told(line, p)) for (x, y), p in pairs)
    return f'<g class="l{index % 4}">{joined}{whiskers}{shapes}</g>'


def _told(line: Line, point: Point) -> str:
    """Return the words that appear over a point."""
    if len(line.points) > 60:
        return ""
    interval = ""
    if point.low is not None and point.high is not None:
        interval = f" [{number(point.low)}, {number(point.high)}]"
    return f"{point.label}: {line.name} {number(point.y)}{interval}".removeprefix(": ")


def _shape(index: int, x: float, y: float, told: str = "") -> str:
    path = _SHAPES[index % 4].format(x=f"{x:.1f}", y=f"{y:.1f}")
    end = f"><title>{text(told)}</title></path>" if told else "/>"
    return f'<path d="{path}" class="dot"{end}'


def _whisker(point: Point, frame: _Frame) -> str:
    if point.low is None or point.high is None:
        return ""
    x, low, high = frame.x(point.x), frame.y(point.low), frame.y(point.high)
    if low - high < 2:
        return ""
    return (
        f'<path d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 3:.1f} {low:.1f}h6'
        f'M{x - 3:.1f} {high:.1f}h6" class="whisker"/>'
    )


def _bar(point: Point, frame: _Frame) -> str:
    left, right = frame.x(point.x), frame.x(point.high or point.x)
    gap = 0.5 if right - left > 3 else 0.0
    top = frame.y(point.y)
    told = f"{number(point.x)} to {number(point.high)}: {point.y:g}"
    return (
        f'<path d="M{left + gap:.1f} {frame.bottom:.1f}V{top:.1f}H{right - gap:.1f}'
        f'V{frame.bottom:.1f}z" class="bar"><title>{told}</title></path>'
    )


# Labels that find their place


class _Label(NamedTuple):
    """A label above the plot: its words, its middle, and its row, None where there is no room."""

    words: str
    middle: float
    row: int | None


def _rows_needed(plot: Plot, lines: Sequence[Line], left: float) -> int:
    """Return the number of rows that the labels of bands and marks take above the plot."""
    frame = _Frame(left, _scale_x(plot, lines, left), _scales.Scale(0, 1, 1, 0))
    marks, bands = _tops(plot, frame)
    return _rows([*marks, *bands])


def _rows(labels: Sequence[_Label]) -> int:
    return 1 + max((label.row for label in labels if label.row is not None), default=-1)


def _tops(plot: Plot, frame: _Frame) -> tuple[list[_Label], list[_Label]]:
    """Return the labels of marks and above them those of bands, so that no line crosses words."""
    marks = _placed([(frame.x(mark.at), mark.label) for mark in plot.marks], frame)
    middles = [(frame.x(b.start) / 2 + frame.x(b.end) / 2, b.label) for b in plot.bands]
    bands = _placed(middles, frame)
    above = _rows(marks)
    return marks, [b._replace(row=None if b.row is None else b.row + above) for b in bands]


def _placed(labels: Sequence[tuple[float, str]], frame: _Frame) -> list[_Label]:
    limits = (frame.left, _WIDTH)
    spans = [_scales.extent(place, words, limits) for place, words in labels]
    rows = _scales.rows(spans, _ROWS)
    return [
        _Label(words, (a + b) / 2, row)
        for (a, b), row, (_, words) in zip(spans, rows, labels, strict=True)
    ]


def _bands(bands: Sequence[Band], frame: _Frame) -> Iterator[str]:
    for band in bands:
        left, right = frame.x(band.start), frame.x(band.end)
        left = frame.left if left <= frame.x.start else left  # the area is a little wider
        right = _WIDTH - _RIGHT if right >= frame.x.end else right
        yield (
            f'<path d="M{left:.1f} {frame.top:.1f}H{right:.1f}V{frame.bottom:.1f}'
            f'H{left:.1f}z" class="band s-{text(band.kind)}"{_FILLS.get(band.kind, "")}>'
            f"<title>{text(band.label)}</title></path>"
        )


def _marks(plot: Plot, frame: _Frame) -> Iterator[str]:
    """Yield the lines of marks, and the labels of bands and marks above the plot."""
    marks, bands = _tops(plot, frame)
    for mark, label in zip(plot.marks, marks, strict=True):
        yield _mark(mark, frame, frame.top if label.row is None else _height(label.row, frame))
    for label in (*marks, *bands):
        if label.row is not None:
            y = _height(label.row, frame)
            yield f'<text x="{label.middle:.1f}" y="{y:.1f}" class="mid">{text(label.words)}</text>'


def _height(row: int, frame: _Frame) -> float:
    return frame.top - 4 - _ROW * row


def _mark(mark: Mark, frame: _Frame, top: float) -> str:
    x = frame.x(mark.at)
    line = f'<path d="M{x:.1f} {top + 2:.1f}V{frame.bottom:.1f}" class="mark">'
    return f"{line}<title>{text(mark.label)}</title></path>"


def _labels(lines: Sequence[Line], frame: _Frame) -> Iterator[str]:
    """Yield the labels beside points, where none overlaps another; the rest appear over points.

    A label stands to the right of its point, or to the left where the plot ends.
    """
    taken: list[tuple[float, float, float]] = []
    for point in (point for line in lines[:1] for point in line.points if line.labelled):
        x, y = frame.x(point.x), frame.y(point.y) - 5
        y += 0 if y > frame.top + 8 else 20  # below a point at the top
        start, end = x + 7, x + 7 + _scales.CHARACTER * len(point.label)
        leftwards = end > _WIDTH
        if leftwards:
            start, end = start + x - 7 - end, x - 7
        free = all(end < a or start > b or abs(y - other) > 12 for a, b, other in taken)
        if free and start >= frame.left:
            taken.append((start, end, y))
            at = f'x="{end:.1f}" class="end"' if leftwards else f'x="{start:.1f}"'
            yield f'<text {at} y="{y:.1f}">{text(point.label)}</text>'


# Intervals below each other


def _forest(forest: Forest) -> str:
    """Return intervals below each other, each below its label and beside its values."""
    spans, margin = forest.spans, forest.margin
    values = [_within(end, forest.reach) for span in spans for end in (span.low, span.high)]
    values += [end for end in (forest.x.low, forest.x.high) if end is not None]
    values += [-margin, margin] if margin is not None else []
    x = _scales.scale(values or [0.0, 1.0], 8.0, _WIDTH - _RIGHT)
    bottom = _SPAN_HEAD + _SPAN * len(spans)
    frame = _Frame(8.0, x, _scales.Scale(0, 1, bottom, _SPAN_HEAD))
    parts = [
        *_reference(margin, x, bottom),
        *_x_axis(forest.x, frame),
        *(_span(span, i, x, forest.reach) for i, span in enumerate(spans)),
    ]
    return _svg(forest.title, bottom + _BELOW, parts)


def _within(end: float, reach: float | None) -> float:
    return end if reach is None else max(-reach, min(reach, end))


def _reference(margin: float | None, x: Scale, bottom: float) -> Iterator[str]:
    """Yield the line at 0, and the band of changes that do not matter."""
    if margin is not None:
        left, right = x(-margin), x(margin)
        yield (
            f'<path d="M{left:.1f} {_SPAN_HEAD}H{right:.1f}V{bottom:.1f}H{left:.1f}z" '
            f'class="band"><title>±{margin:g}</title></path>'
        )
        yield f'<path d="M{x(0):.1f} {_SPAN_HEAD}V{bottom:.1f}" class="axis"/>'


def _span(span: Span, index: int, x: Scale, reach: float | None) -> str:
    top = _SPAN_HEAD + _SPAN * index
    y = top + 24
    room = int((_WIDTH - 20) / _scales.CHARACTER) - len(span.words)
    label = span.label if len(span.label) <= room else span.label[: max(1, room - 1)] + "…"
    words = (
        f'<text x="8" y="{top + 13:.1f}">{text(label)}<title>{text(span.label)}</title></text>'
        f'<text x="{_WIDTH - _RIGHT:g}" y="{top + 13:.1f}" class="end">{text(span.words)}</text>'
    )
    low, high = (x(_within(end, reach)) for end in (span.low, span.high))
    caps = _cap(low, y, reach is not None and span.low < -reach, 1)
    caps += _cap(high, y, reach is not None and span.high > reach, -1)
    told = f"<title>{number(span.low)} to {number(span.high)}</title>"
    line = f'<path d="M{low:.1f} {y:.1f}H{high:.1f}{caps}" class="whisker">{told}</path>'
    return f'<g class="span {text(span.kind)}">{words}{line}{_shape(0, x(span.middle), y)}</g>'


def _cap(x: float, y: float, goes_on: bool, inwards: int) -> str:
    """Return the end of an interval: a stroke, or an arrow if the interval goes on."""
    tip = f"M{x + 5 * inwards:.1f} {y - 4:.1f}l{-5 * inwards} 4l{5 * inwards} 4"
    return tip if goes_on else f"M{x:.1f} {y - 4:.1f}v8"
