"""The measures of a result file of conversations, and how each is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import measures
from pytest_llamaburn.kinds.chat.plan import TURNS
from pytest_llamaburn.measures import STATISTICS, Measure, Observed

if TYPE_CHECKING:
    from collections.abc import Mapping

    Document = Mapping[str, Any]

TITLE = "By turn"
ABOUT = """\
These names are used in gates and comparisons of chat runs. Each turn has its own values. Name a
turn as in `turn_ttft_ms@8`; without one, the last turn is meant.
"""
_FORMULAS = {
    "turn_ttft_ms": (
        "ttft_ms",
        "time to first token, turn",
        "time_to_first_token_ms of a turn whose earlier turns are in the prompt cache",
    ),
    "miss_ttft_ms": (
        "miss_ttft_ms",
        "time to first token, cache miss",
        "time_to_first_token_ms of the same turn if the prompt cache has none of it",
    ),
    "miss_cost_ms": (
        "miss_cost_ms",
        "cost of a cache miss",
        "miss_ttft_ms − turn_ttft_ms, for each conversation",
    ),
    "turn_itl_ms": (
        "inter_token_latency_ms",
        "inter-token latency, turn",
        "inter_token_latency_ms of the turn's answer",
    ),
}


def _turn(
    measure: Measure, document: Document, statistic: str | None, wanted: float | None
) -> Observed:
    turns = document["results"]["turns"]
    at = turns[-1:] if wanted is None else [one for one in turns if one["turn"] == wanted]
    if not at:
        words = "no turn was measured" if wanted is None else f"there is no turn {wanted:g}"
        return measures.missing(words)
    return measures.of_distribution(at[0][measure.field], statistic)


def _error_rate(_measure: Measure, document: Document, *_: object) -> Observed:
    rows = [row for row in document["results"]["runs"] if row["part"] in TURNS]
    failed = sum(row["error"] is not None for row in rows)
    return measures.of_share(failed, len(rows), "no requests")


_OF_TURNS = [
    Measure(
        *(name, "ms", "lower", formula),
        label=label,
        key=f"results.turns[].{field}",
        statistics=STATISTICS,
        of_level=True,
    )
    for name, (field, label, formula) in _FORMULAS.items()
]
MEASURES = {
    **measures.readable(_turn, _OF_TURNS),
    **measures.readable(_error_rate, [measures.ERROR_RATE]),
}
