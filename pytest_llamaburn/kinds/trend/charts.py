"""The cards and charts of a trend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.charts import Axis, Card, Chart, Line, Mark, Plot, Point
from pytest_llamaburn.kinds.trend.table import change, interval, label
from pytest_llamaburn.tables import half, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.documents import Document

_MOST_CARDS = 6


def cards(document: Document) -> Iterator[Card]:
    """Yield the present level of the first series, those with a step first."""
    series = sorted(document["results"]["series"], key=lambda one: not one["steps"])
    for one in series[:_MOST_CARDS]:
        level, overall = one["levels"][-1], one["overall"]
        spread = f"± {half(level['ci95'])}" if level["ci95"] else ""
        note = overall["reason"] or (
            f"{overall['verdict']}, {change(overall['change'], one['unit'])} "
            f"{interval(overall, one['unit'])}"
        )
        yield Card(
            f"{one['model']}: {label(one)}", number(level["mean"]), one["unit"], spread, note
        )


def charts(document: Document) -> Iterator[Chart]:
    """Yield each series over its runs, with its levels as a line and its steps as marks."""
    for one in document["results"]["series"]:
        if len(one["runs"]) > 1:
            yield _plot(one)


def _plot(series: Document) -> Plot:
    runs = series["runs"]
    values = [Point(i + 1, run["value"]) for i, run in enumerate(runs)]
    levels = [
        Point(place, level["mean"])
        for level in series["levels"]
        for place in _ends(level, len(runs))
    ]
    lines = [Line("runs", values, "dots"), Line("mean of the level", levels)]
    marks = [
        Mark(step["at"] + 0.5, f"{step['timestamp'][:10]} {change(step['change'], series['unit'])}")
        for step in series["steps"]
    ]
    what = " ".join(filter(None, (series["kind"], series["of"])))
    title = f"{label(series).capitalize()}: {series['model']}, {what}"
    first, last = (runs[i]["timestamp"][:10] for i in (0, -1))
    x = Axis(f"run, {first} to {last}", whole=True)
    return Plot(title, x, Axis(label(series), series["unit"]), lines, marks=marks)


def _ends(level: Document, runs: int) -> tuple[float, float]:
    """Return where the line of a level starts and ends: half way to its neighbours."""
    first, end = level["first"], level["first"] + level["runs"]
    return (first + 0.5 if first else 1.0), (end + 0.5 if end < runs else float(runs))
