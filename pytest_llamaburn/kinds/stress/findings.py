"""What the levels of a load show: their states, degradation and failure points, the best level."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.capacity import (
    crossing,
    degradation,
    loops,
    open_loop,
    search,
    states,
    visits,
)
from pytest_llamaburn.capacity.states import Level
from pytest_llamaburn.kinds.stress import axis
from pytest_llamaburn.load.step import CLIENTS
from pytest_llamaburn.load.think import mean_think_ns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.capacity.degradation import DegradationPoint
    from pytest_llamaburn.insights import Insight
    from pytest_llamaburn.load.rows import Request

UNMEASURED = "no level was measured"
OTHER_DEADLINES = (0.5, 0.25)  # shares of the run's deadline; a longer one cannot be judged
_CERTIFIES_P95 = 59
_SLACK = 1.1  # a fit may miss the levels that bracket a point by this factor
_HIGHER = 1.1  # a load must be this many times higher before flat throughput means something


class Load(NamedTuple):
    """All levels of a run, lowest first, the baseline, and the settings that judge them.

    `engine` is the kind of server. `cut` is what ended the run before it had sent all of its load:
    interrupted or server_gone.
    """

    levels: list[Level]
    baseline: list[Request]
    config: Mapping[str, Any]
    deadline_s: float
    unit: str
    engine: str = ""
    cut: str | None = None

    @property
    def axis(self) -> str:
        """How results name a point on the axis."""
        return axis.AXES[self.unit]

    @property
    def bounds(self) -> states.Bounds:
        """Which error rate and latency are acceptable."""
        return states.Bounds(self.config["failure_rate"], self.config["degradation_factor"])

    @property
    def counted(self) -> list[Level]:
        """The levels of which any request counts."""
        return [level for level in self.levels if level.requests]


def level(
    summary: Mapping[str, Any], runs: Sequence[Sequence[Request]], baseline: Sequence[Request]
) -> Level:
    """Return a level in numbers, from what result files have of it and its counted requests."""
    value, grows = axis.place(summary) or 0.0, False
    if axis.unit(summary) != CLIENTS and baseline:
        alone = open_loop.idle(baseline)
        grows = any(open_loop.backlog(run, value, alone).grows for run in runs if run)
    requests = [request for run in runs for request in run]
    return Level(
        value,
        len(requests),
        summary["error_rate"],
        summary["requests_per_sec"],
        latency_ratio(requests, baseline),
        summary["time_to_first_token_ms"]["mean"],
        summary["total_generation_ms"]["mean"],
        summary["tokens_per_sec"]["mean"],
        grows,
        summary["client_health"]["client_limited"],
        runs,
        summary["requests"],
    )


def latency_ratio(requests: Sequence[Request], baseline: Sequence[Request]) -> float | None:
    """Return the highest ratio of a latency to the baseline's; p95 only if both certify it."""
    certain = min(len(requests), len(baseline)) >= _CERTIFIES_P95
    ratios = []
    for wait in degradation.WAITS:
        for statistic in degradation.QUANTILES if certain else ("p50",):
            base = degradation.latencies(wait, statistic, baseline)
            here = degradation.latencies(wait, statistic, requests)
            if 0 < base < math.inf and here < math.inf:
                ratios.append(here / base)
    return max(ratios, default=None)


def state(level: Level, load: Load) -> states.State:
    """Return a level's state with its evidence; without a state if none of its requests counts."""
    if level.requests:
        return states.state(level, load.bounds)
    if load.config["warmup_window"] or load.config["cooldown_window"]:
        why = f"all {level.sent} requests were left out by the windows"
    else:
        why = f"none of {level.sent} requests could be sent"
    return states.State(level.value, None, why)


def optimal(load: Load) -> dict[str, Any] | None:
    """Return the smallest level within 5 % of the best throughput at an acceptable latency."""
    found = states.optimal(load.levels, load.bounds)
    return found and {load.axis: found.level, "evidence": found.evidence}


def degradation_points(load: Load) -> list[DegradationPoint]:
    """Return where each percentile of TTFT and of total time crosses the degradation factor."""
    factor, clients = load.config["degradation_factor"], load.unit == CLIENTS
    runs = {x.value: [[*run] for run in x.runs] for x in load.levels if not x.client_limited}
    limited = [level.value for level in load.levels if level.client_limited]
    levels = visits.told(runs, clients=clients)
    points = degradation.points(levels, load.baseline, factor, clients=clients)
    return [point._replace(reason=_why(point, limited)) for point in points]


