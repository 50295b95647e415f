"""The result file of a comparison of evals; `compare_evals.py` makes its content."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pytest_llamaburn.kinds._file import ModelFacts, Part, ServerFacts, Version


class ComparedEval(Part):
    """An eval that was compared; `label` is what differences and warnings call it."""

    label: str
    path: str
    run_id: str
    model: ModelFacts
    server: ServerFacts
    timestamp: str
    status: str
    baseline: bool
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
    verdict: Literal["better", "worse", "higher", "lower", "inconclusive"]
    reason: str | None


class EvalComparisonResults(Part):
    """What differs between the evals."""

    files: list[ComparedEval]
    warnings: list[EvalWarning]
    differences: list[Difference]
    method: dict[str, Any]


class File(Part):
    """A result file of `llamaburn compare` for evals."""

    schema_: Literal["llamaburn/eval-comparison"] = Field(alias="schema")
    schema_version: Version
    run_id: str
    status: Literal["complete"]
    timestamp: str
    config: dict[str, Any]
    results: EvalComparisonResults
