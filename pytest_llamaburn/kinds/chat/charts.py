"""The cards and charts of conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.charts import Axis, Card, Chart, Line, Plot, Point
from pytest_llamaburn.kinds import _charts
from pytest_llamaburn.tables import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.documents import Document

_SERIES = {"ttft_ms": "earlier turns cached", "miss_ttft_ms": "cache miss"}


def cards(document: Document) -> Iterator[Card]:
    """Yield the time to the first token in the first and the last turn, and the cost of a miss."""
    found = document["results"]
    for turn in found["turns"][:1] + found["turns"][1:][-1:]:
        label = f"time to first token, turn {turn['turn']}"
        yield Card(label, number(turn["ttft_ms"]["p50"]), "ms", "", f"n {turn['ttft_ms']['n']}")
    for turn in found["turns"][1:][-1:]:
        cost = turn["miss_cost_ms"]["p50"]
        yield Card(f"cost of a cache miss, turn {turn['turn']}", number(cost), "ms")
    yield _charts.answered(found["totals"], found["totals"]["planned"])


def charts(document: Document) -> Iterator[Chart]:
    """Yield the time to the first token over the turns, and the readings of sensors."""
    lines = []
    for field, name in _SERIES.items():
        known = [(t["turn"], t[field]["p50"]) for t in document["results"]["turns"]]
        points = [Point(turn, value) for turn, value in known if value is not None]
        lines += [Line(name, points)] if len(points) > 1 else []
    if lines:
        y = Axis("time to first token, p50", "ms", low=0.0)
        yield Plot("Time to first token by turn", Axis("turn", whole=True), y, lines)
    yield from _charts.sensors(document)
