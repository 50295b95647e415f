"""What every kind of result file is made of: its parts' models, and its status."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from pytest_llamaburn.measures import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.store.journal import Record

STATUS = Literal["complete", "partial", "interrupted", "failed"]
NO_COUNTS = REASONS["no_usage"]
HEADER = (
    *("schema", "schema_version", "session_id", "run_id"),
    *("model", "server", "timestamp", "contended", "config", "environment"),
)


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("input should be 1")  # noqa: TRY004 - pydantic's way to refuse
    return value


Version = Annotated[Literal[1], BeforeValidator(_no_boolean)]  # to Python, true is 1 as well


class Part(BaseModel):
    """Base of all parts: unknown fields are kept, numbers are finite."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class Distribution(Part):
    """The one shape of every summary; `certified` lists the percentiles that n supports."""

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
    ci95: tuple[float, float] | None
    ci95_method: str | None = None
    certified: list[str]
    reason: str | None = None


class ModelFacts(Part):
    """The model under test."""

    id: str
    name: str
    quantization: str | None
    family: str | None
    parameter_size: str | None
    digest: str | None
    context_length: int | None


class ServerFacts(Part):
    """The server under test."""

    kind: str
    version: str | None
    host: str
    local: bool


class RunError(Part):
    """Why a request failed, with the server's own words."""

    kind: str
    phase: str
    status: int | None
    message: str


class RunFile(Part):
    """What the file of every kind of run begins and ends with."""

    schema_version: Version
    session_id: str
    run_id: str
    status: Literal["complete", "partial", "interrupted", "failed"]
    model: ModelFacts
    server: ServerFacts
    timestamp: str
    contended: bool
    config: dict[str, Any]
    environment: dict[str, Any]
    telemetry: dict[str, Any]
    system_profile: list[dict[str, Any]]
    insights: list[dict[str, Any]]


class ComparisonGate(Part):
    """The verdict on one --fail-if for one file."""

    expression: str
    file: str
    change: float | None
    interval: tuple[float, float] | None
    verdict: Literal["pass", "fail", "undecided"]
    reason: str | None
    unit: str | None = None


def status(record: Record, succeeded: int, *, done: bool) -> str:
    """Return complete, partial, interrupted or failed.

    `done` is whether all that was planned was done, whatever became of single requests.
    """
    if record.interrupted:
        return "interrupted"
    if not succeeded:
        return "failed"
    return "complete" if done else "partial"


def totals(errors: Sequence[Mapping[str, Any] | None]) -> dict[str, int]:
    """Return how many requests there were and how they ended, from the error of each or None."""
    failed = sum(error is not None for error in errors)
    return {"requests": len(errors), "succeeded": len(errors) - failed, "failed": failed}


def by_kind(errors: Sequence[Mapping[str, Any] | None]) -> dict[str, int]:
    """Return how many requests failed, by kind of failure."""
    return dict(Counter(error["kind"] for error in errors if error is not None))


def without_counts(lengths: Sequence[float | None]) -> str | None:
    """Return why the tokens of all answers are not known: some or all came without their count."""
    known = sum(length is not None for length in lengths)
    if known == len(lengths):
        return None
    return f"only {known} of {len(lengths)} answers came with a token count" if known else NO_COUNTS


def opening(header: dict[str, Any], status: str) -> dict[str, Any]:
    """Return what a run's file begins with, from its journal's header."""
    return {
        **{k: header[k] for k in HEADER[:4]},
        "status": status,
        **{k: header[k] for k in HEADER[4:]},
    }
