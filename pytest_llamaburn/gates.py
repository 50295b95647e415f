"""Gates: what a result must keep, written as `NAME[.STATISTIC][@LEVEL] OPERATOR BOUND`.

`ttft_ms.p95<500`, `error_rate@8<1%`. A gate passes, fails, or is undecided: where the statistic has
no value or too few samples to be trusted, or, in `certain` mode, where its 95 % interval lies on
both sides of the bound. Which names there are, and how they are read, says the table of measures of
a kind of run.

A change between files must keep `tokens_per_sec.mean:-5%`: that is judged by its interval alone.
"""

from __future__ import annotations

import math
import operator
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import measures, registry
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.measures import Measure, Observed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

THRESHOLD = "--threshold"
ALIASES = {"median": "p50", "p99.9": "p99_9"}
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_NAME = (
    r"\s*(?P<name>[a-z]\w*)(?:\.(?P<statistic>[a-z][\w.]*?))?"
    r"\s*(?:@\s*(?P<level>\d+(?:\.\d+)?))?\s*"
)
_SELECTOR = re.compile(rf"{_NAME}$")
_GATE = re.compile(
    rf"{_NAME}(?P<operator><=|>=|<|>)\s*(?P<bound>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)"
    r"\s*(?P<unit>(?:[^\s\d.]\S*)?)\s*$"
)
_OF_CHANGE = re.compile(r"\s*(?P<column>[^:]+?)\s*:\s*(?P<bound>[+-]\d+(\.\d+)?)\s*%\s*$")


class Selector(NamedTuple):
    """What an expression is about: a statistic of a measure, at a level of a load.

    The statistic is None where the measure is one number, or a point whose axis is not named; the
    level where none is named.
    """

    measure: Measure
    statistic: str | None = None
    level: float | None = None

    def observed(self, document: Mapping[str, Any]) -> Observed:
        """Return what a document has of it."""
        return self.measure.observed(document, self.statistic, self.level)


class Gate(NamedTuple):
    """One parsed expression; `bound` is in the measure's own unit."""

    expression: str
    of: Selector
    operator: str
    bound: float

    def holds(self, value: float) -> bool:
        """Return whether a value lies on the right side of the bound."""
        return _OPERATORS[self.operator](value, self.bound)


def parse(expression: str, table: Mapping[str, Measure], option: str = THRESHOLD) -> Gate:
    """Return the gate that an expression means; `table` has the measures that it can be on.

    Raises SettingsError for an unknown name, statistic or unit, with the nearest names, and for a
    bound that is not a finite number.
    """
    found = _GATE.match(expression)
    if not found:
        raise SettingsError(
            f"{option}: '{expression}' is refused: write METRIC.STATISTIC<NUMBER, as in "
            "ttft_ms.p95<500"
        )
    where = f"{option}: '{expression}'"
    of = _selected(found, table, where)
    bound = float(found["bound"]) * _scale(of, found["unit"], where)
    if not math.isfinite(bound):
        raise SettingsError(f"{where}: {found['bound']} is refused: write a number below 1e308")
    return Gate(expression, of, found["operator"], bound)


def selector(text: str, table: Mapping[str, Measure], option: str) -> Selector:
    """Return what a text such as `ttft_ms.p50@8` is about; raises SettingsError as `parse` does."""
    found = _SELECTOR.match(text)
    if not found:
        raise SettingsError(
            f"{option}: '{text}' is refused: write METRIC.STATISTIC, as ttft_ms.p50"
        )
    return _selected(found, table, f"{option}: '{text}'")


def judged(
    document: Mapping[str, Any],
    table: Mapping[str, Measure],
    expressions: Iterable[str],
    mode: str,
) -> list[dict[str, Any]]:
    """Return the verdicts of gates on a document, as `results.gates[]` has them."""
    found = [parse(expression, table) for expression in expressions]
    return [decide(gate, gate.of.observed(document), mode) for gate in found]


def decide(gate: Gate, observed: Observed, mode: str) -> dict[str, Any]:
    """Return the verdict on what was observed, as `results.gates[]` has it.

    `margin` is how far inside the bound the value lies, in the measure's unit; negative outside.
    """
    value, interval, reason, _ = _settled(gate, observed)
    verdict = "undecided" if value is None or reason else _verdict(gate, value, interval, mode)
    if verdict == "undecided" and not reason:
        reason = "the 95 % interval lies on both sides of the bound" if interval else "no interval"
    sign = 1 if gate.operator in ("<", "<=") else -1
    return {
        "expression": gate.expression,
        "value": value,
        "ci95": interval,
        "margin": None if value is None else sign * (gate.bound - value),
        "verdict": verdict,
        "reason": reason or None,
    }


