"""The measures of a benchmark's result file, and how each is read."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import measures, metrics
from pytest_llamaburn.measures import Measure, Observed
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Document = Mapping[str, Any]
    Row = Mapping[str, Any]

TITLE = "Of a benchmark run"
ABOUT = """\
Gates and comparisons use these names. A metric of requests is a distribution over the requests; the
numbers in this table are of the whole run. The energy is that of the devices in
`telemetry.counted`: the GPU boards; if there are none, the whole chip; if there is neither, the CPU
packages.

A benchmark in correctness mode has a `number_accuracy`. Each number counts once, by its first
answer, even if `--repeats`, `--precision` or `--budget` repeats its question. `--numbers` sets how
many numbers are asked.
"""


def counted(document: Document) -> list[Row]:
    """Return the requests that statistics and gates use: the warm ones; in a cold run, all."""
    start = "cold" if document["config"]["start"] == "cold" else "warm"
    return [row for row in document["results"]["runs"] if row["start"] == start]


def at_fixed_n(row: Row, n: int | None) -> float | None:
    """Return the time until the n-th token of an answer in ms, or None if it is not known."""
    first, gap = row["time_to_first_token_ms"], row["inter_token_latency_ms"]
    if first is None or gap is None or n is None:
        return None
    return float(first + (n - 1) * gap)


def median_length(rows: Iterable[Row]) -> int | None:
    """Return the median length of answers in tokens."""
    lengths = [row["output_sequence_length"] for row in rows if row["output_sequence_length"]]
    return round(median(lengths)) if lengths else None


def _distribution(
    measure: Measure, document: Document, statistic: str | None, _level: float | None
) -> Observed:
    values = [v for row in counted(document) if (v := row.get(measure.name)) is not None]
    return measures.of_distribution(document["results"]["summary"][measure.name], statistic, values)


def _fixed_n(
    measure: Measure, document: Document, statistic: str | None, _level: float | None
) -> Observed:
    rows = counted(document)
    n = median_length(rows)
    values = [value for row in rows if (value := at_fixed_n(row, n)) is not None]
    return measures.of_distribution(samples.distribution(values, measure.unit), statistic, values)


def _total(measure: Measure, document: Document, *_: object) -> Observed:
    value = document["results"].get("totals", {}).get(measure.field)
    if value is not None:
        return Observed(value)
    why = document.get("telemetry", {}).get("reason") or document["results"].get("tokens_reason")
    return measures.missing(why or "no value of the whole run")


def _error_rate(_measure: Measure, document: Document, *_: object) -> Observed:
    rows = counted(document)
    failed = sum(row["error"] is not None for row in rows)
    return measures.of_share(failed, len(rows), "no requests")


def _number_accuracy(_measure: Measure, document: Document, *_: object) -> Observed:
    correctness = document["results"].get("correctness")
    if not correctness or correctness["accuracy"] is None:
        return Observed(reason="no answers were judged")
    return Observed(correctness["accuracy"], correctness["wilson95"])


MEASURES = {
    **measures.readable(_distribution, metrics.MEASURES.values()),
    **measures.readable(_fixed_n, [measures.FIXED_N]),
    **measures.readable(_total, measures.ENERGY),
    **measures.readable(_error_rate, [measures.ERROR_RATE]),
    **measures.readable(_number_accuracy, [measures.NUMBER_ACCURACY]),
}
