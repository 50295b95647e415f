"""Every measure: its name, unit and direction, what it means, and how a result file is read for it.

A number of one request is a function over its trace (`metrics.py`), whose decorator makes the
measure. Numbers of many requests stand here. A kind of run says in its `measures.py` which of them
its files have, and how each is read: gates, comparisons, tables and the docs are loops over those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.criteria import BUILT_IN
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Document = Mapping[str, Any]
    Read = Callable[["Measure", Document, str | None, float | None], "Observed"]

STATISTICS = ("mean", "std", "cv", "min", *samples.PERCENTILES, "max", "n")
AXES = {"concurrency": "clients", "rate": "/s"}  # what a point can be a number of
# How a bound may be written, and what each unit is worth in the measure's own.
UNITS = {
    "ms": {"ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3},
    "tokens/s": {"tokens/s": 1.0, "/s": 1.0},
    "/s": {"/s": 1.0, "requests/s": 1.0},
    "W": {"W": 1.0, "mW": 1e-3, "kW": 1e3},
    "Wh": {"Wh": 1.0, "mWh": 1e-3, "kWh": 1e3},
    "J": {"J": 1.0, "mJ": 1e-3, "kJ": 1e3},
    "tokens/J": {"tokens/J": 1.0, "/J": 1.0},
    "share": {"share": 1.0, "%": 0.01},
}
REASONS = {
    "failed": "the request failed",
    "no_delta": "the answer had no content",
    "no_usage": "the server sent no token counts, or 0 for what was there",
    "below_two_tokens": "one token has no gap to the next",
    "no_samples": "no request gave a value",
    "too_few_samples": "too few requests gave a value",
    "one_read": "the whole answer came in one read",
    "not_reported": "the server does not say",
    "unreadable": "what the server says is no number",
    "implausible": "what the server says cannot be true",
    "not_streamed": "the server sent the whole answer at once, although it was asked to stream",
    "no_uncached_count": "the server does not say how much of the prompt was cached",
    "clock_too_short": "the server timed less than a millisecond",
    "no_provider": "no power sensor is read",
    "remote_server": "the server is on another machine, whose sensors are not read",
    "profile_off": "sensors were not to be read (--no-profile)",
    "unsupported_field": "no GPU gives its power",
    "gpu_not_used": "the server uses none of the GPUs that have sensors",
    "devices_differ": "parts of the run counted the energy of different devices",
    "window_too_short": "the request was too short for the sensor",
    "low_coverage": "readings are missing for over a fifth of the time",
    "no_thinking_end": "the answer held only thinking",
    "connection_reused": "an open connection was used",
}


class Observed(NamedTuple):
    """What a result file has of a measure: a value, its 95 % interval, and why it decides nothing.

    `within` are the ends between which a value surely lies that is not known itself.
    """

    value: float | None = None
    interval: Sequence[float] | None = None
    reason: str = ""
    within: tuple[float, float] | None = None


class Measure(NamedTuple):
    """One number: `better` is lower, higher or none; `source` whose clock or count it rests on.

    `label` is what tables call it. `key` is its place in the file. `statistics` are those it can be
    read at: none where it is one number, the axes where it is a point on them. `of_level` says that
    each level of a load has it. `read` takes the measure, a document, a statistic and a level.
    """

    name: str
    unit: str
    better: str
    formula: str
    source: str = "client"
    alias: str | None = None
    label: str = ""
    key: str = ""
    statistics: tuple[str, ...] = ()
    of_level: bool = False
    read: Read | None = None

    def observed(
        self, document: Document, statistic: str | None = None, level: float | None = None
    ) -> Observed:
        """Return what a document has of it."""
        if self.read is None:
            return Observed(reason=f"files of this kind have no {self.name}")
        return self.read(self, document, statistic, level)

    @property
    def field(self) -> str:
        """The last part of its place in the file."""
        return self.key.rpartition(".")[2]

    def unit_of(self, statistic: str | None) -> str:
        """Return the unit of one of its statistics."""
        return {"n": "", "cv": "share", **AXES}.get(statistic or "", self.unit)


def units(unit: str) -> dict[str, float]:
    """Return the ways to write a number of a unit, with what each is worth in it."""
    return {"": 1.0, **UNITS.get(unit, {unit: 1.0})}


def find(table: Mapping[str, Measure], name: str) -> Measure | None:
    """Return the measure with this name or alias, None without one."""
    aliases = {m.alias: m for m in table.values() if m.alias}
    return table.get(name) or aliases.get(name)


def names(table: Mapping[str, Measure]) -> list[str]:
    """Return all names and aliases."""
    return [*table, *(m.alias for m in table.values() if m.alias)]


def readable(read: Read, measures: Iterable[Measure], **fields: Any) -> dict[str, Measure]:
    """Return measures by name, with how they are read and with what else differs in a kind."""
    return {m.name: m._replace(read=read, **fields) for m in measures}


def limited(table: Mapping[str, Measure], statistics: Iterable[str]) -> dict[str, Measure]:
    """Return measures that can be read at fewer statistics: at these, and points at their axes."""
    kept = {*statistics, *AXES}
    return {
        name: measure._replace(statistics=tuple(s for s in measure.statistics if s in kept))
        for name, measure in table.items()
    }


def properties(table: Mapping[str, Measure], document: Document) -> Iterator[tuple[str, float]]:
    """Yield what a report of tests shows of a document: each value, of distributions the median."""
    for measure in table.values():
        statistic = "p50" if "p50" in measure.statistics else None
        value = measure.observed(document, statistic).value
        if value is not None:
            yield f"{measure.name}_{statistic}" if statistic else measure.name, value


def of_distribution(
    found: Mapping[str, Any], statistic: str | None, values: Sequence[float] = ()
) -> Observed:
    """Return what a distribution has at a statistic, the mean unless it is named.

    `values` give a percentile its interval. A percentile of too few samples decides nothing.
    """
    name = statistic or "mean"
    value = found[name]
    if value is None:
        return missing(found.get("reason") or "too_few_samples")
    if name == "mean":
        return Observed(value, found["ci95"])
    if name not in samples.PERCENTILES:
        return Observed(value)
    quantile = samples.PERCENTILES[name] / 100
    needed = samples.floor(quantile)
    few = f"{found['n']} samples do not certify it, {needed} do" if found["n"] < needed else ""
    return Observed(value, samples.quantile_interval(values, quantile), few)


def of_share(count: int, total: int, nothing: str) -> Observed:
    """Return a share with Wilson's interval; `nothing` is why there is none of nothing."""
    if not total:
        return Observed(reason=nothing)
    return Observed(count / total, samples.wilson(count, total))


