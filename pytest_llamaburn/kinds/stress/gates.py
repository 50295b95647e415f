"""Gates of a stress run: on a level, the optimal one unless `@16` names another, or on a point.

`error_rate<0.01`, `ttft_ms.p95@16<500`, `failure_point.concurrency>=16`, `recovery_time_ms<5s`. A
point that was not reached lies above the highest level that was sent, one below the lowest that was
sent there at most.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import gates, metrics, registry
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.gates import Observed
from pytest_llamaburn.kinds.stress import plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

POINTS = ("failure_point", "degradation_point", "optimal")
# What is gated beside the metrics' distributions, with units.
SPECIAL = {name: found.unit for name, found in metrics.LOAD_METRICS.items()}
# Where a level says why it has no such number; the first that says anything does.
_WHY = {
    "requests_per_sec": ("rate_reason",),
    "output_tokens_per_sec": ("tokens_reason", "rate_reason"),
}
_WHY_ENERGY = ("energy_reason", "tokens_reason")
_POINT = re.compile(rf"^\s*({'|'.join(POINTS)})\.(concurrency|rate)\b")
_OTHER_AXIS = {
    "concurrency": "clients in a closed loop have no rate",
    "rate": "requests of a schedule have no clients",
}
_AT = re.compile(r"@\s*(\d+(?:\.\d+)?)")


class LoadGate(NamedTuple):
    """A gate, and the level that it is on: None for the optimal one.

    `axis` is what a point is a number of, where the gate says so: concurrency or rate.
    """

    gate: gates.Gate
    level: float | None
    axis: str | None = None


def parse(expression: str) -> LoadGate:
    """Return the gate an expression means; raises SettingsError with the nearest names."""
    at = _AT.search(expression)
    point = _POINT.match(expression)
    plain = _POINT.sub(r"\1", _AT.sub("", expression, count=1))
    gate = gates.parse(plain, SPECIAL)._replace(expression=expression)
    given = (*SPECIAL, *metrics.LEVEL_METRICS, "chunk_gap_ms")
    if gate.metric not in given:
        words = registry.unknown("number of a level", gate.metric, given)
        raise SettingsError(f"--threshold: '{expression}': {words}")
    return LoadGate(gate, float(at[1]) if at else None, point and point[2])


def parse_all(expressions: Iterable[str]) -> list[LoadGate]:
    """Return the gates of several expressions."""
    return [parse(expression) for expression in expressions]


def check(expressions: Iterable[str], asked: Any) -> None:
    """Raise SettingsError for what is no gate, or one that this load can never decide."""
    for wanted in parse_all(expressions):
        reason = _never(wanted, asked)
        if reason:
            raise SettingsError(f"--threshold: '{wanted.gate.expression}' is refused: {reason}")


def _never(wanted: LoadGate, asked: Any) -> str | None:
    """Return why a load cannot decide a gate, whatever its server does."""
    name, axis = wanted.gate.metric, "rate" if asked.arrival else "concurrency"
    if wanted.axis not in (None, axis):
        return f"{_OTHER_AXIS[axis]}: write {name}.{axis}"
    if name == "goodput_share" and not asked.slo:
        return "it needs --slo, which says what a good request keeps"
    if name == "recovery_time_ms" and asked.mode != "spike":
        return f"--mode {asked.mode} sends no spike, spike does"
    return no_level(wanted.level, asked)


def no_level(level: float | None, asked: Any) -> str | None:
    """Return why a load cannot decide a gate on a level: it never comes to it; None for none."""
    if level is None or plan.may_send(asked, level):
        return None
    return f"this load has no level {level:g}: name one that it sends"


def judge_all(
    expressions: Iterable[str], results: Mapping[str, Any], mode: str
) -> list[dict[str, Any]]:
    """Return the verdicts on a stress run's results, as `results.gates[]` has them."""
    return [
        gates.weigh(wanted.gate, _observed(wanted, results), mode)
        for wanted in parse_all(expressions)
    ]


