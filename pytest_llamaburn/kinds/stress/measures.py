"""Which measures a stress run's file has, and how each is read.

A measure of a level is read at the optimal one unless another is named: `ttft_ms.p95@16`. A point
that was not reached lies above the highest level that was sent, one below the lowest that was sent
there at most.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import gates, measures, metrics
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.stress import axis, plan
from pytest_llamaburn.load.step import CLIENTS, RATE
from pytest_llamaburn.measures import Measure, Observed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_llamaburn.gates import Gate
    from pytest_llamaburn.kinds.stress.settings import Stress

    Document = Mapping[str, Any]

TITLE = "Under load"
ABOUT = """\
These names are used in gates and comparisons of stress runs. Each level has its own values, and
distributions over the requests that succeeded. Names that end in `_from_schedule_ms` count from the
time at which a request was due. `adj_` percentiles count a failed request as infinite. A point is a
number of clients or, in an open loop, a rate in requests per second.

Throughput is measured while the load is complete. With N clients, that is from the end of the N-th
request to the last send. If this time is shorter than a request, everything from the first send to
the last end counts. With a schedule, it is from its begin plus the median latency (at most half of
the schedule) to its end. `rate_reason` says why the load was not complete, or why there is no rate.
`tokens_reason` says whether answers came without token counts.

The level of a spike run is its steady load before the first burst. `results.recovery.spikes` has
the requests of each burst and the time to recover from it. A spike run has no failure point and no
degradation point. A sustained run has throughput and resident memory per minute.
"""


def _predicted(short: str, what: str) -> Measure:
    return Measure(
        *(f"predicted_{short}", "ms", "lower"),
        f"{what} of the users of --mode twin, by the model of the server: the median of 100 "
        "simulations; p95 unless p50 is named",
        label=f"predicted {what}",
        key=f"results.twin.predicted.{short}",
        statistics=("p50", "p95"),
    )


PREDICTED = (
    _predicted("ttft_ms", "time to first token"),
    _predicted("itl_ms", "inter-token latency"),
)
PREDICTION_ERROR = Measure(
    *("prediction_error", "share", "lower"),
    "|measured / predicted − 1| of the p95 of the time to first token of the users",
    label="error of the prediction",
    key="results.twin.differences",
)
POINTS = tuple(measure.name for measure in measures.POINTS)
# The measures of requests whose distributions each level has.
OF_REQUESTS = (
    *("total_generation_ms", "time_to_first_token_ms", "inter_token_latency_ms"),
    *("tokens_per_sec", "queue_ms", "prompt_eval_ms"),
    *("input_sequence_length", "output_sequence_length"),
)
_OF_HOSTS = (
    Measure(
        *("worst_host_error_rate", "share", "lower"),
        "requests to a server that failed / all requests to it, of the server with the most "
        "failures; only with several servers",
        label="failed, worst server",
        key="results.levels[].worst_host_error_rate",
        of_level=True,
    ),
    Measure(
        *("host_latency_ratio", "ratio", "lower"),
        "median total latency of the slowest server / that of the fastest; only with several "
        "servers, each with a successful request",
        label="slowest to fastest server",
        key="results.levels[].host_latency_ratio",
        of_level=True,
    ),
)
# The fields of a level with the reason why a number is missing; the first non-empty one counts.
_WHY = {
    "requests_per_sec": ("rate_reason",),
    "output_tokens_per_sec": ("tokens_reason", "rate_reason"),
}
_WHY_ENERGY = ("energy_reason", "tokens_reason")
_WHY_HOSTS = "the load went to one server, or one of several answered no request"
_OTHER_AXIS = {
    "concurrency": "clients in a closed loop have no rate",
    "rate": "requests of a schedule have no clients",
}


def check(expressions: Iterable[str], asked: Stress) -> None:
    """Raise SettingsError for a gate that is invalid, or that this load can never decide."""
    for expression in expressions:
        gate = gates.parse(expression, MEASURES)
        reason = _never(gate, asked)
        if reason:
            raise SettingsError(f"--threshold: '{expression}' is refused: {reason}")


def no_level(level: float | None, asked: Stress) -> str | None:
    """Return why this load never reaches a gate's level, or None."""
    if level is None or plan.may_send(asked, level):
        return None
    return f"this load has no level {level:g}: name one that it sends"


def _never(gate: Gate, asked: Stress) -> str | None:
    """Return why a load can never decide a gate, or None."""
    measure, statistic, level = gate.of
    own = axis.AXES[RATE if asked.arrival else CLIENTS]
    if statistic in measures.AXES and statistic != own:
        return f"{_OTHER_AXIS[own]}: write {measure.name}.{own}"
    if measure.name == "goodput_share" and not asked.slo:
        return "it needs --slo, the objectives of a good request"
    if measure.name == measures.RECOVERY.name and asked.mode != "spike":
        return f"only --mode spike measures it, not --mode {asked.mode}"
    if measure in OF_TWIN.values() and asked.mode != plan.TWIN:
        return f"only --mode {plan.TWIN} predicts it, not --mode {asked.mode}"
    return no_level(level, asked)


