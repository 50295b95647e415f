"""The result file of `llamaburn trend`; `engine.py` builds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from pytest_llamaburn.documents import ChangeVerdict, Document
from pytest_llamaburn.kinds import _brief
from pytest_llamaburn.kinds._file import Part, Version


@dataclass
class Brief(_brief.Results):
    """The fields of a trend that lists read."""

    series: list[_brief.Series] = field(default_factory=list)

    @property
    def models(self) -> list[str]:
        """The models whose results are shown."""
        return [one.model for one in self.series]


class Run(Part):
    """A run of a series: where its result is, and the value that it gave."""

    run_id: str
    path: str
    timestamp: str
    value: float


class Level(Part):
    """Runs one after another between two steps: how many, their mean and its 95 % interval."""

    first: int
    runs: int
    mean: float
    ci95: tuple[float, float] | None


class Change(Part):
    """A change between levels; 0.05 is 5 %, of a share or a score it is the difference."""

    change: float | None
    interval: tuple[float, float] | None
    verdict: Literal["better", "worse", "higher", "lower", "same", "inconclusive"]


class Overall(Change):
    """The change from the first level to the last one; of a single level, between its halves."""

    first: Level | None
    now: Level | None
    reason: str | None


class StepFound(Change):
    """A step: the first run after it, and the facts that changed together with it."""

    at: int
    run_id: str
    timestamp: str
    changed: list[str]


class Series(Part):
    """One number of one model on one machine, over the runs that gave it, oldest first.

    `missing` counts the runs that have no value. `apart` is whether the last run lies outside of
    what the runs before it predict; one more run decides.
    """

    model: str
    kind: str
    of: str
    machine: str | None
    machine_text: str
    column: str
    metric: str
    statistic: str | None
    level: float | None
    label: str
    unit: str
    better: Literal["lower", "higher", "none"]
    runs: list[Run]
    missing: int
    levels: list[Level]
    steps: list[StepFound]
    overall: Overall
    apart: bool


class TrendResults(Part):
    """The series, the files that were left out with the reason, and the verdicts of gates."""

    series: list[Series]
    left_out: dict[str, int]
    gates: list[ChangeVerdict]


class File(Part):
    """A result file of `llamaburn trend`."""

    schema_: Literal["llamaburn/trend"] = Field(alias="schema")
    schema_version: Version
    run_id: str
    status: Literal["complete"]
    timestamp: str
    config: Document
    results: TrendResults
