"""The result file of a run that embeds or reranks texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_llamaburn import documents, gates
from pytest_llamaburn.documents import Distribution, Document, Failure
from pytest_llamaburn.kinds import _single
from pytest_llamaburn.kinds._file import Part, Results, RunFile
from pytest_llamaburn.kinds.embed import insights, plan
from pytest_llamaburn.kinds.embed.comparable import Comparison
from pytest_llamaburn.kinds.embed.measures import MEASURES, headline
from pytest_llamaburn.kinds.embed.plan import OVERFLOW
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.kinds.embed.plan import Cell
    from pytest_llamaburn.kinds.embed.settings import Embed
    from pytest_llamaburn.store.journal import Record

UNITS = {"texts_per_sec": "texts/s", "tokens_per_sec": "tokens/s", "latency_ms": "ms"}
# The names of measures, as lists know `tokens_per_sec` as the speed at which a model writes.
_SUMMARY = {
    "texts_per_sec": "texts_per_sec",
    "embed_tokens_per_sec": "tokens_per_sec",
    "embed_latency_ms": "latency_ms",
}
_TOO_LONG = "not sent: a text of this length did not fit into the context"
_NOT_SENT = "no request was sent: --budget or an interruption ended the run before"


class EmbedCell(Part):
    """The speed with one batch size and one length of the texts.

    `tokens_per_text` is a median of the server's counts.
    """

    batch: int
    length: int
    texts_per_sec: Distribution
    tokens_per_sec: Distribution
    latency_ms: Distribution
    tokens_per_text: float | None
    requests: int
    failed: int
    reason: str | None


class Vectors(Part):
    """The vectors' number of numbers, and their lengths; `normalised` if all are 1 ± 0.001 long."""

    dimension: int
    shortest: float
    longest: float
    normalised: bool


class Check(Part):
    """A check of the vectors or scores: how many of `n` were right.

    `difference` is the largest of all pairs, as a share of the vector's length; `cosine` is the
    smallest. `reason` says what went wrong.
    """

    name: Literal["repeat", "batch", "order", "similarity", "relevance"]
    n: int
    right: int
    share: float | None
    ci95: tuple[float, float] | None
    difference: float | None
    cosine: float | None
    passed: bool | None
    reason: str | None


class EmbedRequest(Part):
    """One timed request: its number of texts, their length, and the time until its last byte."""

    batch: int
    length: int
    iteration: int
    timestamp: str
    latency_ms: float | None
    texts_per_sec: float | None
    tokens: float | None
    tokens_per_sec: float | None
    connect_ms: float | None
    load_duration_ms: float | None
    flags: list[str]
    null_reasons: dict[str, str]
    error: Failure | None


class EmbedResults(Results):
    """The results by batch size and length; `vectors` is None for reranking."""

    task: Literal["embed", "rerank"] | None
    length_unit: Literal["tokens", "words"] | None
    cells: list[EmbedCell]
    vectors: Vectors | None
    checks: list[Check]
    runs: list[EmbedRequest]


class File(RunFile):
    """A result file of `llamaburn embed`."""

    schema_: Literal["llamaburn/embed"] = Field(alias="schema")
    results: EmbedResults


def check(settings: Embed) -> None:
    """Raise SettingsError for batches, lengths or gates that have no meaning."""
    plan.check(settings)
    for expression in settings.threshold:
        gates.parse(expression, MEASURES)
    Comparison.check_asked(settings)


def build(record: Record) -> Document:
    """Return the content of a result file, made from its journal."""
    results = found(record.rows, record.opened["config"], record.facts.pop("embedding", {}))
    document = _single.content(record, results)
    document["results"]["gates"] = gates.of_run(document, MEASURES, record.gates)
    document["insights"] = insights.find(document)
    return document


def found(rows: Sequence[Any], config: Mapping[str, Any], facts: Mapping[str, Any]) -> Document:
    """Return the speed of each batch size and length, and what is known of the vectors.

    `summary` is the speed of the largest batch of the shortest texts.
    """
    cells = [_cell(cell, rows) for cell in plan.cells(config)]
    first = headline(cells)
    return {
        "task": facts.get("task"),
        "length_unit": facts.get("length_unit"),
        "cells": cells,
        "vectors": facts.get("vectors"),
        "checks": facts.get("checks", []),
        "summary": {name: first[field] for name, field in _SUMMARY.items()} if first else {},
    }


def _cell(cell: Cell, rows: Sequence[Document]) -> Document:
    own = [row for row in rows if (row["batch"], row["length"]) == cell]
    good = _single.good(own)
    reason = None if good else _why(own, [row for row in rows if row["length"] == cell.length])
    each = [{"tokens": row["tokens"] / cell.batch} for row in good if row["tokens"] is not None]
    return {
        **cell._asdict(),
        **{name: _spread(good, name, unit, reason) for name, unit in UNITS.items()},
        "tokens_per_text": _single.middle(each, "tokens"),
        "requests": len(own),
        "failed": len(own) - len(good),
        "reason": reason,
    }


def _why(own: Sequence[Document], of_length: Sequence[Document]) -> str:
    """Return why a cell has no speed, from its requests and all of that length."""
    error = next((row["error"] for row in own if row["error"]), None)
    if error:
        return f"failed with {error['kind']}"
    kinds = [row["error"]["kind"] for row in of_length if row["error"]]
    return _TOO_LONG if OVERFLOW in kinds else _NOT_SENT


def _spread(good: Sequence[Document], name: str, unit: str, reason: str | None) -> Distribution:
    missing = next((why for row in good if (why := row["null_reasons"].get(name))), reason)
    return samples.distribution(documents.values(good, name), unit, missing)