def _level(document: Document, wanted: float | None) -> Mapping[str, Any] | Observed:
    """Return a level, by default the optimal one, or why there is none."""
    results = document["results"]
    at = axis.place(results["optimal"] or {}) if wanted is None else wanted
    for level in results["levels"]:
        if at is not None and axis.place(level) == at:
            found: Mapping[str, Any] = level
            return found
    which = "no level was optimal" if wanted is None else f"there is no level {wanted:g}"
    return Observed(reason=which)


def _distribution(
    measure: Measure, document: Document, statistic: str | None, wanted: float | None
) -> Observed:
    level = _level(document, wanted)
    if isinstance(level, Observed):
        return level
    found = level.get(measure.name)
    return measures.of_distribution(found, statistic) if found else measures.missing("not measured")


def _number(
    measure: Measure, document: Document, _statistic: str | None, wanted: float | None
) -> Observed:
    level = _level(document, wanted)
    if isinstance(level, Observed):
        return level
    if measure.name == "goodput_share":
        return _goodput(level["goodput"])
    value = level.get(measure.name)
    if value is not None:
        return Observed(value, level.get(f"{measure.name}_ci95"))
    if measure in _OF_HOSTS:
        return measures.missing(_WHY_HOSTS)
    places = _WHY.get(measure.name, _WHY_ENERGY)
    return measures.missing(next((level[key] for key in places if level.get(key)), "not measured"))


def _goodput(found: Mapping[str, Any] | None) -> Observed:
    if found is None:
        return Observed(reason="goodput needs --slo")
    return Observed(found["share"], found["wilson95"], found.get("reason") or "")


def _point(
    measure: Measure, document: Document, named: str | None, _level: float | None
) -> Observed:
    results = document["results"]
    point = results[measure.name]
    if point is None:
        return Observed(reason=results.get("points_reason") or "there is none")
    if named is not None and named not in point:
        return Observed(reason=f"this load has no {named}")
    value = axis.place(point)
    if value is not None:
        return Observed(value, point.get("interval"))
    if point["reached"]:
        low, high = point.get("bracket") or (None, point["failing"])
        return _somewhere(low, high)
    counted = [level for level in results["levels"] if level["requests"] > level["excluded"]]
    most = max((at for level in counted if (at := axis.place(level))), default=0.0)
    return Observed(reason=f"not reached up to {most:g}", within=(most, math.inf))


def _somewhere(low: float | None, high: float | None) -> Observed:
    """Return the bounds of a point between two levels; None stands for a level not sent."""
    if low is None:
        words = f"at or below {high:g}; lower levels were not measured"
    elif high is None:
        words = f"above {low:g}; higher levels were not measured"
    else:
        words = f"between {low:g} and {high:g}; no level between them was measured"
    ends = (-math.inf if low is None else low, math.inf if high is None else high)
    return Observed(reason=f"somewhere {words}", within=ends)


def _recovery(_measure: Measure, document: Document, *_: object) -> Observed:
    found = document["results"]["recovery"]
    if found is None:
        return Observed(reason="no spike was sent")
    return Observed(found["recovery_time_ms"], None, found["reason"] or "")


def _foreseen(
    measure: Measure, document: Document, statistic: str | None, _level: float | None
) -> Observed:
    found = document["results"].get("twin")
    if not found or not found["predicted"]:
        return Observed(reason=_no_prediction(document))
    one = found["predicted"][f"{measure.field}.{statistic or 'p95'}"]
    return Observed(one["value"], one["ci95"])


def _error(_measure: Measure, document: Document, *_: object) -> Observed:
    found = document["results"].get("twin")
    difference = found and found["differences"].get("ttft_ms.p95")
    if difference is None:
        return Observed(reason=(found and found["reason"]) or _no_prediction(document))
    return Observed(abs(difference))


def _no_prediction(document: Document) -> str:
    results = document["results"]
    return results.get("service_reason") or "no load of users was predicted"


OF_TWIN = {
    **measures.readable(_foreseen, PREDICTED),
    **measures.readable(_error, [PREDICTION_ERROR]),
}
MEASURES = {
    **measures.readable(_number, (*measures.LEVEL, *_OF_HOSTS)),
    **measures.readable(
        _distribution,
        (*(metrics.MEASURES[name] for name in OF_REQUESTS), *measures.WAITS, measures.CHUNK_GAP),
        of_level=True,
    ),
    **measures.readable(_point, (*measures.POINTS, measures.OPTIMAL)),
    **measures.readable(_recovery, [measures.RECOVERY]),
    **OF_TWIN,
}
