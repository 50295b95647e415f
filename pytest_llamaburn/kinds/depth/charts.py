"""The cards and charts of rates by depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.charts import Axis, Card, Chart, Line, Plot, Point
from pytest_llamaburn.kinds import _charts
from pytest_llamaburn.tables import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.documents import Document

_RATE = Axis("rate", "tokens/s", low=0.0)


def cards(document: Document) -> Iterator[Card]:
    """Yield the rates at the lowest and at the greatest depth that was measured."""
    found = document["results"]
    known = [at for at in found["depths"] if at["reason"] is None]
    for at in known[:1] + known[1:][-1:]:
        where, prefill, decode = f"at depth {at['depth']}", at["prefill"], at["decode"]
        yield Card(f"prefill {where}", number(prefill["tokens_per_sec"]), "tokens/s")
        yield Card(f"decode {where}", number(decode["mean"]), "tokens/s", "", f"n {decode['n']}")
    yield _charts.answered(found["totals"], found["totals"]["planned"])


def charts(document: Document) -> Iterator[Chart]:
    """Yield each rate over the depth, with its intervals, and the readings of sensors."""
    depths = document["results"]["depths"]
    reads = [(at["depth"], at["prefill"]["tokens_per_sec"], at["prefill"]["ci95"]) for at in depths]
    writes = [(at["depth"], at["decode"]["mean"], at["decode"]["ci95"]) for at in depths]
    for name, values in (("Prefill rate", reads), ("Decode rate", writes)):
        points = [Point(x, y, *(ends or ())) for x, y, ends in values if y is not None]
        if len(points) > 1:
            x = Axis("depth", "tokens", at=[point.x for point in points])
            yield Plot(f"{name} by depth", x, _RATE, [Line(name.lower(), points)])
    yield from _charts.sensors(document)
