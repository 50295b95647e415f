"""The cards and charts of an audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.charts import Axis, Card, Chart, Entry, Forest, Line, Plot, Point, Span
from pytest_llamaburn.criteria import SCORES
from pytest_llamaburn.kinds.audit import material, words
from pytest_llamaburn.tables import ABSENT, half, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.documents import Document


def cards(document: Document) -> Iterator[Card]:
    """Yield the share of texts with each kind of error that score lower than the right answer."""
    for one in document["results"]["errors"]:
        noticed = one["noticed"]
        share = ABSENT if noticed["value"] is None else f"{100 * noticed['value']:.0f}"
        ends = noticed["ci95"] and [100 * end for end in noticed["ci95"]]
        spread = f"± {half(ends)}" if ends else ""
        label = f"{words.ERRORS[one['kind']]} noticed"
        yield Card(label, share, "%", spread, f"{one['verdict']}, n {noticed['n']}")


def charts(document: Document) -> Iterator[Chart]:
    """Yield the score by dose of each kind of error, and the shifts of the manipulations."""
    found = document["results"]
    lines = [_line(one) for one in found["errors"] if len(one["doses"]) > 1]
    if lines:
        x = Axis("dose: errors, or quarters that are cut off", at=range(material.MOST_DOSE + 1))
        y = Axis("mean score", low=float(SCORES[0]), high=float(SCORES[-1]))
        yield Plot("Score by dose of planted errors", x, y, lines)
    spans = [
        Span(
            words.MANIPULATIONS[one["kind"]],
            one["shift"]["ci95"][0],
            one["shift"]["value"],
            one["shift"]["ci95"][1],
            words.signed(one["shift"]["value"]),
            one["verdict"],
        )
        for one in found["manipulations"]
        if one["unit"] == "score" and one["shift"]["ci95"]
    ]
    if spans:
        yield Forest("What sways the judge", Axis("change of the score", "", -1, 1), spans, 0.5)


def entries(document: Document) -> Iterator[Entry]:
    """Yield every text that the judge was shown, with its score and reasons."""
    for probe in document["results"]["probes"]:
        reasons = [("reasons", one["reasoning"]) for one in probe["judgments"] if one["reasoning"]]
        yield Entry(
            f"{probe['question_id']}: {probe['kind'].replace('_', ' ')}, dose {probe['dose']}",
            number(probe["score"]),
            [probe["criterion"] or "preference", probe["state"]],
            {"kind": probe["kind"], "dose": str(probe["dose"]), "state": probe["state"]},
            [("text", probe["text"]), *reasons],
        )


def _line(found: Document) -> Line:
    points = [Point(one["dose"], one["value"], *(one["ci95"] or ())) for one in found["doses"]]
    return Line(words.ERRORS[found["kind"]], points)
