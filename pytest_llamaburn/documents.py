"""The shapes of JSON that modules pass on: rows, headers, verdicts and documents.

They are plain dicts at runtime. The types name their fields for readers and for mypy; the models of
result files use the same types, so pydantic checks the same fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # pydantic cannot read that of Python 3.11

Document = dict[str, Any]  # the content of a result file, or a part of it
Decision = Literal["pass", "fail", "undecided"]  # of a gate
Interval = tuple[float, float]  # the lower and the upper limit; in JSON, a list


class Failure(TypedDict):
    """Why a request failed; `message` is the server's."""

    kind: str
    phase: str
    status: int | None
    message: str


class Clock(TypedDict):
    """When a request was in flight, in ns of the monotonic clock of a profiler's `segment`."""

    segment: str
    sent_ns: int
    first_ns: int | None
    end_ns: int


class Outcome(TypedDict):
    """How a request ended: its metrics, or its failure.

    A metric that was not measured is None, and `null_reasons` says why.
    """

    timestamp: str
    finish_reason: str | None
    chunks: int
    chunk_gaps_ms: list[float]
    flags: list[str]
    null_reasons: dict[str, str]
    error: Failure | None
    prompt_characters: NotRequired[int]
    media_tokens: NotRequired[float | None]
    expected_media_tokens: NotRequired[int]
    time_to_first_token_ms: float | None
    time_to_first_answer_token_ms: float | None
    inter_token_latency_ms: float | None
    tokens_per_sec: float | None
    e2e_tokens_per_sec: float | None
    total_generation_ms: float | None
    stream_ms: float | None
    connect_ms: float | None
    queue_ms: float | None
    load_duration_ms: float | None
    prompt_eval_ms: float | None
    prompt_tokens_per_sec: float | None
    server_tokens_per_sec: float | None
    input_sequence_length: int | None
    output_sequence_length: int | None
    cached_tokens: int | None
    tokens_per_chunk: float | None
    power_draw_watts: float | None
    energy_wh: float | None


class ToolCall(TypedDict):
    """A call: the name of the tool and the arguments; `fault` says why a part is unreadable."""

    name: str | None
    arguments: dict[str, Any] | None
    fault: str | None


class RequestRow(Outcome):
    """A finished request of a run; kinds of run add what they asked."""

    prompt_id: str
    iteration: int
    start: str
    answer: str | None
    clock: NotRequired[Clock]


class BenchmarkRow(RequestRow):
    """A finished request of a benchmark."""

    category: str
    prompt_sha256: str
    repeat: int


class Distribution(TypedDict):
    """The summary of a sample; without values it has a reason.

    `certified` lists the percentiles for which `n` samples are enough.
    """

    unit: str
    n: int
    mean: float | None
    std: float | None
    cv: float | None
    min: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p99_9: float | None
    max: float | None
    ci95: Interval | None
    ci95_method: NotRequired[str]
    certified: list[str]
    reason: NotRequired[str | None]


class GateVerdict(TypedDict):
    """The verdict of a gate on a value; `margin` is negative if the gate fails."""

    expression: str
    value: float | None
    ci95: Sequence[float] | None
    margin: float | None
    verdict: Decision
    reason: str | None


class ChangeVerdict(TypedDict):
    """The verdict of a gate on the change from one file to another."""

    expression: str
    file: str
    change: float | None
    interval: Interval | None
    verdict: Decision
    reason: str | None
    unit: NotRequired[str | None]


class ModelFacts(TypedDict):
    """The model under test."""

    id: str
    name: str
    quantization: str | None
    family: str | None
    parameter_size: str | None
    digest: str | None
    context_length: int | None


class ServerFacts(TypedDict):
    """The server under test."""

    kind: str
    version: str | None
    host: str
    local: bool


class LoadedModel(TypedDict):
    """A model in the memory of a server; `gpu_share` is the share of it on GPUs."""

    name: str
    size_mb: float | None
    gpu_share: float | None
    context_length: int | None


class Header(TypedDict):
    """The first line of a journal: what is run, on what, with which settings.

    A kind of run adds fields of its own.
    """

    schema: str
    schema_version: int
    session_id: str
    run_id: str
    timestamp: str
    model: ModelFacts
    server: ServerFacts
    config: Document
    contended: bool
    environment: Document


def values(rows: Iterable[Mapping[str, Any]], metric: str) -> list[float]:
    """Return the values of a metric that were measured."""
    return [row[metric] for row in rows if row[metric] is not None]
