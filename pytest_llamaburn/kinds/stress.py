"""The result file of a stress run."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from pytest_llamaburn import gates
from pytest_llamaburn.kinds._parts import Distribution, Part, RunFile, opening
from pytest_llamaburn.load import levels, rows
from pytest_llamaburn.load.step import CLIENTS, Step
from pytest_llamaburn.load.windows import window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_llamaburn.journal import Record
    from pytest_llamaburn.load.rows import Row

FOLDER = "stress"
BASELINE = 0  # the step that one client takes alone


class Level(Part):
    """One number of clients, or one rate; latencies are of successful requests."""

    concurrency: float | None = None
    rate: float | None = None
    requests: int
    excluded: int
    failed: int
    error_rate: float | None
    errors: dict[str, int]
    duration_s: float
    requests_per_sec: float | None
    output_tokens_per_sec: float | None
    total_generation_ms: Distribution
    total_generation_from_schedule_ms: Distribution
    time_to_first_token_ms: Distribution
    time_to_first_token_from_schedule_ms: Distribution
    inter_token_latency_ms: Distribution
    chunk_gap_ms: Distribution
    client_health: dict[str, Any]


class StressResults(Part):
    """What a stress run found."""

    baseline: Level | None
    levels: list[Level]
    timeline: list[dict[str, Any]]
    totals: dict[str, float | None]
    errors: dict[str, int]
    client_health: dict[str, Any]
    gates: list[dict[str, Any]]


class File(RunFile):
    """A result file of `llamaburn stress`."""

    schema_: Literal["llamaburn/stress"] = Field(alias="schema")
    results: StressResults


def stem(header: Mapping[str, Any]) -> str:
    """Return what the file's name begins with."""
    return f"{header['model']['id']}_{header['config']['mode']}"


def check(settings: Any) -> None:
    """Raise SettingsError for a gate that means nothing."""
    gates.parse_all(settings.threshold)


def build(record: Record) -> dict[str, Any]:
    """Return the content of a stress run's result file, made from its journal and its rows."""
    header = record.header or {}
    steps = _steps(record, list(rows.read(record.folder)))
    everything = [row for step in steps for row in step.rows]
    document: dict[str, Any] = {
        **opening(header, _status(record, everything)),
        "results": _results(record, steps, everything),
        "telemetry": {"provider": None, "scope": None, "reason": "no_provider", "notes": []},
        "system_profile": [],
        "insights": [],
    }
    return document


class _Step(NamedTuple):
    """A step as it was taken: its load, its rows, and how our side kept up."""

    number: int
    load: Step
    part: levels.Part

    @property
    def rows(self) -> list[Row]:
        """The requests."""
        return self.part.rows


def _steps(record: Record, found: Sequence[Row]) -> list[_Step]:
    """Return the steps in order; of one that was cut and taken again, only the later try."""
    begun = {s["step"]: s for s in record.steps if "load" in s}  # a later try replaces
    health = {(s["step"], s["attempt"]): s["health"] for s in record.steps if "health" in s}
    grouped: dict[tuple[int, int], list[Row]] = {}
    for row in found:
        grouped.setdefault((row.step, row.attempt), []).append(row)
    steps = []
    for number, said in sorted(begun.items()):
        key = (number, said["attempt"])
        part = levels.Part(grouped.get(key, []), said["started_ns"], health.get(key, {}))
        steps.append(_Step(number, Step(*said["load"].values()), part))
    return steps


def _status(record: Record, everything: Sequence[Row]) -> str:
    if record.interrupted:
        return "interrupted"
    if not any(row.error is None for row in everything):
        return "failed"
    return "complete" if "findings" in record.facts else "partial"


def _results(record: Record, steps: Sequence[_Step], everything: Sequence[Row]) -> dict[str, Any]:
    header = record.header or {}
    config = header["config"]
    excluded = levels.Excluded(
        window(config["warmup_window"], "--warmup-window"),
        window(config["cooldown_window"], "--cooldown-window"),
    )
    baseline = [step.part for step in steps if step.number == BASELINE]
    none = levels.Excluded(window(None, ""), window(None, ""))
    return {
        "baseline": levels.summarize(1, CLIENTS, baseline, none) if baseline else None,
        "levels": _levels(steps, excluded),
        "timeline": levels.timeline(everything, steps[0].part.started_ns) if steps else [],
        "totals": _totals(everything),
        "errors": dict(Counter(row.error["kind"] for row in everything if row.error)),
        "client_health": {"calibration": record.facts.get("calibration")},
        "gates": [],
    }


def _levels(steps: Iterable[_Step], excluded: levels.Excluded) -> list[dict[str, Any]]:
    """Return the levels, lowest first; all steps at one level are one."""
    loads = [step for step in steps if step.number != BASELINE and step.rows]
    loads.sort(key=lambda step: (step.load.level, step.number))
    found = []
    for (level, unit), group in groupby(loads, key=lambda step: step.load[:2]):
        parts = [step.part for step in group]
        found.append(levels.summarize(level, unit, parts, excluded))
    return found


def _totals(everything: Sequence[Row]) -> dict[str, Any]:
    good = [row for row in everything if row.error is None]
    tokens = [row.values["output_sequence_length"] or 0 for row in good]
    return {
        "requests": len(everything),
        "succeeded": len(good),
        "failed": len(everything) - len(good),
        "output_tokens": sum(tokens) if tokens else None,
    }
