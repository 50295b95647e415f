from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_llamaburn import gates
from pytest_llamaburn.documents import Distribution
from pytest_llamaburn.kinds._file import (
    Part,
    RunFile,
    by_kind,
    opening,
    status,
    totals,
)
from pytest_llamaburn.metrics import summary

from .measures import MEASURES

if TYPE_CHECKING:
    from pytest_llamaburn.store.journal import Record


class EchoResults(Part):
    """What came back."""

    runs: list[dict[str, Any]]
    summary: dict[str, Distribution]
    totals: dict[str, int]
    errors: dict[str, int]
    gates: list[dict[str, Any]]


class File(RunFile):
    """A result file of `llamaburn echo`."""

    schema_: Literal["llamaburn/echo"] = Field(alias="schema")
    results: EchoResults


def check(settings: Any) -> None:
    for expression in settings.threshold:
        gates.parse(expression, MEASURES)


def build(record: Record) -> dict[str, Any]:
    header = record.opened
    errors = [row["error"] for row in record.rows]
    good = [row for row in record.rows if row["error"] is None]
    runs = [{k: v for k, v in row.items() if k != "chunk_gaps_ms"} for row in record.rows]
    done = len(runs) >= record.planned
    document: dict[str, Any] = {
        **opening(header, status(record, len(good), done=done)),
        "results": {
            "runs": runs,
            "summary": summary(good, record.rows),
            "totals": totals(errors) | {"planned": record.planned},
            "errors": by_kind(errors),
        },
        "telemetry": {},
        "system_profile": [],
        "insights": [],
    }
    config = header["config"]
    judged = gates.judged(document, MEASURES, config["threshold"], config["gate_mode"])
    document["results"]["gates"] = [*record.gates, *judged]
    return document
