"""The cards and charts of the memory by context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.charts import Axis, Card, Chart, Line, Plot, Point
from pytest_llamaburn.kinds import _charts
from pytest_llamaburn.tables import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_llamaburn.documents import Document

    Value = Callable[[Document], float | None]

_CONTEXT = Axis("context", "tokens", low=0.0)
_LINES: tuple[tuple[str, Value], ...] = (
    ("as the server says", lambda step: _gb(step["total_bytes"])),
    ("on the GPU", lambda step: _gb(step["gpu_bytes"]) or None),
    ("predicted", lambda step: _gb(step["foreseen"]["total"])),
)


def cards(document: Document) -> Iterator[Card]:
    """Yield the largest context of each type of the KV cache, and what lies past its edge."""
    found = document["results"]
    for series in found["series"]:
        label, largest = f"largest context, {series['kv_type']}", series["largest_context"]
        shown = ABSENT if largest is None else f"{largest:,}"
        yield Card(label, shown, "tokens", "", series["reason"])
        if series["spill_loss"] is not None and series["memory"] == "gpu":
            yield Card("slower past the edge", f"{series['spill_loss']:.0%}")
    yield _charts.answered(found["totals"], found["totals"]["planned"])


def charts(document: Document) -> Iterator[Chart]:
    """Yield the memory and the decode rate over the context, and the readings of sensors."""
    found = document["results"]
    for series in found["series"]:
        kv_type = series["kv_type"]
        steps = [step for step in found["steps"] if step["kv_type"] == kv_type]
        lines = [Line(name, points) for name, of in _LINES if len(points := _points(steps, of)) > 1]
        if lines:
            y = Axis("memory", "GB", low=0.0)
            yield Plot(f"Memory by context, KV cache {kv_type}", _CONTEXT, y, lines)
        rates = [
            Point(step["num_ctx"], step["decode"]["mean"], *(step["decode"]["ci95"] or ()))
            for step in steps
            if step["decode"]["mean"] is not None
        ]
        if len(rates) > 1:
            y = Axis("rate", "tokens/s", low=0.0)
            title = f"Decode rate by context, KV cache {kv_type}"
            yield Plot(title, _CONTEXT, y, [Line("decode rate", rates)])
    yield from _charts.sensors(document)


def _points(steps: Sequence[Document], of: Value) -> list[Point]:
    return [Point(step["num_ctx"], size) for step in steps if (size := of(step)) is not None]


def _gb(size: float | None) -> float | None:
    return None if size is None else size / 1e9
