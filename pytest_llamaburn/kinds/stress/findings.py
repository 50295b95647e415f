"""The findings of a load: the levels' states, degradation and failure points, the optimal level."""

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
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.capacity.degradation import DegradationPoint
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.load.rows import Request

UNMEASURED = "no level was measured"
OTHER_DEADLINES = (0.5, 0.25)  # shares of the run's deadline; a longer one was not measured
_CERTIFIES_P95 = 59
_SLACK = 1.1  # a fit may be outside the bracket of a point by at most this factor


class Load(NamedTuple):
    """All levels of a run, lowest first, the baseline, and the settings.

    `cut` says why the run ended early: interrupted, server_gone or None.
    """

    levels: list[Level]
    baseline: list[Request]
    config: Mapping[str, Any]
    deadline_s: float
    unit: str
    cut: str | None = None

    @property
    def axis(self) -> str:
        """The field of a point in results: concurrency or rate."""
        return axis.AXES[self.unit]

    @property
    def bounds(self) -> states.Bounds:
        """The acceptable error rate and latency ratio."""
        return states.Bounds(self.config["failure_rate"], self.config["degradation_factor"])

    @property
    def counted(self) -> list[Level]:
        """The levels with at least one counted request."""
        return [level for level in self.levels if level.requests]


def level(
    summary: Mapping[str, object], runs: Sequence[Sequence[Request]], baseline: Sequence[Request]
) -> Level:
    """Return a level, from its entry in the result file and its counted requests."""
    value, grows = axis.place(summary) or 0.0, False
    if axis.unit(summary) != CLIENTS and baseline:
        alone = open_loop.idle(baseline)
        grows = any(open_loop.backlog(run, value, alone).grows for run in runs if run)
    requests = [request for run in runs for request in run]
    ratio = latency_ratio(requests, baseline)
    return read(summary)._replace(latency_ratio=ratio, backlog_grows=grows, runs=runs)


def read(summary: Mapping[str, Any]) -> Level:
    """Return a level from its entry in the result file, without what only its requests show."""
    return Level(
        axis.place(summary) or 0.0,
        summary["requests"] - summary["excluded"],
        summary["error_rate"],
        summary["requests_per_sec"],
        ttft_ms=summary["time_to_first_token_ms"]["mean"],
        total_ms=summary["total_generation_ms"]["mean"],
        stream_tokens=summary["tokens_per_sec"]["mean"],
        client_limited=summary["client_health"]["client_limited"],
        sent=summary["requests"],
    )


def latency_ratio(requests: Sequence[Request], baseline: Sequence[Request]) -> float | None:
    """Return the highest ratio of a latency to the baseline's; p95 only with enough requests."""
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
    """Return a level's state with its evidence; the state is None if no request counts."""
    if level.requests:
        return states.state(level, load.bounds)
    if load.config["warmup_window"] or load.config["cooldown_window"]:
        why = f"all of {counted(level.sent, 'request')} left out by the windows"
    else:
        why = f"none of {counted(level.sent, 'request')} could be sent"
    return states.State(level.value, None, why)


def optimal(load: Load) -> Document | None:
    """Return the smallest level within 5 % of the best throughput at an acceptable latency."""
    found = states.optimal(load.levels, load.bounds)
    return found and {load.axis: found.level, "evidence": found.evidence}


def degradation_points(load: Load) -> list[DegradationPoint]:
    """Return the points at which percentiles of TTFT and total time cross the factor."""
    factor, clients = load.config["degradation_factor"], load.unit == CLIENTS
    runs = {x.value: [[*run] for run in x.runs] for x in load.levels if not x.client_limited}
    limited = [level.value for level in load.levels if level.client_limited]
    levels = visits.for_points(runs, clients=clients)
    points = degradation.points(levels, load.baseline, factor, clients=clients)
    return [point._replace(reason=_why(point, limited)) for point in points]


def degradation_document(point: DegradationPoint, load: Load) -> Document:
    """Return the entry of a degradation point in the result file."""
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
    """Return why a point has no number, with the levels at which the client was too slow."""
    if point.reason is None or not limited:
        return point.reason
    low, high = point.bracket or (point.passing, math.inf)
    between = [level for level in limited if (low or 0) < level < high]
    names = ", ".join(f"{level:g}" for level in between)
    return f"{point.reason}; at {names} the client was too slow" if between else point.reason


def failure_point(load: Load, searched: Mapping[str, Any] | None) -> Document | None:
    """Return the level at which the failure rate is crossed, by the search or by the levels."""
    if not load.levels:
        return None
    rate = load.config["failure_rate"]
    found = dict(searched) if searched else _bracket(load, rate)
    found = {"estimator": None, "bracket": None, "confirmed": None, **found}
    sent = load.levels[0].value, found["failing"] or load.levels[-1].value
    others = {
        f"{share * load.deadline_s:.3g}": _inside(crossed_at(load, share, rate), *sent)
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


def _bracket(load: Load, rate: float) -> Document:
    """Return the failure point from the levels of a run that did not search for it."""
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
    """Return whether a level within 10 % below passed, and one within 10 % above failed."""
    low, high = search.around(estimate, whole=load.unit == CLIENTS)
    rate = load.config["failure_rate"]
    fails = {level.value: (level.error_rate or 0.0) > rate for level in load.counted}
    held = any(low <= value <= estimate and not bad for value, bad in fails.items())
    return held and any(estimate <= value <= high and bad for value, bad in fails.items())


def _inside(value: float | None, low: float, high: float) -> float | None:
    """Return the crossing of a fit, clipped to its bracket; None if it is far outside."""
    if value is None or not low / _SLACK <= value <= high * _SLACK:
        return None
    return min(max(value, low), high)


def crossed_at(load: Load, share: float, rate: float) -> float | None:
    """Return the level at which the failure rate is crossed, with a shorter deadline."""
    levels = {level.value: level.runs for level in load.counted}
    deadline_ns = share * load.deadline_s * 1e9
    if not levels:
        return None
    if load.unit == CLIENTS:
        think_ns = mean_think_ns(load.config["think_time"])
        return loops.clients_at(levels, deadline_ns, rate, think_ns)
    return loops.rate_at(levels, deadline_ns, rate, open_loop.idle(load.baseline))
