"""What the levels of a load say: their states, where the server bends and breaks, what is best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.capacity import (
    crossing,
    degradation,
    loops,
    open_loop,
    search,
    states,
    visits,
)
from pytest_llamaburn.load.step import CLIENTS
from pytest_llamaburn.load.think import mean_think_ns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.load.records import Record

UNMEASURED = "no level was measured"
OTHER_DEADLINES = (0.5, 0.25)  # of the run's own: what was cut off cannot be known to be later
_CERTIFIES_P95 = 59
_SLACK = 1.1  # a fit may miss the levels that bracket a point by so much
_HIGHER = 1.1  # times a level: less of a rise in load shows no rise in throughput


@dataclass
class Seen:
    """One level: what it came to, and the counted records of each of its runs."""

    summary: dict[str, Any]
    runs: list[list[Record]]

    @property
    def level(self) -> float:
        """Where it lies."""
        found: float = self.summary.get("concurrency") or self.summary["rate"]
        return found

    @property
    def records(self) -> list[Record]:
        """All counted records."""
        return [record for run in self.runs for record in run]


@dataclass
class Load:
    """All levels, lowest first, beside the baseline, and the settings that judge them."""

    levels: list[Seen]
    baseline: list[Record]
    config: Mapping[str, Any]
    deadline_s: float
    unit: str
    engine: str = ""  # the kind of server
    cut: str | None = None  # what ended the run before it had sent all: interrupted, server_gone

    @property
    def axis(self) -> str:
        """How a point on the axis is named in results."""
        return "concurrency" if self.unit == CLIENTS else "rate"


def judge(load: Load) -> None:
    """Give each level its state and the evidence for it."""
    bounds = _bounds(load)
    for seen in load.levels:
        if seen.records:
            found = states.state(_numbers(seen, load), bounds)
            seen.summary |= {"state": found.state, "evidence": found.evidence}
        else:
            seen.summary |= {"state": None, "evidence": _left_out(seen, load.config)}


def _left_out(seen: Seen, config: Mapping[str, Any]) -> str:
    """Return why a level has nothing to judge."""
    sent = seen.summary["requests"]
    if config["warmup_window"] or config["cooldown_window"]:
        return f"all {sent} requests were left out by the windows"
    return f"none of {sent} requests could be sent"


def optimal(load: Load) -> dict[str, Any] | None:
    """Return the smallest level within 5 % of the best throughput inside acceptable latency."""
    known = [seen for seen in load.levels if seen.summary["requests_per_sec"] is not None]
    found = states.optimal([_numbers(seen, load) for seen in known], _bounds(load))
    return found and {load.axis: found.level, "evidence": found.evidence}


def degradation_points(load: Load) -> list[dict[str, Any]]:
    """Return where each percentile of TTFT and of the whole time crosses the factor."""
    factor, clients = load.config["degradation_factor"], load.unit == CLIENTS
    runs = {seen.level: seen.runs for seen in load.levels if not _limited(seen)}
    levels = visits.told(runs, clients=clients)
    limited = [seen.level for seen in load.levels if _limited(seen)]
    return [
        {
            load.axis: point.estimate,
            "metric": f"{point.metric}.{point.statistic}",
            "factor": factor,
            "passing": point.passing,
            "failing": point.failing,
            "bracket": point.bracket,
            "interval": point.interval,
            "estimator": point.estimator,
            "reached": point.reached,
            "reason": _why(point, limited),
        }
        for point in degradation.points(levels, load.baseline, factor, clients=clients)
    ]


def _why(point: degradation.DegradationPoint, limited: Sequence[float]) -> str | None:
    """Return why a point has no number; levels that our side limited may be why."""
    if point.reason is None or not limited:
        return point.reason
    low, high = point.bracket or (point.passing, math.inf)
    between = [level for level in limited if (low or 0) < level < high]
    names = ", ".join(f"{level:g}" for level in between)
    return f"{point.reason}; at {names} the client was the limit" if between else point.reason


def lowest(points: Sequence[dict[str, Any]], axis: str) -> dict[str, Any] | None:
    """Return the lowest point that was reached, else any, which says why it was not."""
    reached = [point for point in points if point["reached"]]
    return min(
        reached, key=lambda point: _about(point, axis), default=points[0] if points else None
    )


def _about(point: dict[str, Any], axis: str) -> float:
    """Return about where a point lies that is a number, or lies between two."""
    if point[axis] is not None:
        return float(point[axis])
    low, high = point["bracket"]
    return float(high if low is None else math.sqrt(low * high))


def failure_point(load: Load, searched: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return where more than the failure rate fails: what a search found, else the levels' fit."""
    if not load.levels:
        return None
    rate = load.config["failure_rate"]
    found = dict(searched) if searched else _bracket(load, rate)
    found = {"estimator": None, "bracket": None, "confirmed": None, **found}
    sent = load.levels[0].level, found["failing"] or load.levels[-1].level
    others = {
        f"{share * load.deadline_s:.3g}": _inside(_crossing(load, share, rate), *sent)
        for share in OTHER_DEADLINES
    }
    return {
        load.axis: found.pop("estimate"),
        "metric": "error_rate",
        "failure_rate": rate,
        "deadline_s": load.deadline_s,
        **found,
        "at_deadline_s": others,
    }


