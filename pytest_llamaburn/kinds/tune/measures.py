"""The measures of a result file with settings of the server, and how each is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import measures
from pytest_llamaburn.measures import Measure, Observed

if TYPE_CHECKING:
    from collections.abc import Mapping

    Document = Mapping[str, Any]

TITLE = "By setting"
ABOUT = """\
These names are used in gates and comparisons of tune runs.
"""
_TIME = Measure(
    *("tuned_time_ms", "ms", "lower"),
    "time of an answer with the fastest setting: time_to_first_token_ms + (OSL − 1) · "
    "inter_token_latency_ms, or only one of them, by --objective; mean over rounds",
    label="time, best setting",
    key="results.best.time_ms",
)
_GAIN = Measure(
    *("tuning_gain", "share", "higher"),
    "1 − time with the fastest setting / time with the slowest one",
    label="gain over the slowest",
    key="results.settings[].more",
)


def _time(_: Measure, document: Document, *__: object) -> Observed:
    best = document["results"]["best"]
    if best is None:
        return measures.missing("no setting has a time")
    return measures.of_distribution(best["time_ms"], None)


def _gain(_: Measure, document: Document, *__: object) -> Observed:
    known = [one for one in document["results"]["settings"] if one["more"] is not None]
    if not known:
        return measures.missing("fewer than two settings have a time")
    slowest = max(known, key=lambda one: one["more"])
    ends = slowest["more_ci95"]
    between = [more / (1 + more) for more in ends] if ends else None
    return Observed(slowest["more"] / (1 + slowest["more"]), between)


def _error_rate(_: Measure, document: Document, *__: object) -> Observed:
    rows = document["results"]["runs"]
    failed = sum(row["error"] is not None for row in rows)
    return measures.of_share(failed, len(rows), "no requests")


MEASURES = {
    **measures.readable(_time, [_TIME]),
    **measures.readable(_gain, [_GAIN]),
    **measures.readable(_error_rate, [measures.ERROR_RATE]),
}