def _observed(wanted: LoadGate, results: Mapping[str, Any]) -> Observed:
    name = wanted.gate.metric
    if name in POINTS:
        return _point(wanted, results[name], results)
    if name == "recovery_time_ms":
        found = results["recovery"] or {"recovery_time_ms": None, "reason": "no spike was sent"}
        return Observed(found["recovery_time_ms"], None, found["reason"] or "")
    level = _level(wanted.level, results)
    if level is None:
        which = "optimal" if wanted.level is None else f"{wanted.level:g}"
        return Observed(None, None, f"there is no level {which}")
    if name in SPECIAL:
        return _scalar(name, level)
    return _statistic(wanted.gate, level[name])


def _level(wanted: float | None, results: Mapping[str, Any]) -> Mapping[str, Any] | None:
    at = wanted if wanted is not None else _place(results["optimal"] or {})
    levels: Iterable[Mapping[str, Any]] = results["levels"]
    return next((level for level in levels if at is not None and _place(level) == at), None)


def _place(found: Mapping[str, Any]) -> float | None:
    place: float | None = found.get("concurrency") or found.get("rate")
    return place


def _point(
    wanted: LoadGate, point: Mapping[str, Any] | None, results: Mapping[str, Any]
) -> Observed:
    gate = wanted.gate
    if point is None:
        return Observed(None, None, results["points_reason"] or "there is none")
    if wanted.axis is not None and wanted.axis not in point:
        return Observed(None, None, f"this load has no {wanted.axis}")
    value = _place(point)
    if value is not None:
        return Observed(value, point.get("interval"), "")
    if point["reached"]:
        low, high = point.get("bracket") or (None, point["failing"])
        return _at_most(high, gate) if low is None else _between(low, high, gate)
    counted = [level for level in results["levels"] if level["requests"] > level["excluded"]]
    most = max((place for level in counted if (place := _place(level))), default=0.0)
    if gate.operator in (">", ">=") and gate.bound <= most:
        return Observed(most, None, "")  # not reached: it lies above all that was sent
    return Observed(None, None, f"not reached up to {most:g}")


def _between(low: float, high: float | None, gate: gates.Gate) -> Observed:
    """Return what is known of a point that lies between two levels."""
    both = (low, math.inf if high is None else high)
    if gate.holds(both[0]) == gate.holds(both[1]):
        return Observed(min(both, key=lambda end: abs(end - gate.bound)), None, "")
    ends = f"above {low:g}" if high is None else f"between {low:g} and {high:g}"
    return Observed(None, None, f"it lies {ends}, the levels say no more")


def _at_most(value: float, gate: gates.Gate) -> Observed:
    """Return what is known of a point that lies at a value at most."""
    decided = gate.bound > value or (gate.operator == "<=" and gate.bound == value)
    reason = "" if decided else f"at or below {value:g}, the levels say no more"
    return Observed(value if decided else None, None, reason)


def _scalar(name: str, level: Mapping[str, Any]) -> Observed:
    if name == "goodput_share":
        found = level["goodput"]
        if found is None:
            return Observed(None, None, "goodput needs --slo")
        return Observed(found["share"], found["wilson95"], found.get("reason") or "")
    if name == "error_rate":
        return Observed(level[name], level["error_rate_ci95"], "")
    value = level[name]
    if value is not None:
        return Observed(value, None, "")
    reason = next((level[key] for key in _WHY.get(name, _WHY_ENERGY) if level[key]), "not measured")
    return Observed(None, None, metrics.REASONS.get(reason, reason))


def _statistic(gate: gates.Gate, values: Mapping[str, Any]) -> Observed:
    value = values[gate.statistic]
    if value is None:
        reason = values.get("reason") or "too_few_samples"
        return Observed(None, None, metrics.REASONS.get(reason, reason))
    few = ""
    if gate.statistic.startswith("p") and gate.statistic not in values["certified"]:
        few = f"{values['n']} samples do not certify it"
    return Observed(value, values["ci95"] if gate.statistic == "mean" else None, few)
