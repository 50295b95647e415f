"""The measures of a result file with rates by depth, and how each is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import measures
from pytest_llamaburn.measures import STATISTICS, Measure, Observed

if TYPE_CHECKING:
    from collections.abc import Mapping

    Document = Mapping[str, Any]

TITLE = "By depth"
ABOUT = """\
These names are used in gates and comparisons of depth runs. Each depth has its own values. Name a
depth as in `decode_tokens_per_sec@4096`; without one, the lowest depth is meant.
"""
_PLACE = "results.depths[]"
_PREFILL = Measure(
    *("prefill_tokens_per_sec", "tokens/s", "higher"),
    "1000 / slope of time_to_first_token_ms over the tokens of the prompt that were not cached "
    "(median of the slopes of all pairs)",
    label="prefill rate",
    key=f"{_PLACE}.prefill.tokens_per_sec",
    of_level=True,
)
_DECODE = Measure(
    *("decode_tokens_per_sec", "tokens/s", "higher"),
    "tokens_per_sec of an answer that begins at the depth",
    label="decode rate",
    key=f"{_PLACE}.decode",
    statistics=STATISTICS,
    of_level=True,
)
_LATENCY = Measure(
    *("decode_itl_ms", "ms", "lower"),
    "inter_token_latency_ms of an answer that begins at the depth",
    label="inter-token latency",
    key=f"{_PLACE}.inter_token_latency_ms",
    statistics=STATISTICS,
    of_level=True,
)


def _depth(document: Document, wanted: float | None) -> Document | None:
    found = document["results"]["depths"]
    if wanted is None:
        return found[0] if found else None
    return next((one for one in found if one["depth"] == wanted), None)


def _prefill(_: Measure, document: Document, __: str | None, wanted: float | None) -> Observed:
    at = _depth(document, wanted)
    if at is None:
        return measures.missing(_absent(wanted))
    rate = at["prefill"]
    if rate["tokens_per_sec"] is None:
        return measures.missing(rate["reason"])
    return Observed(rate["tokens_per_sec"], rate["ci95"])


def _distribution(
    measure: Measure, document: Document, statistic: str | None, wanted: float | None
) -> Observed:
    at = _depth(document, wanted)
    if at is None:
        return measures.missing(_absent(wanted))
    return measures.of_distribution(at[measure.field], statistic)


def _absent(wanted: float | None) -> str:
    return "no depth was measured" if wanted is None else f"there is no depth {wanted:g}"


def _error_rate(_measure: Measure, document: Document, *_: object) -> Observed:
    rows = document["results"]["runs"]
    failed = sum(row["error"] is not None for row in rows)
    return measures.of_share(failed, len(rows), "no requests")


MEASURES = {
    **measures.readable(_prefill, [_PREFILL]),
    **measures.readable(_distribution, [_DECODE, _LATENCY]),
    **measures.readable(_error_rate, [measures.ERROR_RATE]),
}
