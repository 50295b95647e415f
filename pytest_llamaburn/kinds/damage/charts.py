"""The cards and charts of damage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.charts import Axis, Card, Chart, Forest, Line, Plot, Point, Span
from pytest_llamaburn.kinds import _charts
from pytest_llamaburn.kinds.damage.table import ends, small
from pytest_llamaburn.measures import REASONS
from pytest_llamaburn.tables import ABSENT, half, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.documents import Document

_LEAST_PLACES = 5


def cards(document: Document) -> Iterator[Card]:
    """Yield the divergence, the changed tokens, the ratios, and the speed of both models."""
    found = document["results"]
    for field, label, unit, scale in (
        ("kl_divergence", "KL divergence", "nats", 1),
        ("changed_tokens", "changed tokens", "%", 100),
        ("perplexity_ratio", "perplexity, model / reference", "", 1),
        ("speed_ratio", "speed, model / reference", "", 1),
    ):
        yield _card(label, unit, found[field], scale)
    for role in ("reference", "other"):
        speed = found[role]["summary"]["tokens_per_sec"]
        spread = f"± {half(speed['ci95'])}" if speed["ci95"] else ""
        name = f"{found[role]['name']} ({role})"
        why = speed.get("reason")
        note = f"n {speed['n']}" if speed["n"] else REASONS.get(why, why)
        yield Card(name, number(speed["mean"]), "tokens/s", spread, note)


def _card(label: str, unit: str, figure: Document, scale: float) -> Card:
    if figure["value"] is None:
        return Card(label, ABSENT, "", "", figure["reason"] or "")
    spread = f"[{ends([scale * end for end in figure['ci95']])}]" if figure["ci95"] else ""
    return Card(label, small(scale * figure["value"]), unit, spread, f"n {figure['n']}")


def charts(document: Document) -> Iterator[Chart]:
    """Yield the divergence by kind of text, its distribution, and the readings of sensors."""
    found = document["results"]
    spans = [
        Span(
            one["category"],
            one["kl_divergence"]["ci95"][0],
            one["kl_divergence"]["value"],
            one["kl_divergence"]["ci95"][1],
            f"{small(one['kl_divergence']['value'])} nats",
        )
        for one in found["categories"]
        if one["kl_divergence"]["ci95"]
    ]
    if spans:
        high = max(span.high for span in spans)
        yield Forest("KL divergence by kind of text", Axis("KL", "nats", 0.0, high), spans)
    yield from _ranked(found["places"])
    yield from _charts.sensors(document)


def _ranked(places: list[Document]) -> Iterator[Plot]:
    """Yield the divergence at every place, the largest first: few places carry most of it."""
    if len(places) < _LEAST_PLACES or not any(place["kl"] for place in places):
        return
    ordered = sorted(places, key=lambda place: -place["kl"])
    lines = []
    for changed, name in ((True, "another likeliest token"), (False, "the same likeliest token")):
        points = [
            Point(rank, place["kl"])
            for rank, place in enumerate(ordered, 1)
            if place["changed"] is changed
        ]
        lines += [Line(name, points, "dots")] if points else []
    x, y = Axis("place, the most damaged first", whole=True), Axis("KL", "nats", low=0.0)
    yield Plot("KL divergence at each place", x, y, lines)
