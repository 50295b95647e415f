"""The parts of every kind of result file: their pydantic models, and the run's status."""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from pytest_llamaburn.documents import (
    Distribution,
    Document,
    Failure,
    GateVerdict,
    ModelFacts,
    ServerFacts,
)
from pytest_llamaburn.measures import REASONS
from pytest_llamaburn.metrics import REQUEST
from pytest_llamaburn.store import results
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.documents import Header
    from pytest_llamaburn.store.journal import Record

NO_COUNTS = REASONS["no_usage"]
HEADER = (
    *("schema", "schema_version", "session_id", "run_id"),
    *("model", "server", "timestamp", "contended", "config", "environment"),
)


def _no_boolean(value: object) -> Any:
    if isinstance(value, bool):
        raise ValueError("input should be 1")  # noqa: TRY004 - pydantic expects a ValueError
    return value


Version = Annotated[Literal[1], BeforeValidator(_no_boolean)]  # in Python, True == 1


class Part(BaseModel):
    """Base of all parts: unknown fields are kept, numbers are finite."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class RequestFacts(Part):
    """The fields of a request that do not depend on the kind."""

    timestamp: str
    finish_reason: str | None
    chunks: int
    flags: list[str]
    null_reasons: dict[str, str]
    error: Failure | None


def request_model(name: str, base: type[RequestFacts]) -> type[RequestFacts]:
    """Return the model of a timed request: the fields of `base`, and all metrics of a request."""
    numbers: dict[str, Any] = {
        measure.name: (float | None, Field(description=f"{measure.unit}: {measure.formula}"))
        for measure in REQUEST.values()
    }
    return create_model(name, __base__=base, __doc__="One timed request.", **numbers)


class Results(Part):
    """The results that several kinds of run share."""

    summary: dict[str, Distribution]
    totals: dict[str, int]
    errors: dict[str, int]
    gates: list[GateVerdict]


class RunFile(Part):
    """The fields that the result files of all kinds of run share."""

    schema_version: Version
    session_id: str
    run_id: str
    status: Literal["complete", "partial", "interrupted", "failed"]
    model: ModelFacts
    server: ServerFacts
    timestamp: str
    contended: bool
    config: Document
    environment: Document
    telemetry: Document
    system_profile: list[Document]
    insights: list[Document]


def status(record: Record, succeeded: int, *, done: bool) -> str:
    """Return complete, partial, interrupted or failed.

    `done` is whether all planned requests were sent, whether or not they succeeded.
    """
    if record.interrupted:
        return "interrupted"
    if not succeeded:
        return "failed"
    return "complete" if done else "partial"


def totals(errors: Sequence[Mapping[str, object] | None]) -> dict[str, int]:
    """Return the numbers of all, successful and failed requests; `errors` has None for success."""
    failed = sum(error is not None for error in errors)
    return {"requests": len(errors), "succeeded": len(errors) - failed, "failed": failed}


def by_kind(errors: Sequence[Mapping[str, Any] | None]) -> dict[str, int]:
    """Return the number of failed requests by kind of failure."""
    return dict(Counter(error["kind"] for error in errors if error is not None))


def without_counts(lengths: Sequence[float | None]) -> str | None:
    """Return why the number of all tokens is not known: some answers have no token count."""
    known = sum(length is not None for length in lengths)
    if known == len(lengths):
        return None
    return (
        f"only {known} of {counted(len(lengths), 'answer')} came with a token count"
        if known
        else NO_COUNTS
    )


def opening(header: Header, status: str) -> Document:
    """Return the first fields of a run's result file, from the header of its journal."""
    shared: Mapping[str, Any] = header
    return {
        **{k: shared[k] for k in HEADER[:4]},
        "status": status,
        **{k: shared[k] for k in HEADER[4:]},
    }


def made_now(kind: str) -> Document:
    """Return the first fields of a file of a kind that is made of other files, now."""
    now = datetime.now(UTC)
    return {
        "schema": results.PREFIX + kind,
        "schema_version": results.SCHEMA_VERSION,
        "run_id": f"{now:%Y-%m-%dT%H-%M-%S}-{secrets.token_hex(3)}",
        "status": "complete",
        "timestamp": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