def missing(reason: str) -> Observed:
    """Return what is seen of a number that is null, from the reason that the file gives."""
    return Observed(reason=REASONS.get(reason, reason))


CHUNK_GAP = Measure(
    *("chunk_gap_ms", "ms", "lower", "time between successive deltas, all requests pooled"),
    label="gap between chunks",
    statistics=STATISTICS,
)
FIXED_N = Measure(
    *("total_at_fixed_n_ms", "ms", "lower"),
    "time_to_first_token_ms + (N − 1) · inter_token_latency_ms, N being the smallest median "
    "output_sequence_length of the files that are compared",
    label="total at fixed N",
    statistics=STATISTICS,
)
_ENERGY = {
    "energy_wh": ("Wh", "lower", "energy from the first send to the last end, gross"),
    "energy_above_idle_wh": ("Wh", "lower", "energy − idle power, model loaded · time"),
    "power_draw_watts": ("W", "lower", "mean over time: energy · 3600 / seconds"),
    "power_peak_watts": ("W", "lower", "highest power read"),
    "joules_per_output_token": ("J", "lower", "energy · 3600 / tokens generated"),
    "output_tokens_per_joule": ("tokens/J", "higher", "1 / joules_per_output_token"),
}
# A single request has an energy and a power of its own, by their plain names.
_OF_RUN = {"energy_wh": "run_energy_wh", "power_draw_watts": "run_power_draw_watts"}
ENERGY = tuple(
    Measure(_OF_RUN.get(name, name), *about, "sensor", key=f"results.totals.{name}")
    for name, about in _ENERGY.items()
)
ERROR_RATE = Measure(
    *("error_rate", "share", "lower", "requests that failed / all"), key="results.runs[].error"
)
NUMBER_ACCURACY = Measure(
    *("number_accuracy", "share", "higher"),
    "numbers written correctly / numbers that were answered or that failed because of the model",
    key="results.correctness.accuracy",
)


def _of_level(*about: str, key: str = "", label: str = "") -> Measure:
    name, unit, better, formula, source = (*about, "client")[:5]
    place = f"results.levels[].{key or name}"
    return Measure(name, unit, better, formula, source, label=label, key=place, of_level=True)


