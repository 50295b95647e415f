"""Gates: what a result must keep, written as `ttft_ms.p95<500`.

A gate passes, fails, or is undecided: where the statistic has no value or too few samples to be
trusted, or, in `certain` mode, where its 95 % interval lies on both sides of the bound.

A change between files must keep `tokens_per_sec.mean:-5%`: that is judged by its interval alone.
"""

from __future__ import annotations

import math
import operator
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import metrics, registry
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

STATISTICS = ("mean", "std", "cv", "min", *samples.PERCENTILES, "max", "n")
WHOLE_RUN = metrics.RUN_METRICS
# Means that are gated beside the metrics, with their units; `accuracy` is of right answers.
SPECIAL = {
    "error_rate": "share",
    "accuracy": "share",
    **{name: metric.unit for name, metric in WHOLE_RUN.items()},
}
ALIASES = {"median": "p50", "p99.9": "p99_9"}
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_SHAPE = re.compile(
    r"\s*(?P<metric>[a-z]\w*)(?:\.(?P<statistic>[a-z][\w.]*?))?\s*"
    r"(?P<operator><=|>=|<|>)\s*(?P<bound>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)"
    r"\s*(?P<unit>(?:[^\s\d.]\S*)?)\s*$"
)
_OF_CHANGE = re.compile(r"\s*(?P<column>[^:]+?)\s*:\s*(?P<bound>[+-]\d+(\.\d+)?)\s*%\s*$")
# What a bound's unit is worth in the metric's own.
_UNITS = {
    "ms": {"ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3},
    "tokens/s": {"tokens/s": 1.0, "/s": 1.0},
    "tokens": {"tokens": 1.0},
    "W": {"W": 1.0, "mW": 1e-3, "kW": 1e3},
    "Wh": {"Wh": 1.0, "mWh": 1e-3, "kWh": 1e3},
    "J": {"J": 1.0, "mJ": 1e-3, "kJ": 1e3},
    "tokens/J": {"tokens/J": 1.0, "/J": 1.0},
    "share": {"%": 0.01},
}


class Observed(NamedTuple):
    """A value, its 95 % interval, and why it decides nothing, empty where it does."""

    value: float | None
    interval: Sequence[float] | None
    reason: str


class Gate(NamedTuple):
    """One parsed expression; `bound` is in the metric's own unit."""

    expression: str
    metric: str
    statistic: str
    operator: str
    bound: float

    def holds(self, value: float) -> bool:
        """Return whether a value lies on the right side of the bound."""
        return _OPERATORS[self.operator](value, self.bound)


def parse(expression: str, special: Mapping[str, str] = SPECIAL) -> Gate:
    """Return the gate an expression means; `special` are the names that stand for a mean.

    Raises SettingsError for an unknown metric, statistic or unit, with the nearest names, and for
    what is no finite number.
    """
    found = _SHAPE.match(expression)
    if not found:
        raise SettingsError(
            f"--threshold: '{expression}' is refused: write METRIC.STATISTIC<NUMBER, as in "
            "ttft_ms.p95<500"
        )
    metric = _metric(expression, found["metric"], special)
    own = special.get(metric)
    statistic = _statistic(expression, metric, found["statistic"], own)
    unit = "share" if statistic == "cv" else own or _unit_of(metric)
    scale = _scale(expression, "n" if statistic == "n" else unit, found["unit"])
    bound = float(found["bound"]) * scale
    if not math.isfinite(bound):
        raise SettingsError(
            f"--threshold: '{expression}': {found['bound']} is refused: write a number below 1e308"
        )
    return Gate(expression, metric, statistic, found["operator"], bound)


def parse_all(expressions: Iterable[str], special: Mapping[str, str] = SPECIAL) -> list[Gate]:
    """Return the gates of several expressions."""
    return [parse(expression, special) for expression in expressions]


def judge_all(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the verdicts of a benchmark's own thresholds on its result file's content."""
    config, results = document["config"], document["results"]
    start = "cold" if config["start"] == "cold" else "warm"
    rows = [run for run in results["runs"] if run["start"] == start]
    gates = parse_all(config["threshold"])
    return [judge(gate, results, rows, config["gate_mode"]) for gate in gates]


def judge(
    gate: Gate, results: dict[str, Any], rows: Sequence[dict[str, Any]], mode: str
) -> dict[str, Any]:
    """Return the verdict on a benchmark's results, as `results.gates[]` has it.

    `rows` are the requests the statistic is over. `margin` is how far inside the bound the value
    lies, in the metric's unit; negative outside.
    """
    return weigh(gate, _observed(gate, results, rows), mode)


def weigh(gate: Gate, observed: Observed, mode: str) -> dict[str, Any]:
    """Return the verdict on what was observed, as `results.gates[]` has it."""
    value, interval, reason = observed
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


def _metric(expression: str, name: str, special: Mapping[str, str]) -> str:
    if name in special or name == "chunk_gap_ms":
        return name
    full = metrics.resolve(name)
    if full is None:
        aliases = [m.alias for m in metrics.METRICS.values() if m.alias]
        known = [*metrics.METRICS, *aliases, *special]
        raise SettingsError(
            f"--threshold: '{expression}': {registry.unknown('metric', name, known)}"
        )
    return full


def _statistic(expression: str, metric: str, name: str | None, special: str | None) -> str:
    if special is not None:
        if name in (None, "mean"):
            return "mean"
        raise SettingsError(f"--threshold: '{expression}': {metric} has no statistic '{name}'")
    full = ALIASES.get(name or "mean", name or "mean")
    if full not in STATISTICS:
        words = registry.unknown("statistic", full, STATISTICS)
        raise SettingsError(f"--threshold: '{expression}': {words}")
    return full


def _unit_of(metric: str) -> str:
    return "ms" if metric == "chunk_gap_ms" else metrics.METRICS[metric].unit


def _scale(expression: str, own: str, unit: str) -> float:
    units = {"": 1.0, **_UNITS.get(own, {})}
    if unit not in units:
        known = ", ".join(filter(None, units)) or "none"
        raise SettingsError(
            f"--threshold: '{expression}': unit '{unit}' is unknown; known: {known}"
        )
    return units[unit]


def _observed(gate: Gate, results: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Observed:
    if gate.metric in WHOLE_RUN:
        value = results.get("totals", {}).get(WHOLE_RUN[gate.metric].key)
        return Observed(value, None, "" if value is not None else "no value of the whole run")
    if gate.metric in SPECIAL:
        return _share(gate.metric, results, rows)
    summary = results["summary"][gate.metric]
    value = summary[gate.statistic]
    if value is None:
        reason = summary.get("reason") or "too_few_samples"
        return Observed(None, None, metrics.REASONS.get(reason, reason))
    if gate.statistic == "mean":
        return Observed(value, summary["ci95"], "")
    if gate.statistic in samples.PERCENTILES:
        quantile = samples.PERCENTILES[gate.statistic] / 100
        values = [row[gate.metric] for row in rows if row.get(gate.metric) is not None]
        interval = samples.quantile_interval(values, quantile)
        needed = samples.floor(quantile)
        few = (
            ""
            if summary["n"] >= needed
            else f"{summary['n']} samples do not certify it, {needed} do"
        )
        return Observed(value, interval, few)
    return Observed(value, None, "")


def _share(name: str, results: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Observed:
    if name == "error_rate":
        failed = sum(row["error"] is not None for row in rows)
        if not rows:
            return Observed(None, None, "no requests")
        return Observed(failed / len(rows), samples.wilson(failed, len(rows)), "")
    found = results.get("correctness")
    if not found or found["accuracy"] is None:
        return Observed(None, None, "no answers were judged")
    return Observed(found["accuracy"], found["wilson95"], "")


def _verdict(gate: Gate, value: float, interval: Sequence[float] | None, mode: str) -> str:
    if mode == "point":
        return "pass" if gate.holds(value) else "fail"
    if interval is None:
        return "undecided"
    sides = {gate.holds(end) for end in interval}
    return "undecided" if len(sides) > 1 else "pass" if sides == {True} else "fail"
