"""Make a trend: the series of all histories, their steps, and the verdicts of gates."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn import gates
from pytest_llamaburn.kinds._file import made_now
from pytest_llamaburn.kinds.trend.history import History, Reader, Wanted, changed
from pytest_llamaburn.stats import changes, runs, samples, steps
from pytest_llamaburn.store import file_kinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import ChangeVerdict, Document
    from pytest_llamaburn.gates import Selector
    from pytest_llamaburn.kinds.trend.history import Past
    from pytest_llamaburn.stats.steps import Step

FEW = f"fewer than {steps.NEEDED} runs show no step"
NO_RATIO = "a run has the value 0 or less, so the change is no percentage"
_UNKNOWN = {"change": None, "interval": None, "reason": "no run has a value"}
_RANGES = {changes.SHARE: 1.0, "score": 4.0}  # of the units whose changes are differences
_WORDS = ("better", "worse")


class Asked(NamedTuple):
    """The options of a trend: the runs, the gates, and the margin, None for that of the kind."""

    wanted: Wanted = Wanted()
    fail_if: Sequence[str] = ()
    margin: float | None = None


class Gate(NamedTuple):
    """One parsed --fail-if: a series with this column fails if it got worse by more."""

    expression: str
    column: str
    bound: float


def trend(results_dir: Path, asked: Asked) -> Document:
    """Return the content of the result file of a trend.

    Raises ResultsError if there is no run, and SettingsError for an unknown kind or a gate that
    names no column.
    """
    bounds = [Gate(text, *gates.bound_of(text)) for text in asked.fail_if]
    reader = Reader(results_dir, asked.wanted, [gate.column for gate in bounds])
    histories = reader.histories()
    series = [one for history in histories for one in _series(history, asked.margin)]
    return {
        **made_now("trend"),
        "config": {**asked.wanted._asdict(), "fail_if": [*asked.fail_if], "margin": asked.margin},
        "results": {
            "series": series,
            "left_out": dict(reader.left_out),
            "gates": [
                verdict
                for gate in bounds
                for verdict in _weighed(gate, reader.names[gate.column], series)
            ],
        },
    }


class Scale:
    """The values of a series where differences have a meaning: as logarithms, if they are ratios.

    Changes of shares and of scores are differences. Other values of 0 or less have changes without
    a size: there is no ratio to them.
    """

    def __init__(self, values: Sequence[float], unit: str, margin: float) -> None:
        """`margin` is a share: of a value or, for shares and scores, of their whole range."""
        self.is_ratio = unit not in _RANGES and min(values) > 0
        self.has_size = self.is_ratio or unit in _RANGES
        self.places = [math.log(value) for value in values] if self.is_ratio else [*values]
        size = _RANGES.get(unit) or abs(fmean(values))
        self.margin = math.log1p(margin) if self.is_ratio else margin * size

    def steps(self) -> list[Step]:
        """Return the steps, oldest first."""
        return steps.steps(self.places, self.margin)

    def sides(self, found: Sequence[Step]) -> tuple[int, int] | None:
        """Return the end of the first level and the start of the last; of one level, of its halves.

        Returns None if there are too few runs.
        """
        n = len(self.places)
        if n < steps.NEEDED:
            return None
        return (found[0].at, found[-1].at) if found else (n // 2, n // 2)

    def changed(self, step: Step) -> tuple[float | None, list[float] | None]:
        """Return a change and its interval: as a share, or as a difference; None without a size."""
        if not self.has_size:
            return None, None
        of = math.expm1 if self.is_ratio else float
        return of(step.change), [of(step.low), of(step.high)]

    def verdict(self, step: Step, better: str) -> str:
        """Return whether a change is better, worse, higher, lower, same or inconclusive."""
        return changes.verdict((step.low, step.high), better, self.margin, _WORDS)


def _series(history: History, margin: float | None) -> Iterator[Document]:
    """Yield the series of each column that some run has."""
    how = file_kinds.named(history.kind).load("comparable.Comparison")
    for name, column in history.columns.items():
        known = [run for run in history.runs if run.values.get(name) is not None]
        if not known:
            continue
        unit = column.measure.unit_of(column.statistic)
        values = [run.values[name] or 0.0 for run in known]
        scale = Scale(values, unit, how.margin if margin is None else margin)
        yield {
            **_about(history),
            **_named(name, column),
            "unit": unit,
            "missing": len(history.runs) - len(known),
            **_found(known, values, scale, column.measure.better),
        }


def _about(history: History) -> Document:
    names = ("model", "kind", "of", "machine", "machine_text")
    return {name: getattr(history, name) for name in names}


def _named(name: str, column: Selector) -> Document:
    measure = column.measure
    return {
        "column": name,
        "metric": measure.name,
        "statistic": column.statistic,
        "level": column.level,
        "label": measure.label or measure.name,
        "better": measure.better,
    }


def _found(known: Sequence[Past], values: Sequence[float], scale: Scale, better: str) -> Document:
    """Return the runs of a series, its levels, its steps and its whole change."""
    found = scale.steps()
    ends = [0, *(step.at for step in found), len(values)]
    return {
        "runs": [
            {"run_id": run.run_id, "path": run.path, "timestamp": run.timestamp, "value": value}
            for run, value in zip(known, values, strict=True)
        ],
        "levels": [_level(values, first, end) for first, end in pairwise(ends)],
        "steps": [
            {**_changed_at(known, step.at), **_change(step, scale, better)} for step in found
        ],
        "overall": _overall(values, scale, scale.sides(found), better),
        "apart": steps.is_apart(scale.places[ends[-2] : -1], scale.places[-1]),
    }


def _changed_at(known: Sequence[Past], at: int) -> Document:
    before, after = known[at - 1], known[at]
    facts = changed(before.conditions, after.conditions)
    return {"at": at, "run_id": after.run_id, "timestamp": after.timestamp, "changed": facts}


def _overall(
    values: Sequence[float], scale: Scale, sides: tuple[int, int] | None, better: str
) -> Document:
    """Return the change from the first runs to the last ones, with the means of both."""
    if sides is None:
        nothing = {"change": None, "interval": None, "verdict": "inconclusive"}
        return {"first": None, "now": None, **nothing, "reason": FEW}
    end, start = sides
    whole = steps.step(scale.places[:end], scale.places[start:], start)
    means = {"first": _level(values, 0, end), "now": _level(values, start, len(values))}
    reason = None if scale.has_size else NO_RATIO
    return {**means, **_change(whole, scale, better), "reason": reason}


def _level(values: Sequence[float], first: int, end: int) -> Document:
    mean, n = fmean(values[first:end]), end - first
    deviation = math.sqrt(runs.variance(values[first:end])) if n > 1 else None
    interval = samples.mean_interval(mean, deviation, n)
    return {"first": first, "runs": n, "mean": mean, "ci95": interval}


def _change(step: Step, scale: Scale, better: str) -> Document:
    change, interval = scale.changed(step)
    return {"change": change, "interval": interval, "verdict": scale.verdict(step, better)}


def _weighed(gate: Gate, name: str, series: Sequence[Document]) -> Iterator[ChangeVerdict]:
    """Yield the verdict of a gate on each series of the column `name`; one at least."""
    mine = [one for one in series if one["column"] == name]
    if not mine:
        yield _verdict(gate, "every run", dict(_UNKNOWN), "none", "")
    for one in mine:
        where = f"{one['model']}, {one['kind']}"
        yield _verdict(gate, where, one["overall"], one["better"], one["unit"])


def _verdict(gate: Gate, where: str, change: Document, better: str, unit: str) -> ChangeVerdict:
    word, reason = gates.weigh_change(change, gate.bound, better, "more runs decide")
    return {
        "expression": gate.expression,
        "file": where,
        "unit": unit,
        "change": change["change"],
        "interval": change["interval"],
        "verdict": word,
        "reason": reason,
    }
