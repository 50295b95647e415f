"""The result file of a run that measures rates by depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_llamaburn import gates, metrics
from pytest_llamaburn.documents import Distribution, Document
from pytest_llamaburn.kinds import _single
from pytest_llamaburn.kinds._counts import counts
from pytest_llamaburn.kinds._file import Part, RequestFacts, Results, RunFile, request_model
from pytest_llamaburn.kinds.depth import insights, plan
from pytest_llamaburn.kinds.depth.comparable import Comparison
from pytest_llamaburn.kinds.depth.measures import MEASURES
from pytest_llamaburn.kinds.depth.plan import DECODE, PREFILL
from pytest_llamaburn.stats import slopes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.kinds.depth.settings import Depth
    from pytest_llamaburn.store.journal import Record

_CACHED = 0.5  # share of the depth that must come from the cache
_SHORT = 0.9  # a prompt with a smaller share of its tokens was cut by the server


class Prefill(Part):
    """The rate at which a prompt is read: 1000 / slope of the time to the first token.

    `overhead_ms` is the time to the first token of a prompt without a token; it is None if the
    server does not tell how much of a prompt came from its cache.
    """

    tokens_per_sec: float | None
    ci95: tuple[float, float] | None
    overhead_ms: float | None
    n: int
    reason: str | None


class DepthRates(Part):
    """The rates at one depth; those that the server reports are medians."""

    depth: int
    context_tokens: float | None
    prefill: Prefill
    decode: Distribution
    inter_token_latency_ms: Distribution
    server_prefill_tokens_per_sec: float | None
    server_decode_tokens_per_sec: float | None
    reason: str | None


class _Facts(RequestFacts):
    depth: int
    part: Literal["prefill", "decode"]
    tokens: int
    iteration: int


DepthRequest = request_model("DepthRequest", _Facts)


class DepthResults(Results):
    """The results by depth."""

    depths: list[DepthRates]
    runs: list[DepthRequest]  # type: ignore[valid-type]


class File(RunFile):
    """A result file of `llamaburn depth`."""

    schema_: Literal["llamaburn/depth"] = Field(alias="schema")
    results: DepthResults


def check(settings: Depth) -> None:
    """Raise SettingsError for depths, lengths or gates that have no meaning."""
    plan.depths(settings), plan.lengths(settings)
    for expression in settings.threshold:
        gates.parse(expression, MEASURES)
    Comparison.check_asked(settings)


def build(record: Record) -> Document:
    """Return the content of a result file, made from its journal."""
    config = record.opened["config"]
    rates = found(record.rows, config["depths"], record.facts.get("past_context", {}))
    document = _single.content(record, rates)
    document["results"]["gates"] = gates.of_run(document, MEASURES, record.gates)
    document["insights"] = insights.find(document)
    return document


def found(rows: Sequence[Any], depths: str, past: Mapping[str, str]) -> Document:
    """Return the rates at each depth, and the distributions of the answers at all depths.

    `past` has the reason of each depth that is past the loaded context.
    """
    good: list[Any] = [row for row in _single.good(rows) if row["part"] == DECODE]
    asked = counts(depths, "--depths")
    return {
        "depths": [_rates(depth, _of(rows, depth), past.get(str(depth))) for depth in asked],
        "summary": metrics.summary(good, rows),
    }


def _of(rows: Sequence[Document], depth: int) -> list[Document]:
    return [row for row in rows if row["depth"] == depth]


def _rates(depth: int, rows: Sequence[Document], past: str | None) -> Document:
    good = [row for row in _single.good(rows) if not _cut(row)]
    reads = [row for row in good if row["part"] == PREFILL]
    writes = [row for row in good if row["part"] == DECODE]
    reason = past or _why(rows, good)
    return {
        "depth": depth,
        "context_tokens": _single.middle(writes, "input_sequence_length"),
        "prefill": _prefill(reads, depth, reason),
        "decode": _single.spread(writes, "tokens_per_sec", reason),
        "inter_token_latency_ms": _single.spread(writes, "inter_token_latency_ms", reason),
        "server_prefill_tokens_per_sec": _single.middle(reads, "prompt_tokens_per_sec"),
        "server_decode_tokens_per_sec": _single.middle(writes, "server_tokens_per_sec"),
        "reason": reason,
    }


def _cut(row: Document) -> bool:
    """Return whether the server counted far fewer tokens of a prompt than were sent."""
    sent = row["depth"] + (row["tokens"] if row["part"] == PREFILL else 0)
    counted = row["input_sequence_length"]
    return counted is not None and counted < _SHORT * sent


def _why(rows: Sequence[Document], good: Sequence[Document]) -> str | None:
    """Return why a depth has no value at all, or None if it has requests that count."""
    if good:
        return None
    if not rows:
        return "no request was sent: --budget or an interruption ended the run before"
    error = rows[0]["error"]
    if error:
        return f"failed with {error['kind']}: {error['message']}"
    counted = rows[0]["input_sequence_length"]
    return f"the server cut the prompt to {counted} tokens: its context is shorter"


def _prefill(rows: Sequence[Document], depth: int, reason: str | None) -> Document:
    hits = [row for row in rows if (row["cached_tokens"] or 0) >= _CACHED * depth]
    used = hits or [*rows]  # all of them, if the server never has the depth in its cache
    points = [(_read(row), row["time_to_first_token_ms"]) for row in used if _counts(row)]
    line = slopes.slope(points) if len({x for x, _ in points}) >= plan.LEAST_LENGTHS else None
    if line is None or line.value <= 0:
        words = "the time to the first token does not grow with the prompt" if line else _FEW
        return _no_prefill(len(points), reason or words)
    low, high = line.ci95 or (0.0, 0.0)
    return {
        "tokens_per_sec": 1000 / line.value,
        "ci95": [1000 / high, 1000 / low] if low > 0 else None,
        "overhead_ms": line.at_zero if _cache_is_known(used) else None,
        "n": line.n,
        "reason": None if low > 0 else "too few requests, or too noisy ones, for an interval",
    }


_FEW = f"fewer than {plan.LEAST_LENGTHS} lengths of prompts gave a time to the first token"


def _no_prefill(n: int, reason: str) -> Document:
    nothing = dict.fromkeys(("tokens_per_sec", "ci95", "overhead_ms"))
    return {**nothing, "n": n, "reason": reason}


def _cache_is_known(rows: Sequence[Document]) -> bool:
    """Return whether the tokens that were read are known, not only their differences."""
    return all(row["cached_tokens"] is not None for row in rows)


def _counts(row: Document) -> bool:
    return None not in (row["input_sequence_length"], row["time_to_first_token_ms"])


def _read(row: Document) -> float:
    """Return the number of tokens that the server read, without those from its cache."""
    return float(row["input_sequence_length"] - (row["cached_tokens"] or 0))