def insights(load: Load) -> list[dict[str, Any]]:
    """Return what the levels say of the server, each with its evidence and one advice."""
    judged = [seen for seen in load.levels if seen.records and not _limited(seen)]
    numbers = [_numbers(seen, load) for seen in judged]
    found = []
    slots = states.slots(numbers) if load.unit == CLIENTS else None
    if slots:
        names = "--slots" if load.engine == "embedded" else "OLLAMA_NUM_PARALLEL, --parallel"
        found.append(
            _insight(
                "slots_inferred",
                f"The server works on {slots} request{'s' if slots > 1 else ''} at once: more "
                f"clients wait. Raise its parallel slots ({names}) if there is memory for their "
                "contexts.",
                slots=slots,
            )
        )
    flat = states.flat_from(numbers)
    if flat is not None and judged[-1].level > _HIGHER * flat:
        found.append(
            _insight(
                "throughput_flat",
                f"Throughput no longer grows from {flat:.3g} {load.unit} on: more load only makes "
                "everyone wait longer. Stay at or below it.",
                level=flat,
            )
        )
    half = states.halves_at(numbers)
    if half is not None:
        found.append(
            _insight(
                "stream_halves",
                f"At {half:.3g} {load.unit} each stream is at most half as fast as alone. Allow "
                "fewer at once where people read along.",
                level=half,
            )
        )
    return found


def _insight(name: str, text: str, **evidence: Any) -> dict[str, Any]:
    return {"id": name, "text": text, "evidence": evidence}


def _bounds(load: Load) -> states.Bounds:
    return states.Bounds(load.config["failure_rate"], load.config["degradation_factor"])


def _numbers(seen: Seen, load: Load) -> states.LevelSummary:
    summary = seen.summary
    grows = False
    if load.unit != CLIENTS:
        alone = open_loop.idle(load.baseline)
        grows = any(open_loop.backlog(run, seen.level, alone).grows for run in seen.runs)
    return states.LevelSummary(
        seen.level,
        summary["requests"] - summary["excluded"],
        summary["error_rate"] or 0.0,
        summary["requests_per_sec"] or 0.0,
        _ratio(seen, load),
        summary["time_to_first_token_ms"]["mean"],
        summary["total_generation_ms"]["mean"],
        summary["tokens_per_sec"]["mean"],
        grows,
        summary["client_health"]["client_limited"],
    )


def _ratio(seen: Seen, load: Load) -> float | None:
    """Return the highest ratio of a latency to the baseline's, p95 only where both certify it."""
    certain = min(len(seen.records), len(load.baseline)) >= _CERTIFIES_P95
    ratios = []
    for metric in degradation.WAITS:
        for statistic in degradation.QUANTILES if certain else ("p50",):
            base = degradation.latencies(metric, statistic, load.baseline)
            here = degradation.latencies(metric, statistic, seen.records)
            if 0 < base < float("inf") and here < float("inf"):
                ratios.append(here / base)
    return max(ratios, default=None)


def _bracket(load: Load, rate: float) -> dict[str, Any]:
    """Return what levels that nobody searched say of the failure point."""
    known = [seen for seen in load.levels if seen.records]
    bad = [seen.level for seen in known if seen.summary["error_rate"] > rate]
    failing = min(bad, default=None)
    held = [s.level for s in known if failing is None or s.level < failing]
    passing, reached = max(held, default=None), failing is not None
    # Below the lowest level that was sent nothing is known.
    both = None if passing is None or failing is None else (passing, failing)
    estimate = None
    if both and not degradation.wide(*both, whole=load.unit == CLIENTS):
        shares = [(seen.level, seen.summary["error_rate"], len(seen.records)) for seen in known]
        estimate = min(max(crossing.interpolated(shares, rate) or both[1], both[0]), both[1])
    return {
        "estimate": estimate,
        "estimator": "crossing" if estimate is not None else "bracket" if both else None,
        "interval": both,
        "bracket": (passing, failing) if reached else None,
        "passing": passing,
        "failing": failing,
        "proven": False,
        "confirmed": estimate is not None and _confirmed(estimate, known, load),
        "reached": reached,
        "reason": "levels" if reached else load.cut or ("maximum" if known else UNMEASURED),
    }


def _confirmed(estimate: float, known: Sequence[Seen], load: Load) -> bool:
    """Return whether a level a tenth below held, or one nearer, and such a one above failed."""
    low, high = search.around(estimate, whole=load.unit == CLIENTS)
    fails = {s.level: s.summary["error_rate"] > load.config["failure_rate"] for s in known}
    held = any(low <= level <= estimate and not bad for level, bad in fails.items())
    return held and any(estimate <= level <= high and bad for level, bad in fails.items())


def _inside(value: float | None, low: float, high: float) -> float | None:
    """Return a fit's crossing held between the levels around it, or None if it misses them."""
    if value is None or not low / _SLACK <= value <= high * _SLACK:
        return None
    return min(max(value, low), high)


def _limited(seen: Seen) -> bool:
    """Return whether our side was the limit: what such a level shows is not the server's."""
    found: bool = seen.summary["client_health"]["client_limited"]
    return found


def _crossing(load: Load, share: float, rate: float) -> float | None:
    """Return the level at which the rate is crossed with a share of the deadline."""
    levels = {seen.level: seen.runs for seen in load.levels if seen.records}
    deadline_ns = share * load.deadline_s * 1e9
    if not levels:
        return None
    if load.unit == CLIENTS:
        think_ns = mean_think_ns(load.config["think_time"])
        return loops.clients_at(levels, deadline_ns, rate, think_ns)
    return loops.rate_at(levels, deadline_ns, rate, open_loop.idle(load.baseline))
