"""The models of comparison files, by the kind of the compared files; `engine.py` builds them."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import Field, create_model

from pytest_llamaburn.documents import ChangeVerdict, Document, ModelFacts, ServerFacts
from pytest_llamaburn.kinds._file import Part, Version


class Compared(Part):
    """A compared result file; changes, gates and warnings name it by its `label`."""

    label: str
    path: str
    run_id: str
    model: ModelFacts
    server: ServerFacts
    timestamp: str
    status: str
    baseline: bool


class LoadWarning(Part):
    """A difference from the baseline in settings, model, server or machine."""

    file: str
    text: str


class LoadNoise(Part):
    """The variation of earlier runs: the standard deviation of logarithms; of shares, of values."""

    runs: int
    std: float


class LoadChange(Part):
    """The change of one number from the baseline to a file, at a level or of a point.

    A change of 0.05 is 5 %. For a share it is the difference, 5 percentage points.
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
    """The results of a comparison."""

    files: list[Compared]
    warnings: list[LoadWarning]
    changes: list[LoadChange]
    gates: list[ChangeVerdict] = Field(default_factory=list)
    method: Document = Field(default_factory=dict)


class AnyFile(Part):
    """A result file of `llamaburn compare`."""

    schema_: str = Field(alias="schema")
    schema_version: Version
    run_id: str
    status: Literal["complete"]
    timestamp: str
    config: Document
    results: AnyResults


# Of benchmarks


class ComparedRun(Part):
    """One run of a compared file, with its values by column, over its prompts."""

    repeat: int
    requests: int
    values: dict[str, float | None]


class ComparedFile(Compared):
    """A compared benchmark; changes, gates and warnings name it by its `label`."""

    runs: list[ComparedRun]


class Noise(Part):
    """The variation between runs of one model on one machine: a standard deviation as a share.

    `seen` is the variation of `runs` earlier runs. If there are too few, `share` is assumed.
    """

    share: float
    source: Literal["learnt", "assumed"]
    runs: int
    seen: float | None


class Change(Part):
    """The change of one column from the baseline to a file; a change of 0.05 is 5 %."""

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
    """A difference between the files in settings, model, server or machine."""

    id: str
    text: str


class Method(Part):
    """How the intervals were computed; `fixed_n` is the N of total_at_fixed_n_ms."""

    evidence: str
    interval: str
    correction: str
    alarm_rate: float
    intervals: int
    confidence: float
    fixed_n: int | None


class ComparisonResults(Part):
    """The results of a comparison."""

    files: list[ComparedFile]
    warnings: list[ComparisonWarning]
    changes: list[Change]
    gates: list[ChangeVerdict]
    method: Method


# Of evals


class ComparedEval(Compared):
    """A compared eval; differences and warnings name it by its `label`."""

    eval_set: Document


class EvalWarning(Part):
    """A difference from the baseline in settings, model, server or eval set."""

    file: str
    text: str


class Difference(Part):
    """The mean difference of a score from the baseline, over the questions that both scored."""

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
    """The results of a comparison of evals."""

    files: list[ComparedEval]
    warnings: list[EvalWarning]
    differences: list[Difference]
    method: Document


# Of audits


class ComparedAudit(Part):
    """A compared audit, whose judges are its model; differences name it by its `label`."""

    label: str
    path: str
    run_id: str
    model: ModelFacts
    timestamp: str
    status: str
    baseline: bool
    set: Document


class AuditComparisonResults(Part):
    """The results of a comparison of audits."""

    files: list[ComparedAudit]
    warnings: list[EvalWarning]
    differences: list[Difference]
    method: Document


# Of stress runs


class ComparedLoad(Compared):
    """A compared stress run; changes and warnings name it by its `label`."""

    mode: str
    axis: Literal["concurrency", "rate"]


class LoadComparisonResults(AnyResults):
    """The results of a comparison of stress runs."""

    files: list[ComparedLoad]  # type: ignore[assignment]


_RESULTS: dict[str, tuple[type[Part], str]] = {
    "audit-comparison": (AuditComparisonResults, " for audits"),
    "comparison": (ComparisonResults, ""),
    "eval-comparison": (EvalComparisonResults, " for evals"),
    "stress-comparison": (LoadComparisonResults, " for stress runs"),
}


@cache
def file(name: str) -> type[AnyFile]:
    """Return the model of the comparisons of a kind; kinds of other packages share one model."""
    model, of = _RESULTS.get(name, (AnyResults, ""))
    schema: Any = Literal.__getitem__(f"llamaburn/{name}")
    return create_model(
        "File",
        __base__=AnyFile,
        __doc__=f"A result file of `llamaburn compare`{of}.",
        schema_=(schema, Field(alias="schema")),
        results=(model, ...),
    )