def degradation_document(point: DegradationPoint, load: Load) -> dict[str, Any]:
    """Return a degradation point as result files have it."""
    return {
        load.axis: point.estimate,
        "metric": f"{point.metric}.{point.statistic}",
        "factor": load.config["degradation_factor"],
        "passing": point.passing,
        "failing": point.failing,
        "bracket": point.bracket,
        "interval": point.interval,
        "estimator": point.estimator,
        "reached": point.reached,
        "reason": point.reason,
    }


def _why(point: DegradationPoint, limited: Sequence[float]) -> str | None:
    """Return why a point has no number; levels that our client limited may be the reason."""
    if point.reason is None or not limited:
        return point.reason
    low, high = point.bracket or (point.passing, math.inf)
    between = [level for level in limited if (low or 0) < level < high]
    names = ", ".join(f"{level:g}" for level in between)
    return f"{point.reason}; at {names} the client was the limit" if between else point.reason


def failure_point(load: Load, searched: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return where more than the failure rate fails: by the search, or else by the levels."""
    if not load.levels:
        return None
    rate = load.config["failure_rate"]
    found = dict(searched) if searched else _bracket(load, rate)
    found = {"estimator": None, "bracket": None, "confirmed": None, **found}
    sent = load.levels[0].value, found["failing"] or load.levels[-1].value
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


def insights(load: Load) -> list[Insight]:
    """Return what the levels show of the server, each with its evidence and one advice."""
    judged = [level for level in load.counted if not level.client_limited]
    found = []
    slots = states.slots(judged) if load.unit == CLIENTS else None
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
    flat = states.flat_from(judged)
    if flat is not None and judged[-1].value > _HIGHER * flat:
        found.append(
            _insight(
                "throughput_flat",
                f"Throughput no longer grows from {axis.words(flat, load.unit)} on: more load only "
                "makes everyone wait longer. Stay at or below it.",
                level=flat,
            )
        )
    half = states.halves_at(judged)
    if half is not None:
        found.append(
            _insight(
                "stream_halves",
                f"At {axis.words(half, load.unit)} each stream is at most half as fast as alone. "
                "Allow fewer at once where people read along.",
                level=half,
            )
        )
    return found


def _insight(name: str, text: str, **evidence: Any) -> Insight:
    return {"id": name, "text": text, "evidence": evidence}


def _bracket(load: Load, rate: float) -> dict[str, Any]:
    """Return the failure point as levels show it that were not chosen by a search."""
    known = [(x.value, x.error_rate or 0.0, x.requests) for x in load.counted]
    failing = min((value for value, share, _ in known if share > rate), default=None)
    held = [value for value, _, _ in known if failing is None or value < failing]
    passing, reached = max(held, default=None), failing is not None
    # Nothing is known below the lowest level that was sent.
    both = None if passing is None or failing is None else (passing, failing)
    estimate = None
    if both and not degradation.wide(*both, whole=load.unit == CLIENTS):
        estimate = min(max(crossing.interpolated(known, rate) or both[1], both[0]), both[1])
    return {
        "estimate": estimate,
        "estimator": "crossing" if estimate is not None else "bracket" if both else None,
        "interval": both,
        "bracket": (passing, failing) if reached else None,
        "passing": passing,
        "failing": failing,
        "proven": False,
        "confirmed": estimate is not None and _confirmed(estimate, load),
        "reached": reached,
        "reason": "levels" if reached else load.cut or ("maximum" if known else UNMEASURED),
    }


def _confirmed(estimate: float, load: Load) -> bool:
    """Return whether a level at most a tenth below held, and one at most a tenth above failed."""
    low, high = search.around(estimate, whole=load.unit == CLIENTS)
    rate = load.config["failure_rate"]
    fails = {level.value: (level.error_rate or 0.0) > rate for level in load.counted}
    held = any(low <= value <= estimate and not bad for value, bad in fails.items())
    return held and any(estimate <= value <= high and bad for value, bad in fails.items())


def _inside(value: float | None, low: float, high: float) -> float | None:
    """Return a fit's crossing, limited to the levels around it; None if it misses them."""
    if value is None or not low / _SLACK <= value <= high * _SLACK:
        return None
    return min(max(value, low), high)


def _crossing(load: Load, share: float, rate: float) -> float | None:
    """Return the level at which the rate is crossed with a share of the deadline."""
    levels = {level.value: level.runs for level in load.counted}
    deadline_ns = share * load.deadline_s * 1e9
    if not levels:
        return None
    if load.unit == CLIENTS:
        think_ns = mean_think_ns(load.config["think_time"])
        return loops.clients_at(levels, deadline_ns, rate, think_ns)
    return loops.rate_at(levels, deadline_ns, rate, open_loop.idle(load.baseline))
