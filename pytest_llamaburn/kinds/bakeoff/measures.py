"""The measures of a bake-off's result file, and how each is read: those of the first model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import measures, metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.measures import Measure, Observed

    Document = Mapping[str, Any]

TITLE = "Of a bake-off"
ABOUT = """\
`--require` of a bake-off uses these names for each model, and `--threshold` for the model that is
ranked first. A metric of requests is a distribution over the requests.
"""


def _distribution(
    measure: Measure, document: Document, statistic: str | None, _level: float | None
) -> Observed:
    rows = _rows(document)
    values = [v for row in rows if (v := row.get(measure.name)) is not None]
    return measures.of_distribution(document["results"]["summary"][measure.name], statistic, values)


def _rows(document: Document) -> list[Document]:
    """Return the requests to the model that is meant; a file has those of all models."""
    runs, meant = document["results"]["runs"], document["results"].get("winner")
    return [row for row in runs if meant is None or row["model"] == meant]


def _error_rate(_measure: Measure, document: Document, *_: object) -> Observed:
    rows = _rows(document)
    failed = sum(row["error"] is not None for row in rows)
    return measures.of_share(failed, len(rows), "no requests")


MEASURES = {
    **measures.readable(_distribution, metrics.REQUEST.values()),
    **measures.readable(_error_rate, [measures.ERROR_RATE]),
}
