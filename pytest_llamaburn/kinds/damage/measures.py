"""The measures of a result file of damage, and how each is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import measures, metrics
from pytest_llamaburn.measures import Measure, Observed

if TYPE_CHECKING:
    from collections.abc import Mapping

    Document = Mapping[str, Any]

TITLE = "Of a damage run"
ABOUT = """\
These names are used in gates and comparisons of damage runs. They say how far the second model is
from the reference. The metrics of requests are those of the second model's answers.
"""
_NUMBERS = (
    Measure(
        *("kl_divergence", "nats", "lower"),
        "mean of Σ p · ln(p / q) over the reference's likeliest tokens, with all others as one; p "
        "and q are the probabilities of the next token in the reference and the second model "
        "(a lower bound of the divergence over all tokens)",
        label="KL divergence",
        key="results.kl_divergence",
    ),
    Measure(
        *("changed_tokens", "share", "lower"),
        "places at which the likeliest token is another one / places",
        label="changed tokens",
        key="results.changed_tokens",
    ),
    Measure(
        *("perplexity_ratio", "ratio", "lower"),
        "exp(Σ (log probability in the reference − in the second model) / tokens) of whole texts",
        label="perplexity ratio",
        key="results.perplexity_ratio",
    ),
    Measure(
        *("speed_ratio", "ratio", "higher"),
        "geometric mean of tokens_per_sec of the second model / the reference, prompt by prompt",
        label="speed ratio",
        key="results.speed_ratio",
    ),
)


def _number(measure: Measure, document: Document, *_: object) -> Observed:
    found = document["results"][measure.field]
    if found["value"] is None:
        return measures.missing(found["reason"])
    return Observed(found["value"], found["ci95"])


def _distribution(
    measure: Measure, document: Document, statistic: str | None, _level: float | None
) -> Observed:
    rows = document["results"]["runs"]
    mine = [row for row in rows if (row["role"], row["part"]) == ("other", "answer")]
    values = [value for row in mine if (value := row.get(measure.name)) is not None]
    return measures.of_distribution(document["results"]["summary"][measure.name], statistic, values)


def _error_rate(_measure: Measure, document: Document, *_: object) -> Observed:
    rows = document["results"]["runs"]
    failed = sum(row["error"] is not None for row in rows)
    return measures.of_share(failed, len(rows), "no requests")


MEASURES = {
    **measures.readable(_number, _NUMBERS),
    **measures.readable(_distribution, metrics.REQUEST.values()),
    **measures.readable(_error_rate, [measures.ERROR_RATE]),
}
