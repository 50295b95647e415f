"""The cards and charts of a comparison, whatever the kind of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.charts import Axis, Card, Chart, Forest, Line, Plot, Point, Span
from pytest_llamaburn.kinds.comparison.table import AXES, changes_of, interval, percent, signed
from pytest_llamaburn.tables import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.documents import Document

    Change = Document

_MOST_CARDS, _MOST_SPANS, _MOST_FILES = 6, 100, 3
_OPEN = ("inconclusive", "undecided")
_WIDE = 8  # levels that span such a factor are drawn on a logarithmic axis


def cards(document: Document) -> Iterator[Card]:
    """Yield the changes with a verdict, then the others."""
    known = [one for one in changes_of(document) if one["change"] is not None]
    for change in sorted(known, key=lambda one: one["verdict"] in _OPEN)[:_MOST_CARDS]:
        at = f" at {change['level']:.3g}" if change.get("level") is not None else ""
        ends = f"{number(change['baseline'])} → {number(change['value'])} {change['unit']}"
        label = f"{change['file']}: {change['name']}{at}"
        yield Card(label, *_amount(change), f"{change['verdict']}, {ends}")


def _amount(change: Change) -> tuple[str, str, str]:
    """Return a change, its unit and its interval in words."""
    if "mark" in change:
        ends = change["interval"]
        spread = f"[{signed(ends[0])}, {signed(ends[1])}]" if ends else ""
        return signed(change["change"]), change["unit"], spread
    value, _, unit = percent(change).partition(" ")
    return value, unit, interval(change) if change["interval"] else ""


def charts(document: Document) -> Iterator[Chart]:
    """Yield the changes with their intervals, or the numbers of both sides by level."""
    changes = changes_of(document)
    levels = [one for one in changes if one.get("level") is not None]
    if levels:
        yield from _by_level(document, levels)
    elif any("mark" in one for one in changes):
        yield from _differences(changes)
    else:
        yield from _ratios(document, changes[:_MOST_SPANS])


def _ratios(document: Document, changes: Sequence[Change]) -> Iterator[Forest]:
    """Yield a chart of each measure's changes in percent; ends beyond ± 100 % are at the edge."""
    spans: dict[str, list[Span]] = {}
    for change in changes:
        if change["interval"] is not None:
            ends = (change["interval"][0], change["change"], change["interval"][1])
            low, middle, high = (max(-100.0, min(100.0, 100 * end)) for end in ends)
            about = _label(change, change["model"])
            words = f"{percent(change)} {interval(change)}"
            span = Span(about, low, middle, high, words, change["verdict"])
            spans.setdefault(change["name"], []).append(span)
    margin = 100 * document["config"]["margin"]
    for name, found in spans.items():
        x = Axis("change from the baseline", "%", -2 * margin, 2 * margin)
        note = f"The band of ± {margin:g} % counts as the same."
        yield Forest(f"{name.capitalize()}: change", x, found, margin, note)


def _label(change: Change, of: str) -> str:
    """Return the label of an interval: its file, what it is of, and the verdict if there is one."""
    verdict = "" if change["verdict"] in _OPEN else f", {change['verdict']}"
    return f"{change['file']} {of}{verdict}"


def _differences(changes: Sequence[Change]) -> Iterator[Forest]:
    """Yield a chart of the differences of each unit."""
    spans: dict[str, list[Span]] = {}
    for change in changes:
        if change["interval"] is not None:
            low, high = change["interval"]
            label = _label(change, change["name"])
            words = " ".join(filter(None, (_amount(change)[0], _amount(change)[2])))
            span = Span(label, low, change["change"], high, words, change["verdict"])
            spans.setdefault(change["unit"], []).append(span)
    for unit, found in spans.items():
        axis = Axis("difference with 95 % interval", unit)
        yield Forest(f"Differences of scores, {unit}", axis, found, 0.0)


def _by_level(document: Document, changes: Sequence[Change]) -> Iterator[Plot]:
    """Yield each measure over the levels, a series for the baseline and one for each file."""
    for name in dict.fromkeys(change["name"] for change in changes):
        found = [one for one in changes if one["name"] == name]
        files = [*dict.fromkeys(one["file"] for one in found)][:_MOST_FILES]
        lines = [_line(f"{document['config']['baseline']} (baseline)", found, "baseline")]
        lines += [_line(f, [o for o in found if o["file"] == f], "value") for f in files]
        known = [line for line in lines if line.points]
        if len(known) > 1 and any(len(line.points) > 1 for line in known):
            yield _plot(name, found, known)


def _plot(name: str, found: Sequence[Change], lines: Sequence[Line]) -> Plot:
    places = sorted({one["level"] for one in found})
    log = places[0] > 0 and places[-1] / places[0] >= _WIDE
    kind = next((one["axis"] for one in found if one["axis"]), "concurrency")
    x = Axis(kind, AXES.get(kind, ""), log=log, at=places)
    return Plot(f"{name.capitalize()} by level", x, Axis(name, found[0]["unit"], low=0.0), lines)


def _line(name: str, changes: Sequence[Change], side: str) -> Line:
    known = {one["level"]: one[side] for one in changes if one[side] is not None}
    return Line(name, [Point(level, known[level], label=f"{level:.3g}") for level in sorted(known)])