_LABELS = {"energy_wh": "energy", "power_draw_watts": "power draw"}
LEVEL_ENERGY = tuple(
    _of_level(name, *about, "sensor", label=_LABELS.get(name, ""))
    for name, about in _ENERGY.items()
    if name != "energy_above_idle_wh"
)
LEVEL = (
    _of_level(
        *("requests_per_sec", "/s", "higher"),
        "requests that succeeded / seconds, while the load was whole; a request that lies partly "
        "in that time counts by that share of its generation",
        label="requests per second",
    ),
    _of_level(
        *("output_tokens_per_sec", "tokens/s", "higher"),
        "tokens generated / seconds, over the same time and by the same shares",
        "server",
        label="tokens per second, all clients",
    ),
    _of_level(
        *("error_rate", "share", "lower"),
        "requests that failed or outlasted the deadline / all, each followed to its end",
        label="failed",
    ),
    _of_level(
        *("goodput_share", "share", "higher", "requests that kept every bound of --slo / all"),
        key="goodput.share",
        label="goodput",
    ),
    *LEVEL_ENERGY,
)
WAITS = tuple(
    Measure(
        *(f"{what}_from_schedule_ms", "ms", "lower", f"{end} − the time at which it was due"),
        key=f"results.levels[].{what}_from_schedule_ms",
        statistics=STATISTICS,
    )
    for what, end in (
        ("time_to_first_token", "first non-empty content or thinking delta"),
        ("total_generation", "last content or thinking delta"),
    )
)


def _point(name: str, formula: str) -> Measure:
    return Measure(
        *(name, "clients", "higher", formula),
        label=name.replace("_", " "),
        key=f"results.{name}",
        statistics=tuple(AXES),
    )


_POINTS = {
    "failure_point": "where error_rate crosses --failure-rate, from one monotone fit over all that "
    "was sent",
    "degradation_point": "where a latency crosses --degradation-factor times that of one client "
    "alone",
}
POINTS = tuple(_point(name, formula) for name, formula in _POINTS.items())
OPTIMAL = _point(
    "optimal", "the smallest level within 5 % of the highest throughput at acceptable latency"
)
RECOVERY = Measure(
    *("recovery_time_ms", "ms", "lower"),
    "end of the spike to the first of two windows whose median wait is that of before",
    key="results.recovery_time_ms",
)


def _judged(name: str, unit: str, formula: str) -> Measure:
    return Measure(name, unit, "higher", formula, "judge", key=f"results.criteria.{name}.mean")


def own_criterion(name: str) -> Measure:
    """Return the measure of a criterion that is scored from 1 to 5."""
    formula = f"mean of the judges' scores for {name}, 1 to 5, over what was scored"
    return _judged(name, "score", formula)


_CLAIMS = {
    "faithfulness": "mean over answers: claims of the answer that its evidence supports / claims",
    "context_recall": "mean over answers: claims of the reference that the evidence has / claims",
}
CRITERIA = tuple(
    _judged(name, "share", _CLAIMS[name]) if name in _CLAIMS else own_criterion(name)
    for name, one in BUILT_IN.items()
    if one.kind != "grade"
)
_LOWER = ("graded_incorrect", "unparsable", "unscored", "error_rate")


def _share(name: str, formula: str, source: str, key: str) -> Measure:
    better = "none" if name == "not_attempted" else "lower" if name in _LOWER else "higher"
    return Measure(name, "share", better, formula, source, key=f"results.{key}")


_GRADES = {
    "graded_correct": "answers that judges graded correct / answers that they graded",
    "graded_incorrect": "answers that judges graded incorrect / answers that they graded",
    "not_attempted": "answers that judges graded not attempted / answers that they graded",
    "correct_given_attempted": "answers graded correct / answers graded correct or incorrect",
    "f_score": "harmonic mean of graded_correct and correct_given_attempted",
}
GRADES = tuple(_share(n, formula, "judge", f"grades.{n}.mean") for n, formula in _GRADES.items())
_SCORED = {
    "correct": "answers that the scorers found right / answers; one that cannot be read is wrong",
    "correct_of_parsed": "answers that the scorers found right / answers that could be read",
    "unparsable": "answers that could not be read, empty, cut and failed ones among them / answers",
    "pass_at_k": "mean over questions of 1 − C(n − right, k) / C(n, k), with n answers each",
}
SCORED = tuple(_share(n, formula, "scorer", f"{n}.mean") for n, formula in _SCORED.items())
WIN_RATE = _share(
    "win_rate",
    "(won + ties / 2) / questions, each judged in both orders; if they disagree it is a tie",
    *("judge", "pairwise.win_rate.value"),
)
UNSCORED = _share(
    "unscored",
    "verdicts that are not there / all asked for; the larger share, of judges or of scorers",
    *("both", "n_scored / n_total"),
)
FAILED_ANSWERS = _share(
    "error_rate",
    "answers that failed / all that were asked for",
    *("client", "totals.failed / requests"),
)
ANSWERS = (*CRITERIA, *GRADES, *SCORED, WIN_RATE, UNSCORED, FAILED_ANSWERS)
