"""The cards and charts of embeddings and rankings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.charts import Axis, Card, Chart, Line, Plot, Point
from pytest_llamaburn.kinds import _charts
from pytest_llamaburn.kinds.embed.measures import headline
from pytest_llamaburn.tables import half, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.documents import Document

_CHARTS = (
    ("Speed by batch size", "texts_per_sec", "speed", "texts/s"),
    ("Latency by batch size", "latency_ms", "latency of a request", "ms"),
)


def cards(document: Document) -> Iterator[Card]:
    """Yield the speed with the largest batch, the checks, and the requests that succeeded."""
    found = document["results"]
    cell = headline(found["cells"])
    if cell is not None:
        where = f"batch {cell['batch']}, {cell['length']} {found['length_unit'] or 'tokens'}"
        speed, latency = cell["texts_per_sec"], cell["latency_ms"]
        spread = f"± {half(speed['ci95'])}" if speed["ci95"] else ""
        note = f"n {speed['n']}" if speed["n"] else cell["reason"]
        yield Card(f"texts per second, {where}", number(speed["mean"]), "texts/s", spread, note)
        yield Card("latency of a request, p50", number(latency["p50"]), "ms", "", where)
    if found["checks"]:
        passed = sum(check["passed"] is True for check in found["checks"])
        wrong = [check["name"] for check in found["checks"] if check["passed"] is not True]
        note = f"not passed: {', '.join(wrong)}" if wrong else ""
        yield Card("checks that passed", str(passed), f"of {len(found['checks'])}", "", note)
    yield _charts.answered(found["totals"], found["totals"]["planned"])


def charts(document: Document) -> Iterator[Chart]:
    """Yield speed and latency over the batch size, a line for each length, and the sensors."""
    found = document["results"]
    lengths = sorted({cell["length"] for cell in found["cells"]})
    batches = sorted({cell["batch"] for cell in found["cells"]})
    unit = found["length_unit"] or "tokens"
    for title, field, label, y_unit in _CHARTS:
        lines = []
        for length in lengths:
            own = [cell for cell in found["cells"] if cell["length"] == length]
            known = [(cell["batch"], cell[field]) for cell in own if cell[field]["n"]]
            points = [Point(x, at["mean"], *(at["ci95"] or ())) for x, at in known]
            lines += [Line(f"{length} {unit}", points)] if len(points) > 1 else []
        if lines:
            x = Axis("texts in a request", log=len(batches) > 2, at=batches)
            yield Plot(title, x, Axis(label, y_unit, low=0.0), lines)
    yield from _charts.sensors(document)
