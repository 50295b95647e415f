"""Gates: bounds of a result, written as `NAME[.STATISTIC][@LEVEL] OPERATOR BOUND`.

Examples: `ttft_ms.p95<500`, `error_rate@8<1%`. The verdict is pass, fail or undecided. A gate is
undecided if the statistic has no value or too few samples or, in `certain` mode, if its 95 %
interval contains the bound. The names come from the table of measures of a kind of run.

A gate on a change between two files, `tokens_per_sec.mean:-5%`, is decided by the change's 95 %
interval.
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

    from pytest_llamaburn.documents import ChangeVerdict, Decision, Document, GateVerdict

THRESHOLD = "--threshold"
_HUGE = 1e5  # percent; more is written in powers of ten
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
    """A statistic of a measure, at a level of a load.

    `statistic` is None if the measure is one number, or a point without a named axis. `level` is
    None if the expression names no level.
    """

    measure: Measure
    statistic: str | None = None
    level: float | None = None

    def observed(self, document: Mapping[str, object]) -> Observed:
        """Return its value in a document."""
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
    """Return the gate of an expression; `table` has the measures that it may name.

    Raises SettingsError for an unknown name, statistic or unit, with the nearest names, and for a
    bound that is not a finite number.
    """
    match = _GATE.match(expression)
    if not match:
        raise SettingsError(
            f"{option}: '{expression}' is refused: write METRIC.STATISTIC<NUMBER, as in "
            "ttft_ms.p95<500"
        )
    where = f"{option}: '{expression}'"
    selected = _selected(match, table, where)
    bound = float(match["bound"]) * _scale(selected, match["unit"], where)
    if not math.isfinite(bound):
        raise SettingsError(f"{where}: {match['bound']} is refused: write a number below 1e308")
    return Gate(expression, selected, match["operator"], bound)


def selector(text: str, table: Mapping[str, Measure], option: str) -> Selector:
    """Return the selector of a text such as `ttft_ms.p50@8`; raises SettingsError as `parse`."""
    match = _SELECTOR.match(text)
    if not match:
        raise SettingsError(
            f"{option}: '{text}' is refused: write METRIC.STATISTIC, as ttft_ms.p50"
        )
    return _selected(match, table, f"{option}: '{text}'")


def judged(
    document: Mapping[str, object],
    table: Mapping[str, Measure],
    expressions: Iterable[str],
    mode: str,
) -> list[GateVerdict]:
    """Return the entries of `results.gates[]`: the verdict of each gate on a document."""
    gates = [parse(expression, table) for expression in expressions]
    return [decide(gate, gate.of.observed(document), mode) for gate in gates]


def of_run(
    document: Document, table: Mapping[str, Measure], of_tests: Sequence[GateVerdict]
) -> list[GateVerdict]:
    """Return `results.gates[]` of a run: the verdicts of its tests, then those of --threshold."""
    config = document["config"]
    return [*of_tests, *judged(document, table, config["threshold"], config["gate_mode"])]


def of_test(
    results: Document, table: Mapping[str, Measure], expressions: Iterable[str], mode: str
) -> None:
    """Raise AssertionError if a gate of a test does not pass on the results of that test."""
    broken = not_passed(judged({"results": results}, table, expressions, mode))
    if broken:
        raise AssertionError("; ".join(broken))


def decide(gate: Gate, observed: Observed, mode: str) -> GateVerdict:
    """Return the entry of `results.gates[]` for a gate and the value of its measure.

    `margin` is the distance of the value to the bound, in the measure's unit. It is negative if the
    gate fails.
    """
    value, interval, reason, _ = _settled(gate, observed)
    verdict: Decision = "undecided"
    if value is not None and not reason:
        verdict = _verdict(gate, value, interval, mode)
    if verdict == "undecided" and not reason:
        reason = "the 95 % interval contains the bound" if interval else "no interval"
    sign = 1 if gate.operator in ("<", "<=") else -1
    return {
        "expression": gate.expression,
        "value": value,
        "ci95": interval,
        "margin": None if value is None else sign * (gate.bound - value) + 0.0,  # never −0
        "verdict": verdict,
        "reason": reason or None,
    }


def bound_of(expression: str) -> tuple[str, float]:
    """Return the column and the bound, as a share, of a gate on a change.

    Raises SettingsError if the expression is not such a gate.
    """
    match = _OF_CHANGE.match(expression)
    if not match or not math.isfinite(float(match["bound"])):
        raise SettingsError(
            f"--fail-if: '{expression}' is refused: write METRIC.STATISTIC:±x%, as in "
            "tokens_per_sec.mean:-5%"
        )
    return match["column"], float(match["bound"]) / 100


def margin_of(text: str) -> float:
    """Return the share of a text such as `3%`; raises SettingsError for any other text."""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise SettingsError(f"--margin: '{text}' is refused: write a percentage, as 3%")
    return share


def weigh_change(
    change: Document, bound: float, better: str, undecided: str
) -> tuple[Decision, str | None]:
    """Return the verdict on a change, and the reason of an undecided one.

    The gate passes only if the whole 95 % interval is no worse than the bound. `undecided` is the
    advice for an interval that contains the bound.
    """
    if change["reason"]:
        return "undecided", change["reason"]
    falls = better == "higher" or (better == "none" and bound < 0)
    low, high = change["interval"]
    if low > bound if not falls else high < bound:
        return "fail", None
    if low >= bound if falls else high <= bound:
        return "pass", None
    return "undecided", f"the interval contains the bound: {undecided}"


def change_sentence(gate: ChangeVerdict) -> str:
    """Return the verdict on a change as a sentence; changes of shares are in percentage points."""
    start = f"{gate['expression']}: {gate['file']}: {gate['verdict']}"
    if gate["change"] is None or gate["interval"] is None:
        return f"{start}: {gate['reason']}"
    unit = " points" if gate.get("unit") == "share" else "%"
    change, low, high = (f"{percent(100 * x)}{unit}" for x in (gate["change"], *gate["interval"]))
    why = f": {gate['reason']}" if gate["reason"] else ""
    return f"{start}: {change} [{low}, {high}]{why}"


def percent(value: float) -> str:
    """Return a change in percent; a huge one in powers of ten."""
    return f"{value:+.1f}" if abs(value) < _HUGE else f"{value:+.1e}"


def sentence(verdict: GateVerdict) -> str:
    """Return a verdict as a sentence."""
    if verdict["value"] is None:
        return f"{verdict['expression']}: {verdict['verdict']}: {verdict['reason']}"
    between = ""
    if verdict["ci95"]:
        between = " [{:.4g}, {:.4g}]".format(*verdict["ci95"])
    why = f": {verdict['reason']}" if verdict["reason"] else f", margin {verdict['margin']:.4g}"
    return f"{verdict['expression']}: {verdict['verdict']}: {verdict['value']:.4g}{between}{why}"


def not_passed(
    verdicts: Iterable[Mapping[str, object]], words: Callable[[Any], str] = sentence
) -> list[str]:
    """Return a sentence for each gate that failed or was undecided."""
    return [words(verdict) for verdict in verdicts if verdict["verdict"] != "pass"]


def changes_not_passed(document: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each gate of a comparison or a trend that did not pass."""
    return not_passed(document["results"].get("gates", ()), change_sentence)


