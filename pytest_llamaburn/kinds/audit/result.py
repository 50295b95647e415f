"""The result file of `llamaburn judge audit`; `run.py` makes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from pytest_llamaburn.documents import Document, GateVerdict
from pytest_llamaburn.judges._documents import JudgmentFields, Spending
from pytest_llamaburn.kinds import _brief
from pytest_llamaburn.kinds._file import Part, Version


@dataclass
class Brief(_brief.Results):
    """The fields of an audit that lists read."""

    judges: list[str] = field(default_factory=list)

    @property
    def models(self) -> list[str]:
        """The judges."""
        return self.judges


class Figure(Part):
    """A statistic with its 95 % interval; without a value it has a reason."""

    value: float | None
    n: int
    ci95: tuple[float, float] | None
    reason: str | None


class Dose(Figure):
    """The mean score of the texts with a dose of an error; dose 0 is the right answer."""

    dose: int


class Error(Part):
    """How the score depends on a kind of planted error.

    `slope` is the change of the score for each further dose, `noticed` the share of texts that
    score lower than the right answer, `raised` the share that score higher, `monotone` the share of
    questions whose score never rises with the dose.
    """

    kind: str
    criterion: str
    doses: list[Dose]
    slope: Figure
    noticed: Figure
    raised: Figure
    monotone: Figure
    verdict: Literal["seen", "rewarded", "not shown", "unknown"]
    says: str


class Manipulation(Part):
    """What words that change no content do to the score.

    `shift` is the change of the score of an answer with errors; for the order of two answers it is
    from −1 (always the second one) to 1 (always the first one). `changed` is the share of scores
    that are different, `at_top` how many texts had the highest score before.
    """

    kind: str
    unit: Literal["score", "share"]
    shift: Figure
    changed: Figure
    at_top: int
    verdict: Literal["up", "down", "steady", "open", "unknown"]
    says: str


class Preference(Figure):
    """The share of pairs in which the right answer is preferred to one with errors."""

    says: str


class Probe(Part):
    """A text that the judge was shown: of which question, with which dose of what.

    `base` is the error and the dose of the text that a manipulation was added to. The `score` of a
    pair is 1 if the right answer was preferred, 0.5 for a tie; its `first` is from −1 to 1, where 1
    is always the answer that was shown first.
    """

    question_id: str
    kind: str
    dose: int
    criterion: str | None
    base: tuple[str, int] | None
    text: str
    state: str
    score: float | None
    first: float | None
    judgments: list[JudgmentFields]


class AuditedSet(Part):
    """The eval set whose references are the right answers."""

    name: str
    version: str
    sha256: str


class AuditResults(Part):
    """What the judges see, what sways them, and every text with its verdicts."""

    set: AuditedSet
    judges: list[str]
    n_total: int
    n_scored: int
    unscored_share: float
    by_state: dict[str, int]
    errors: list[Error]
    manipulations: list[Manipulation]
    preference: Preference
    spent: Spending
    notes: list[str]
    gates: list[GateVerdict]
    probes: list[Probe]


class File(Part):
    """A result file of `llamaburn judge audit`."""

    schema_: Literal["llamaburn/audit"] = Field(alias="schema")
    schema_version: Version
    run_id: str
    status: Literal["complete", "partial"]
    timestamp: str
    config: Document
    results: AuditResults
