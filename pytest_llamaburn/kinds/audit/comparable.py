"""How audits are compared: over the texts that the judges of both files scored.

The texts are paired, and each question counts as one independent value. The intervals are
Gaffke's (`stats/figures.py`).
"""

from __future__ import annotations

from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.judges._planting import ERRORS, MANIPULATIONS
from pytest_llamaburn.kinds import _comparable
from pytest_llamaburn.kinds._comparable import Change, Column, Estimate, Subject
from pytest_llamaburn.kinds.audit import findings, material
from pytest_llamaburn.stats import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_llamaburn.documents import Document

    Values = dict[Any, float]  # by text or question

SLOPE, NOTICED, SHIFT, PREFERENCE = "slope", "noticed", "shift", "preference"
_POINTS = "points"
_KNOWN = ("id", "name", "quantization", "family", "parameter_size", "digest", "context_length")


class Audited(Subject):
    """An audit as one side of comparisons; its judges are its model."""

    alike = ("without_reference", "judge_repeats", "seed")

    def __init__(self, path: str, document: Document, choice: _comparable.Choice) -> None:
        """Take a file."""
        name = ", ".join(document["results"]["judges"])
        model = {**dict.fromkeys(_KNOWN), "id": name, "name": name}
        super().__init__(path, {**document, "model": model}, choice)

    @cached_property
    def texts(self) -> dict[tuple[Any, ...], Document]:
        """What the judges were shown, by what identifies it."""
        names = ("question_id", "kind", "dose", "criterion", "text")
        return {tuple(r[n] for n in names): r for r in self.document["results"]["probes"]}


class Comparison(_comparable.Comparison):
    """A comparison of audits over the texts that they have in common."""

    kind = "audit"
    noun = "audit"
    options = ("margin",)
    margin = 0.01  # of the largest possible change, as of evals
    subject = Audited
    changes_key = "differences"

    def columns(self, other: Audited) -> list[Column]:
        """Return what both judges see and what sways them.

        Raises ResultsError for a file without any text of the baseline.
        """
        if not self._texts(other)[0]:
            raise ResultsError(
                f"compare: {other.path} has no text in common with the baseline, "
                f"{self.baseline.path}: audit both judges with the same --set and --seed"
            )
        width = findings.WIDTH
        of_errors = [
            column
            for kind in ERRORS
            for column in (
                Column(f"{SLOPE} {kind}", _POINTS, "lower", width=width),
                Column(f"{NOTICED} {kind}", "share", "higher"),
            )
        ]
        kinds = [(kind, _POINTS, width) for kind in MANIPULATIONS]
        of_swaying = [
            Column(f"{SHIFT} {kind}", unit, self._nearer_to_0(other, kind), width=reach)
            for kind, unit, reach in (*kinds, (material.ORDER, "share", 1.0))
        ]
        return [*of_errors, *of_swaying, Column(PREFERENCE, "share", "higher")]

    def _nearer_to_0(self, other: Audited, kind: str) -> str:
        """Return which shift is better: the smaller one, if both have the same direction."""
        sides = [_shifts(rows, kind).values() for rows in self._texts(other)]
        before, after = (fmean(values) if values else 0.0 for values in sides)
        if before * after < 0:
            return "none"
        return "lower" if before + after > 0 else "higher"

    def estimate(self, other: Audited, column: Column) -> Estimate:
        """Return the mean difference over the texts that the judges of both files scored."""
        before, after = self._texts(other)
        what, _, kind = column.metric.partition(" ")
        sides = [_READ[what](rows, kind) for rows in (before, after)]
        keys = [key for key in sides[0] if key in sides[1]]
        facts = {"questions": len({_question(key) for key in keys}), "shared": self._shared(other)}
        if not keys:
            return Estimate(reason="no text was scored in both files", facts=facts)
        values = [[side[key] for key in keys] for side in sides]
        reach = _reach(what, kind, before)
        found = figures.mean(
            [b - a for a, b in zip(*values, strict=True)],
            [*map(_question, keys)],
            (-reach, reach),
        )
        before_mean, after_mean = map(fmean, values)
        return Estimate(before_mean, after_mean, found.value, found.ci95, found.reason, facts)

    def _shared(self, other: Audited) -> int:
        return len({row["question_id"] for row in self._texts(other)[0]})

    def _texts(self, other: Audited) -> tuple[list[Document], list[Document]]:
        """Return the rows of the texts that both files have and have scored, in the same order."""
        was, now = self.baseline.texts, other.texts
        both = [
            (row, now[key])
            for key, row in was.items()
            if key in now and None not in (row["score"], now[key]["score"])
        ]
        return [one for one, _ in both], [one for _, one in both]

    def file(self, subject: Audited) -> Document:
        """Return the entry of a file in the comparison, with its eval set."""
        kept = ("run_id", "model", "timestamp", "status")
        return {
            "label": subject.label,
            "path": subject.path,
            "baseline": subject is self.baseline,
            **{name: subject.document[name] for name in kept},
            "set": subject.document["results"]["set"],
        }

    def differing(self, other: Audited) -> Iterator[str]:
        """Yield sentences about other differences from the baseline."""
        yield from super().differing(other)
        sets = [one.document["results"]["set"]["sha256"] for one in (self.baseline, other)]
        if sets[0] != sets[1]:
            yield "the eval sets differ: only the texts that both have are compared"

    def written(self, change: Change) -> Document:
        """Return the entry of a change in the result file."""
        return _comparable.as_difference(change)

    def method(self) -> Document:
        """Return how the intervals were computed."""
        return {"interval": "95 % over questions, by Gaffke's method for means on a scale"}


def _slopes(rows: Sequence[Document], kind: str) -> Values:
    return {**findings.slopes(findings.points_of(rows, kind))}


def _noticed(rows: Sequence[Document], kind: str) -> Values:
    """Return by text whether it scores lower than the right answer."""
    falls = findings.falls_of(findings.points_of(rows, kind))
    return {(question, i): float(fall > 0) for i, (question, fall) in enumerate(falls)}


def _shifts(rows: Sequence[Document], kind: str) -> Values:
    """Return the shift of each question; for the order, from −1 (second) to 1 (first)."""
    if kind == material.ORDER:
        return {r["question_id"]: r["first"] for r in rows if r["first"] is not None}
    return {q: after - before for q, before, after in findings.shifts_of(rows, kind)}


def _preferred(rows: Sequence[Document], _: str) -> Values:
    return {row["question_id"]: row["score"] for row in rows if row["kind"] == material.ORDER}


_READ: dict[str, Callable[[Sequence[Document], str], Values]] = {
    SLOPE: _slopes,
    NOTICED: _noticed,
    SHIFT: _shifts,
    PREFERENCE: _preferred,
}


def _question(key: Any) -> str:
    return str(key[0] if isinstance(key, tuple) else key)


def _reach(what: str, kind: str, rows: Sequence[Document]) -> float:
    """Return the largest possible difference."""
    if what == SLOPE:
        return 2 * findings.steepest(findings.points_of(rows, kind))
    if what == SHIFT:
        return 2.0 if kind == material.ORDER else 2 * findings.WIDTH
    return 1.0