def bound_of(expression: str) -> tuple[str, float]:
    """Return what a gate on a change is on, and its bound as a share.

    Raises SettingsError for what is none.
    """
    found = _OF_CHANGE.match(expression)
    if not found or not math.isfinite(float(found["bound"])):
        raise SettingsError(
            f"--fail-if: '{expression}' is refused: write METRIC.STATISTIC:±x%, as in "
            "tokens_per_sec.mean:-5%"
        )
    return found["column"], float(found["bound"]) / 100


def weigh_change(
    change: dict[str, Any], bound: float, better: str, undecided: str
) -> tuple[str, str | None]:
    """Return the verdict on a change, pass only where it is surely no worse than the bound.

    With the reason where none is possible; `undecided` is what helps where the interval holds the
    bound.
    """
    if change["reason"]:
        return "undecided", change["reason"]
    falls = better == "higher" or (better == "none" and bound < 0)
    low, high = change["interval"]
    if low > bound if not falls else high < bound:
        return "fail", None
    if low >= bound if falls else high <= bound:
        return "pass", None
    return "undecided", f"the interval holds the bound: {undecided}"


def change_sentence(gate: dict[str, Any]) -> str:
    """Return the verdict on a change in words; that of a share is in points."""
    start = f"{gate['expression']}: {gate['file']}: {gate['verdict']}"
    if gate["interval"] is None:
        return f"{start}: {gate['reason']}"
    unit = " points" if gate.get("unit") == "share" else "%"
    change, low, high = (f"{100 * x:+.1f}{unit}" for x in (gate["change"], *gate["interval"]))
    why = f": {gate['reason']}" if gate["reason"] else ""
    return f"{start}: {change} [{low}, {high}]{why}"


def sentence(verdict: dict[str, Any]) -> str:
    """Return a verdict in words."""
    if verdict["value"] is None:
        return f"{verdict['expression']}: {verdict['verdict']}: {verdict['reason']}"
    between = ""
    if verdict["ci95"]:
        between = " [{:.4g}, {:.4g}]".format(*verdict["ci95"])
    why = f": {verdict['reason']}" if verdict["reason"] else f", margin {verdict['margin']:.4g}"
    return f"{verdict['expression']}: {verdict['verdict']}: {verdict['value']:.4g}{between}{why}"


def _selected(found: re.Match[str], table: Mapping[str, Measure], where: str) -> Selector:
    measure = measures.find(table, found["name"])
    if measure is None:
        known = measures.names(table)
        raise SettingsError(f"{where}: {registry.unknown('metric', found['name'], known)}")
    if found["level"] is None:
        return Selector(measure, _statistic(measure, found["statistic"], where))
    if not measure.of_level:
        raise SettingsError(f"{where}: {measure.name} is not a number of one level: leave out @")
    return Selector(measure, _statistic(measure, found["statistic"], where), float(found["level"]))


def _statistic(measure: Measure, name: str | None, where: str) -> str | None:
    """Return the statistic that is meant: of a distribution the mean, unless one is named."""
    full = ALIASES.get(name or "mean", name or "mean")
    if full in measure.statistics:
        return full
    if name is None or (full == "mean" and not measure.statistics):
        return None
    if not measure.statistics:
        raise SettingsError(f"{where}: {measure.name} has no statistic '{name}'")
    raise SettingsError(f"{where}: {registry.unknown('statistic', full, measure.statistics)}")


def _scale(of: Selector, unit: str, where: str) -> float:
    units = measures.units(of.measure.unit_of(of.statistic))
    if unit not in units:
        known = ", ".join(filter(None, units)) or "none"
        raise SettingsError(f"{where}: unit '{unit}' is unknown; known: {known}")
    return units[unit]


def _settled(gate: Gate, observed: Observed) -> Observed:
    """Return what is observed, with a value where all that it may be is on one side."""
    if observed.within is None or len({gate.holds(end) for end in observed.within}) > 1:
        return observed
    return Observed(min(observed.within, key=lambda end: abs(end - gate.bound)))


def _verdict(gate: Gate, value: float, interval: Sequence[float] | None, mode: str) -> str:
    if mode == "point":
        return "pass" if gate.holds(value) else "fail"
    if interval is None:
        return "undecided"
    sides = {gate.holds(end) for end in interval}
    return "undecided" if len(sides) > 1 else "pass" if sides == {True} else "fail"
