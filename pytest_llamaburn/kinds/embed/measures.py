"""The measures of a result file of embeddings or rankings, and how each is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import measures
from pytest_llamaburn.measures import STATISTICS, Measure, Observed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Document = Mapping[str, Any]

TITLE = "By batch"
ABOUT = """\
These names are used in gates and comparisons of embed runs. Each batch size has its own values.
Name one as in `texts_per_sec@32`; without one, the largest batch is meant. Of several lengths of
the texts, the shortest is meant: measure one length (`--isl`) to gate another.
"""


def _speed(name: str, unit: str, better: str, formula: str, field: str, label: str) -> Measure:
    return Measure(
        *(name, unit, better, formula),
        source="both" if field == "tokens_per_sec" else "client",
        label=label,
        key=f"results.cells[].{field}",
        statistics=STATISTICS,
        of_level=True,
    )


_SPEEDS = (
    _speed(
        *("texts_per_sec", "texts/s", "higher"),
        "1000 · texts of a request / its latency",
        *("texts_per_sec", "texts per second"),
    ),
    _speed(
        *("embed_tokens_per_sec", "tokens/s", "higher"),
        "1000 · the server's count of tokens in all texts of a request / its latency",
        *("tokens_per_sec", "tokens per second, embedding"),
    ),
    _speed(
        *("embed_latency_ms", "ms", "lower"),
        "last byte of the answer − request sent",
        *("latency_ms", "latency of a request"),
    ),
)
_APART = "largest difference of the numbers of a text's vectors / length of the vector"
_DIFFERENCES = {
    "repeat_difference": ("repeat", f"{_APART}, when it is sent again"),
    "batch_difference": ("batch", f"{_APART}, when it is sent alone and in a batch"),
    "order_difference": (
        "order",
        "largest difference of a document's scores / max(1, score), in reverse order",
    ),
}
_SHARES = {
    "similarity_share": (
        "similarity",
        "statements whose vector is nearer to that of a like statement than to another's / all",
    ),
    "relevance_share": (
        "relevance",
        "queries whose relevant document has the highest score / all",
    ),
}
_OF_CHECKS = {**_DIFFERENCES, **_SHARES}
_FAILED = Measure(
    *("checks_failed", "checks", "lower", "checks of the vectors or scores that did not pass"),
    label="checks failed",
    key="results.checks[].passed",
)


def headline(cells: Sequence[Document]) -> Document | None:
    """Return the cell that gates mean without a batch size: the largest, of the shortest texts."""
    return _cell(cells, None)


def check_of(document: Document, name: str) -> Document | None:
    """Return the check of this name, or None."""
    return next((one for one in document["results"]["checks"] if one["name"] == name), None)


def _cell(cells: Sequence[Document], wanted: float | None) -> Document | None:
    shortest = min((cell["length"] for cell in cells), default=None)
    own = [cell for cell in cells if cell["length"] == shortest]
    if wanted is None:
        return max(own, key=lambda cell: cell["batch"], default=None)
    return next((cell for cell in own if cell["batch"] == wanted), None)


def _of_cell(
    measure: Measure, document: Document, statistic: str | None, wanted: float | None
) -> Observed:
    cells, rows = document["results"]["cells"], document["results"].get("runs", ())
    cell = _cell(cells, wanted)
    if cell is None:
        return measures.missing(f"there is no batch of {wanted:g}" if wanted else "no batch")
    own = [r for r in rows if (r["batch"], r["length"]) == (cell["batch"], cell["length"])]
    values = [row[measure.field] for row in own if row[measure.field] is not None]
    return measures.of_distribution(cell[measure.field], statistic, values)


def _of_check(measure: Measure, document: Document, *_: object) -> Observed:
    name = _OF_CHECKS[measure.name][0]
    check = check_of(document, name)
    if check is None:
        return measures.missing(f"the check '{name}' was not made")
    value = check[measure.field]
    if value is None:
        return measures.missing(check["reason"] or f"the check '{name}' compared nothing")
    return Observed(value, check["ci95"] if measure.field == "share" else None)


def _failed(_: Measure, document: Document, *__: object) -> Observed:
    checks = document["results"]["checks"]
    if not checks:
        return measures.missing("no check was made")
    return Observed(sum(check["passed"] is not True for check in checks))


def _error_rate(_: Measure, document: Document, *__: object) -> Observed:
    rows = document["results"]["runs"]
    failed = sum(row["error"] is not None for row in rows)
    return measures.of_share(failed, len(rows), "no requests")


def _checked(table: Mapping[str, tuple[str, str]], field: str, better: str) -> list[Measure]:
    key = f"results.checks[].{field}"
    return [
        Measure(name, "share", better, formula, label=name.replace("_", " "), key=key)
        for name, (_, formula) in table.items()
    ]


MEASURES = {
    **measures.readable(_of_cell, _SPEEDS),
    **measures.readable(_of_check, _checked(_DIFFERENCES, "difference", "lower")),
    **measures.readable(_of_check, _checked(_SHARES, "share", "higher")),
    **measures.readable(_failed, [_FAILED]),
    **measures.readable(_error_rate, [measures.ERROR_RATE]),
}