def _selected(match: re.Match[str], table: Mapping[str, Measure], where: str) -> Selector:
    measure = measures.find(table, match["name"])
    if measure is None:
        known = measures.names(table)
        raise SettingsError(f"{where}: {registry.unknown('metric', match['name'], known)}")
    if match["level"] is None:
        return Selector(measure, _statistic(measure, match["statistic"], where))
    if not measure.of_level:
        raise SettingsError(f"{where}: {measure.name} is not a number of one level: leave out @")
    return Selector(measure, _statistic(measure, match["statistic"], where), float(match["level"]))


def _statistic(measure: Measure, name: str | None, where: str) -> str | None:
    """Return the statistic with this name; the mean of a distribution if no name is given."""
    full = ALIASES.get(name or "mean", name or "mean")
    if full in measure.statistics:
        return full
    if name is None or (full == "mean" and not measure.statistics):
        return None
    if not measure.statistics:
        raise SettingsError(f"{where}: {measure.name} has no statistic '{name}'")
    raise SettingsError(f"{where}: {registry.unknown('statistic', full, measure.statistics)}")


def _scale(selected: Selector, unit: str, where: str) -> float:
    units = measures.units(selected.measure.unit_of(selected.statistic))
    if unit not in units:
        known = ", ".join(filter(None, units)) or "none"
        raise SettingsError(f"{where}: unit '{unit}' is unknown; known: {known}")
    return units[unit]


def _settled(gate: Gate, observed: Observed) -> Observed:
    """Return the observation, with a value if both ends of `within` are on the same side."""
    if observed.within is None or len({gate.holds(end) for end in observed.within}) > 1:
        return observed
    return Observed(min(observed.within, key=lambda end: abs(end - gate.bound)))


def _verdict(gate: Gate, value: float, interval: Sequence[float] | None, mode: str) -> Decision:
    if mode == "point":
        return "pass" if gate.holds(value) else "fail"
    if interval is None:
        return "undecided"
    sides = {gate.holds(end) for end in interval}
    return "undecided" if len(sides) > 1 else "pass" if sides == {True} else "fail"
