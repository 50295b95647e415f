"""The result files of comparisons: one form for the files of each kind; `engine.py` fills them."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import Field, create_model

from pytest_llamaburn.kinds._file import ComparisonGate, ModelFacts, Part, ServerFacts, Version


class Compared(Part):
    """A result file that was compared; `label` is what changes, gates and warnings call it."""

    label: str
    path: str
    run_id: str
    model: ModelFacts
    server: ServerFacts
    timestamp: str
    status: str
    baseline: bool


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


class AnyResults(Part):
    """What differs between the files."""

    files: list[Compared]
    warnings: list[LoadWarning]
    changes: list[LoadChange]
    gates: list[ComparisonGate] = Field(default_factory=list)
    method: dict[str, Any] = Field(default_factory=dict)


class AnyFile(Part):
    """A result file of `llamaburn compare`."""

    schema_: str = Field(alias="schema")
    schema_version: Version
    run_id: str
    status: Literal["complete"]
    timestamp: str
    config: dict[str, Any]
    results: AnyResults


# Of benchmarks


class ComparedRun(Part):
    """One run of a compared file: the unit of evidence. Values by column, over its prompts."""

    repeat: int
    requests: int
    values: dict[str, float | None]


class ComparedFile(Compared):
    """A benchmark that was compared; `label` is what changes, gates and warnings call it."""

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


# Of evals


class ComparedEval(Compared):
    """An eval that was compared; `label` is what differences and warnings call it."""

    eval_set: dict[str, Any]


class EvalWarning(Part):
    """Something besides the marks that differs from the baseline."""

    file: str
    text: str


class Difference(Part):
    """The mean difference of a mark to the baseline, over the questions that both have it for."""

    file: str
    mark: str
    unit: str
    baseline: float | None
    value: float | None
    difference: float | None
    ci95: tuple[float, float] | None
    questions: int
    shared: int
    verdict: Literal["better", "worse", "higher", "lower", "same", "inconclusive"]
    reason: str | None


class EvalComparisonResults(Part):
    """What differs between the evals."""

    files: list[ComparedEval]
    warnings: list[EvalWarning]
    differences: list[Difference]
    method: dict[str, Any]


# Of stress runs


class ComparedLoad(Compared):
    """A stress run that was compared; `label` is what changes and warnings call it."""

    mode: str
    axis: Literal["concurrency", "rate"]


class LoadComparisonResults(AnyResults):
    """What differs between the stress runs."""

    files: list[ComparedLoad]  # type: ignore[assignment]


_RESULTS: dict[str, tuple[type[Part], str]] = {
    "comparison": (ComparisonResults, ""),
    "eval-comparison": (EvalComparisonResults, " for evals"),
    "stress-comparison": (LoadComparisonResults, " for stress runs"),
}


@cache
def file(name: str) -> type[AnyFile]:
    """Return the model of the comparisons of a kind; those of a new kind have any results."""
    model, of = _RESULTS.get(name, (AnyResults, ""))
    schema: Any = Literal.__getitem__(f"llamaburn/{name}")
    return create_model(
        "File",
        __base__=AnyFile,
        __doc__=f"A result file of `llamaburn compare`{of}.",
        schema_=(schema, Field(alias="schema")),
        results=(model, ...),
    )
