"""The cards and charts of a bake-off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.charts import Axis, Card, Chart, Forest, Line, Plot, Point, Span
from pytest_llamaburn.kinds import _charts
from pytest_llamaburn.kinds.bakeoff.plan import ranked
from pytest_llamaburn.kinds.bakeoff.table import quality_of, rank
from pytest_llamaburn.tables import half, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.documents import Document

_LEAST_POINTS = 2
_REACH = 4  # margins; intervals of the first rounds are wider


def cards(document: Document) -> Iterator[Card]:
    """Yield the speed of each model, the first rank first."""
    metric = ranked(document["config"]["rank"])
    for one in document["results"]["candidates"]:
        speed = one["summary"][metric.name]
        spread = f"± {half(speed['ci95'])}" if speed["ci95"] else ""
        label = f"{one['name']}: {metric.label or metric.name}"
        note = one["out"] or f"rank {rank(one)}, n {speed['n']}"
        yield Card(label, number(speed["mean"]), metric.unit, spread, note)


def charts(document: Document) -> Iterator[Chart]:
    """Yield speed against quality, the pairs with their intervals, and the readings of sensors."""
    plot = _pareto(document)
    if plot is not None:
        yield plot
    spans = [
        Span(
            f"{pair['first']} to {pair['second']}",
            100 * pair["interval"][0],
            100 * pair["change"],
            100 * pair["interval"][1],
            f"{100 * pair['change']:+.1f} %".replace("-", "−"),
            pair["verdict"],
        )
        for pair in document["results"]["pairs"]
        if pair["interval"] is not None
    ]
    if spans:
        margin = 100 * document["config"]["margin"]
        axis = Axis("how much better the first is", "%", -2 * margin, 2 * margin)
        reach = max(_REACH * margin, *(2 * abs(span.middle) for span in spans))
        yield Forest("Pairs of models", axis, spans, margin, reach=reach)
    yield from _charts.sensors(document)


def _pareto(document: Document) -> Plot | None:
    """Return speed against quality; without quality, against the memory of the models."""
    metric = ranked(document["config"]["rank"])
    known = [one for one in document["results"]["candidates"] if one["quality"]]
    by_quality = [
        (one, one["quality"]["value"], one["quality"]["ci95"])
        for one in known
        if one["quality"]["value"] is not None
    ]
    by_size = [
        (one, one["size_mb"], None)
        for one in document["results"]["candidates"]
        if one["size_mb"] is not None
    ]
    placed = by_quality or by_size
    points = [
        _point(one, metric.name, value, ends)
        for one, value, ends in placed
        if one["summary"][metric.name]["mean"] is not None
    ]
    if len(points) < _LEAST_POINTS:
        return None
    name = metric.label or metric.name
    y = Axis(f"quality, {quality_of(document)}") if by_quality else Axis("memory", "MB")
    title = f"{name.capitalize()} against {'quality' if by_quality else 'memory'}"
    return Plot(title, Axis(name, metric.unit), y, [Line("models", points, "dots", labelled=True)])


def _point(one: Document, metric: str, value: float, ends: Sequence[float] | None) -> Point:
    low, high = ends or (None, None)
    return Point(one["summary"][metric]["mean"], value, low, high, one["name"])
