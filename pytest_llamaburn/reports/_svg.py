"""Charts as inline SVG: drawn here, coloured by the page, titled for those who cannot see them."""

from __future__ import annotations

import html
import math
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.tables import Forest, Series, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.tables import Bar, Chart, Curves, Stop

_WIDTH, _RIGHT = 720, 12
_HEIGHT, _MARGIN, _AXIS = 120, 12, 70
_ROW, _LABELS, _HEAD = 20, 280, 24
_LOAD_HEIGHT = 240


def text(words: str) -> str:
    """Return words as HTML and SVG show them literally, without signs that steer."""
    return html.escape("".join(c if c.isprintable() else " " for c in words))


def drawn(chart: Chart, points: int) -> str:
    """Return a chart as SVG, with at most so many points in a series."""
    if isinstance(chart, Series):
        return _series(chart, points)
    return _forest(chart) if isinstance(chart, Forest) else _curves(chart)


def _series(chart: Series, points: int) -> str:
    """Return values in their order as dots; many are drawn in groups, by range and median."""
    values = chart.values
    size = -(-len(values) // points)
    groups = [values[i : i + size] for i in range(0, len(values), size)]
    y = _Scale(min(values), max(values), _HEIGHT - _MARGIN, _MARGIN)
    step = (_WIDTH - _AXIS - _RIGHT) / len(groups)
    marked = dict.fromkeys((y.low, median(values), y.high))
    levels = [_level(value, y(value)) for value in marked]
    dots = [_dot(group, _AXIS + (i + 0.5) * step, y) for i, group in enumerate(groups)]
    return _svg(chart.title, _HEIGHT, [*levels, *dots])


def _forest(chart: Forest) -> str:
    """Return intervals of change under each other, beside zero and the band of the margin."""
    title, bars, margin = chart
    reach = max(2 * margin, 0.01, *(min(1.0, abs(end)) for bar in bars for end in bar[1:4]))
    x = _Scale(-reach, reach, _LABELS, _WIDTH - _RIGHT)
    height = _HEAD + _ROW * len(bars) + 4
    left, right = x(-margin), x(margin)
    band = f'<path d="M{left:.1f} {_HEAD - 6}H{right:.1f}V{height}H{left:.1f}Z" class="m"/>'
    zero = f'<path d="M{x(0):.1f} {_HEAD - 6}V{height}" class="z"/>'
    ends = [_end(share, x) for share in (-reach, 0.0, reach)]
    return _svg(title, height, [band, zero, *ends, *(_bar(b, i, x) for i, b in enumerate(bars))])


class _Scale(NamedTuple):
    """Places numbers on a line; those outside of it at its ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        if self.high <= self.low:
            return (self.start + self.end) / 2
        share = (value - self.low) / (self.high - self.low)
        return self.start + max(0.0, min(1.0, share)) * (self.end - self.start)


def _level(value: float, y: float) -> str:
    line = f'<path d="M{_AXIS} {y:.1f}H{_WIDTH - _RIGHT}" class="z"/>'
    words = f'<text x="{_AXIS - 6}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>'
    return line + words


def _dot(group: Sequence[float], x: float, y: _Scale) -> str:
    top, bottom = y(max(group)), y(min(group))
    span = f'<path d="M{x:.1f} {top:.1f}V{bottom:.1f}" class="i"/>' if bottom - top > 0.5 else ""
    return f'{span}<circle cx="{x:.1f}" cy="{y(median(group)):.1f}" r="2.5"/>'


def _end(share: float, x: _Scale) -> str:
    anchor = {-1: "start", 0: "middle", 1: "end"}[(share > 0) - (share < 0)]
    return f'<text x="{x(share):.1f}" y="12" text-anchor="{anchor}">{100 * share:+.3g} %</text>'


def _bar(bar: Bar, index: int, x: _Scale) -> str:
    y = _HEAD + _ROW * index + _ROW / 2
    words = f'<text x="{_LABELS - 8}" y="{y + 4}" text-anchor="end">{text(bar.label)}</text>'
    line = f'<path d="M{x(bar.low):.1f} {y}H{x(bar.high):.1f}" class="i"/>'
    return (
        f'<g class="{bar.kind}">{words}{line}<circle cx="{x(bar.middle):.1f}" cy="{y}" r="4"/></g>'
    )


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img"><title>{text(title)}</title>'
    return f"<figure><figcaption>{text(title)}</figcaption>{head}{''.join(parts)}</svg></figure>"


def _curves(chart: Curves) -> str:
    """Return values over the levels of a load, each series on its own scale from 0."""
    stops, series, marks = chart
    title = " and ".join(series) + " over the load"
    x = _Scale(*_reach([stop.level for stop in stops]), _AXIS, _WIDTH - _AXIS)
    bands = [_band(stops, i, x) for i in range(len(stops))]
    lines = [_line(stops, i, name, x) for i, name in enumerate(series)]
    at = [_mark(place, words, x) for place, words in marks]
    ticks = [_tick(stop.level, x) for stop in stops]
    return _svg(title, _LOAD_HEIGHT + 2 * _HEAD, [*bands, *lines, *ticks, *at])


def _reach(levels: Sequence[float]) -> tuple[float, float]:
    return math.log(min(levels)), math.log(max(levels) * 1.05)


def _band(stops: Sequence[Stop], index: int, x: _Scale) -> str:
    """Return one level's part of the background, labelled where its state begins."""
    here = stops[index]
    places = [x(math.log(stop.level)) for stop in stops]
    left = (places[index - 1] + places[index]) / 2 if index else _AXIS
    right = (places[index] + places[index + 1]) / 2 if index + 1 < len(stops) else _WIDTH - _AXIS
    begins = index == 0 or stops[index - 1].state != here.state
    words = f'<text x="{left + 3:.1f}" y="12">{text(here.state)}</text>' if begins else ""
    return (
        f'<path d="M{left:.1f} {_HEAD}H{right:.1f}V{_HEAD + _LOAD_HEIGHT}H{left:.1f}Z" '
        f'class="s-{text(here.state)}"/>{words}'
    )


def _line(stops: Sequence[Stop], which: int, name: str, x: _Scale) -> str:
    """Return one series as a line with dots and, at its own side, its scale."""
    known = [(stop.level, v) for stop in stops if (v := stop.values[which]) is not None]
    if not known:
        return ""
    most = max(value for _, value in known)
    y = _Scale(0.0, most or 1.0, _HEAD + _LOAD_HEIGHT, _HEAD + _MARGIN)
    places = [(x(math.log(level)), y(value)) for level, value in known]
    path = "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
    dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in places)
    side = (2, "start") if which == 0 else (_WIDTH - 2, "end")
    label = f"{name}, top {number(most)}"
    scale = (
        f'<text x="{side[0]}" y="{_HEAD + _LOAD_HEIGHT + 2 * _HEAD - 8}" text-anchor="{side[1]}"'
    )
    return (
        f'<g class="l{which}"><path d="M{path}" class="i"/>{dots}{scale}>{text(label)}</text></g>'
    )


def _tick(level: float, x: _Scale) -> str:
    at = x(math.log(level))
    words = f"{level:.3g}"
    return f'<text x="{at:.1f}" y="{_HEAD + _LOAD_HEIGHT + 14}" text-anchor="middle">{words}</text>'


def _mark(level: float, words: str, x: _Scale) -> str:
    at = x(math.log(level))
    line = f'<path d="M{at:.1f} {_HEAD}V{_HEAD + _LOAD_HEIGHT}" class="p"/>'
    return f'{line}<text x="{at + 4:.1f}" y="{_HEAD + 14}">{text(words)}</text>'
