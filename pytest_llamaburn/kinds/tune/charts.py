"""The cards and charts of settings of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.charts import Axis, Card, Chart, Forest, Span
from pytest_llamaburn.kinds import _charts
from pytest_llamaburn.tables import half, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from pytest_llamaburn.documents import Document

_MORE = Axis("more time than the best", "%")


def cards(document: Document) -> Iterator[Card]:
    """Yield the best setting, its time, and how many may be as fast."""
    found = document["results"]
    best = found["best"]
    if best is not None:
        together = len(best["together"])
        note = f"{together} more cannot be told apart" if together else "certainly the fastest"
        yield Card("best setting", best["name"], "", "", note)
        time = best["time_ms"]
        spread = f"± {half(time['ci95'])}" if time["ci95"] else ""
        yield Card("time of an answer", number(time["mean"]), "ms", spread, f"n {time['n']}")
    yield _charts.answered(found["totals"], found["totals"]["planned"])


def charts(document: Document) -> Iterator[Chart]:
    """Yield how much more time each setting and each value takes, and the sensors' readings."""
    found = document["results"]
    settings = [(one["name"], one) for one in found["settings"]]
    levels = [
        (f"{effect['option']}={level['value']}", level)
        for effect in found["effects"]
        for level in effect["levels"]
    ]
    for title, entries in (
        ("Settings, against the best one", settings),
        ("Values of options, against the best value", levels),
    ):
        spans = [*_spans(entries)]
        if spans:
            yield Forest(title, _MORE, spans)
    yield from _charts.sensors(document)


def _spans(entries: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[Span]:
    for name, entry in entries:
        if entry["more_ci95"]:
            low, high = (100 * end for end in entry["more_ci95"])
            words = f"{entry['more']:+.1%} [{low:+.1f}, {high:+.1f}]"
            yield Span(name, low, 100 * entry["more"], high, words)
