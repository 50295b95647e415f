"""The cards and charts of a benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.charts import Axis, Chart, Line, Plot, Point
from pytest_llamaburn.kinds import _charts
from pytest_llamaburn.tables import HEADLINES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.charts import Card
    from pytest_llamaburn.documents import Document


_HEADLINES = (
    *("time_to_first_token_ms", "inter_token_latency_ms", "tokens_per_sec"),
    *("total_generation_ms", "prompt_tokens_per_sec"),
)
_BY_REQUEST = ("time_to_first_token_ms", "tokens_per_sec")


def cards(document: Document) -> Iterator[Card]:
    """Yield the headline numbers."""
    found = document["results"]
    for name in _HEADLINES:
        yield _charts.mean(name, found["summary"][name])
    yield _charts.answered(found["totals"], found["totals"]["planned"])
    yield from _charts.energy(found["totals"])


def charts(document: Document) -> Iterator[Chart]:
    """Yield distributions, values by request, and the readings of sensors."""
    found = document["results"]
    runs, summary = found["runs"], found["summary"]
    warm = [run for run in runs if run["start"] == "warm"] or runs
    yield from _charts.distributions(_HEADLINES[:3], warm, summary)
    for name in _BY_REQUEST:
        yield from _by_request(name, runs, summary[name]["unit"])
    yield from _charts.sensors(document)


def _by_request(name: str, runs: Sequence[Document], unit: str) -> Iterator[Plot]:
    """Yield the values of a measure in the order of the requests, a series for each start."""
    lines = []
    for start in dict.fromkeys(run["start"] for run in runs):
        known = ((i, run) for i, run in enumerate(runs, 1) if run["start"] == start)
        points = [Point(i, run[name]) for i, run in known if run[name] is not None]
        lines += [Line(f"{start} start", points, "dots")] if points else []
    if lines and sum(len(line.points) for line in lines) >= _charts.FEWEST:
        label = HEADLINES[name]
        x, y = Axis("request", "in the order sent", whole=True), Axis(label, unit, low=0.0)
        yield Plot(f"{label[:1].upper()}{label[1:]} by request", x, y, lines)
