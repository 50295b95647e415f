"""The result file of a comparison of stress runs; `compare_stress.py` makes its content."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pytest_llamaburn.kinds._file import ComparisonGate, ModelFacts, Part, ServerFacts, Version


class ComparedLoad(Part):
    """A stress run that was compared; `label` is what changes and warnings call it."""

    label: str
    path: str
    run_id: str
    model: ModelFacts
    server: ServerFacts
    timestamp: str
    status: str
    baseline: bool
    mode: str
    axis: Literal["concurrency", "rate"]


class LoadWarning(Part):
    """Something besides the numbers that differs from the baseline."""

    file: str
    text: str


class LoadNoise(Part):
    """How much earlier runs of the same load differ: the deviation of logs, of shares their own."""

    runs: int
    std: float


class LoadChange(Part):
    """What one number is against the baseline's: at a level, or of a point.

    A change of 0.05 is 5 % more; of a share it is the difference, 5 points.
    """

    file: str
    level: float | None
    metric: str
    statistic: str | None
    unit: str
    better: Literal["lower", "higher", "none"]
    baseline: float | None
    value: float | None
    change: float | None
    interval: tuple[float, float] | None
    verdict: Literal["better", "worse", "higher", "lower", "same", "inconclusive"]
    reason: str | None
    noise: LoadNoise | None = None


class LoadComparisonResults(Part):
    """What differs between the stress runs."""

    files: list[ComparedLoad]
    warnings: list[LoadWarning]
    changes: list[LoadChange]
    gates: list[ComparisonGate] = Field(default_factory=list)
    method: dict[str, Any] = Field(default_factory=dict)


class File(Part):
    """A result file of `llamaburn compare` for stress runs."""

    schema_: Literal["llamaburn/stress-comparison"] = Field(alias="schema")
    schema_version: Version
    run_id: str
    status: Literal["complete"]
    timestamp: str
    config: dict[str, Any]
    results: LoadComparisonResults
