"""The result file of a comparison; `compare.py` makes its content."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pytest_llamaburn.kinds._file import ComparisonGate, ModelFacts, Part, ServerFacts, Version


class ComparedRun(Part):
    """One run of a compared file: the unit of evidence. Values by column, over its prompts."""

    repeat: int
    requests: int
    values: dict[str, float | None]


class ComparedFile(Part):
    """A benchmark that was compared; `label` is what changes, gates and warnings call it."""

    label: str
    path: str
    run_id: str
    model: ModelFacts
    server: ServerFacts
    timestamp: str
    status: str
    baseline: bool
    runs: list[ComparedRun]


class Noise(Part):
    """How much runs of one machine and model vary: a standard deviation as a share.

    `seen` is what `runs` earlier runs varied by; `assumed` where they are too few to be used.
    """

    share: float
    source: Literal["learnt", "assumed"]
    runs: int
    seen: float | None


class Change(Part):
    """What one column of a file is against the baseline; changes are shares, 0.05 is 5 %."""

    file: str
    metric: str
    statistic: str
    unit: str
    better: Literal["lower", "higher", "none"]
    baseline: float | None
    value: float | None
    change: float | None
    interval: tuple[float, float] | None
    verdict: Literal["faster", "slower", "higher", "lower", "same", "inconclusive"]
    reason: str | None
    runs: tuple[int, int]
    prompts: int
    paired: bool
    noise: list[Noise]


class ComparisonWarning(Part):
    """Something besides the numbers that differs between the files."""

    id: str
    text: str


class Method(Part):
    """How the intervals were made; `fixed_n` is the N of total_at_fixed_n_ms."""

    evidence: str
    interval: str
    correction: str
    alarm_rate: float
    intervals: int
    confidence: float
    fixed_n: int | None


class ComparisonResults(Part):
    """What differs between the files."""

    files: list[ComparedFile]
    warnings: list[ComparisonWarning]
    changes: list[Change]
    gates: list[ComparisonGate]
    method: Method


class File(Part):
    """A result file of `llamaburn compare`."""

    schema_: Literal["llamaburn/comparison"] = Field(alias="schema")
    schema_version: Version
    run_id: str
    status: Literal["complete"]
    timestamp: str
    config: dict[str, Any]
    results: ComparisonResults
