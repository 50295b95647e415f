"""The measures of a result file with the memory by context, and how each is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import measures
from pytest_llamaburn.measures import STATISTICS, Measure, Observed

if TYPE_CHECKING:
    from collections.abc import Mapping

    Document = Mapping[str, Any]

TITLE = "By context"
ABOUT = """\
These names are used in gates and comparisons of fit runs. Those of a step name its context, as in
`memory_mb@8192`; without one, the smallest context is meant. With several types of the KV cache,
the first one is meant.
"""
_LARGEST = Measure(
    *("largest_context", "tokens", "higher"),
    "largest context with which the model stays wholly on the GPU, or in RAM without a GPU",
    label="largest context",
    key="results.series[].largest_context",
)
_LOSS = Measure(
    *("spill_loss", "share", "lower"),
    "1 − decode rate with the first context beyond the largest / that with the largest",
    label="loss past the edge",
    key="results.series[].spill_loss",
)
_ERROR = Measure(
    *("prediction_error", "share", "lower"),
    "largest |predicted / reported size − 1| of all steps",
    label="error of the prediction",
    key="results.steps[].difference",
)
_MEMORY = Measure(
    *("memory_mb", "MB", "lower", "memory of the loaded model, as the server reports it", "server"),
    label="memory",
    key="results.steps[].total_bytes",
    of_level=True,
)
_DECODE = Measure(
    *("step_tokens_per_sec", "tokens/s", "higher"),
    "tokens_per_sec of a short answer with the context loaded, but hardly filled",
    label="decode rate",
    key="results.steps[].decode",
    statistics=STATISTICS,
    of_level=True,
)


def _of_series(measure: Measure, document: Document, *_: object) -> Observed:
    found = document["results"]["series"]
    if not found or found[0][measure.name] is None:
        return measures.missing(found[0]["reason"] if found else "no context was tried")
    value = found[0][measure.name]
    known = (value, value) if measure is not _LOSS else found[0]["spill_loss_ci95"]
    return Observed(value, known)


def _error(_: Measure, document: Document, *__: object) -> Observed:
    every = [step["difference"] for step in document["results"]["steps"]]
    known = [abs(difference) for difference in every if difference is not None]
    if not known:
        return measures.missing("no step has both a prediction and a size")
    return Observed(max(known), (max(known), max(known)))


def _step(document: Document, wanted: float | None) -> Document | str:
    found = document["results"]["steps"]
    first = [step for step in found if step["kv_type"] == found[0]["kv_type"]]
    named = [step for step in first if wanted in (None, step["num_ctx"])]
    if named:
        return dict(named[0])
    return "no context was tried" if wanted is None else f"no context of {wanted:g} was tried"


def _memory(_: Measure, document: Document, __: str | None, wanted: float | None) -> Observed:
    step = _step(document, wanted)
    if isinstance(step, str):
        return measures.missing(step)
    if step["total_bytes"] is None:
        return measures.missing(step["reason"] or "not_reported")
    size = step["total_bytes"] / 1e6
    return Observed(size, (size, size))


def _decode(
    _: Measure, document: Document, statistic: str | None, wanted: float | None
) -> Observed:
    step = _step(document, wanted)
    if isinstance(step, str):
        return measures.missing(step)
    return measures.of_distribution(step["decode"], statistic)


def _error_rate(_: Measure, document: Document, *__: object) -> Observed:
    rows = document["results"]["runs"]
    failed = sum(row["error"] is not None for row in rows)
    return measures.of_share(failed, len(rows), "no requests")


MEASURES = {
    **measures.readable(_of_series, [_LARGEST, _LOSS]),
    **measures.readable(_error, [_ERROR]),
    **measures.readable(_memory, [_MEMORY]),
    **measures.readable(_decode, [_DECODE]),
    **measures.readable(_error_rate, [measures.ERROR_RATE]),
}
