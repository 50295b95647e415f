"""All measures: name, unit, direction, formula, and how each is read from a result file.

`metrics.py` defines the measures of one request, this module those of several. The `measures.py` of
a kind of run lists those of its files; gates, comparisons, tables and the docs use that list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.criteria import BUILT_IN
from pytest_llamaburn.stats import samples
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_llamaburn.criteria import Criterion

    Document = Mapping[str, Any]
    Read = Callable[["Measure", Document, str | None, float | None], "Observed"]

STATISTICS = ("mean", "std", "cv", "min", *samples.PERCENTILES, "max", "n")
AXES = {"concurrency": "clients", "rate": "/s"}  # the axes of a point, with their units
# For the unit of each measure: the units that a bound may have, and the factor of each.
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
    "no_usage": "the server sent no token counts, or 0 although there were tokens",
    "below_two_tokens": "the answer has only one token",
    "no_samples": "no request gave a value",
    "too_few_samples": "too few requests gave a value",
    "one_read": "the whole answer came in one read",
    "not_reported": "the server does not report it",
    "unreadable": "the server reported something that is not a number",
    "implausible": "the server reported a number that cannot be true",
    "not_streamed": "the server sent the whole answer at once, although the request set `stream`",
    "no_uncached_count": "the server does not report how much of the prompt was cached",
    "clock_too_short": "the time that the server reported is below 1 ms",
    "no_provider": "no power sensor is read",
    "remote_server": "the server is on another machine, whose sensors are not read",
    "profile_off": "sensors were switched off (--no-profile)",
    "unsupported_field": "no GPU reports its power",
    "gpu_not_used": "the server uses none of the GPUs that have sensors",
    "devices_differ": "parts of the run measured the energy of different devices",
    "not_alone": "other requests ran at the same time",
    "window_too_short": "the request was too short for the sensor",
    "low_coverage": "readings are missing for more than 20 % of the time",
    "no_thinking_end": "the answer contained only thinking",
    "connection_reused": "the request used an open connection",
}


class Observed(NamedTuple):
    """The value of a measure in a result file, and its 95 % interval.

    `reason` says why a gate cannot decide on it. `within` are the bounds of a value that is not
    known exactly.
    """

    value: float | None = None
    interval: Sequence[float] | None = None
    reason: str = ""
    within: tuple[float, float] | None = None


class Measure(NamedTuple):
    """The definition of one number.

    - `better`: lower, higher or none.
    - `source`: who measured it: client, server, sensor, judge, scorer or both.
    - `label`: its name in tables.
    - `key`: its place in the result file.
    - `statistics`: the statistics of a distribution, the axes of a point; empty for one number.
    - `of_level`: whether each level of a load has it.
    - `read`: reads it, given the measure, a document, a statistic and a level.
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
        """Return its value in a document."""
        if self.read is None:
            return Observed(reason=f"files of this kind have no {self.name}")
        return self.read(self, document, statistic, level)

    @property
    def field(self) -> str:
        """The last part of `key`."""
        return self.key.rpartition(".")[2]

    def unit_of(self, statistic: str | None) -> str:
        """Return the unit of one of its statistics."""
        return {"n": "", "cv": "share", **AXES}.get(statistic or "", self.unit)


def units(unit: str) -> dict[str, float]:
    """Return the units that a bound may have, each with its factor; "" is `unit` itself."""
    return {"": 1.0, **UNITS.get(unit, {unit: 1.0})}


def find(table: Mapping[str, Measure], name: str) -> Measure | None:
    """Return the measure with this name or alias, or None."""
    aliases = {m.alias: m for m in table.values() if m.alias}
    return table.get(name) or aliases.get(name)


def names(table: Mapping[str, Measure]) -> list[str]:
    """Return all names and aliases."""
    return [*table, *(m.alias for m in table.values() if m.alias)]


def readable(read: Read, measures: Iterable[Measure], **fields: Any) -> dict[str, Measure]:
    """Return measures by name, with the function that reads them and the fields of a kind."""
    return {m.name: m._replace(read=read, **fields) for m in measures}


def limited(table: Mapping[str, Measure], statistics: Iterable[str]) -> dict[str, Measure]:
    """Return the measures with only these statistics; points keep their axes."""
    kept = {*statistics, *AXES}
    return {
        name: measure._replace(statistics=tuple(s for s in measure.statistics if s in kept))
        for name, measure in table.items()
    }


def properties(table: Mapping[str, Measure], document: Document) -> Iterator[tuple[str, float]]:
    """Yield name and value of each measure for a test report; of distributions, the median."""
    for measure in table.values():
        statistic = "p50" if "p50" in measure.statistics else None
        value = measure.observed(document, statistic).value
        if value is not None:
            yield f"{measure.name}_{statistic}" if statistic else measure.name, value


def of_distribution(
    distribution: Mapping[str, Any], statistic: str | None, values: Sequence[float] = ()
) -> Observed:
    """Return a statistic of a distribution, by default the mean.

    The interval of a percentile is computed from `values`. A percentile of too few samples has a
    reason, so that no gate decides on it.
    """
    name = statistic or "mean"
    value = distribution[name]
    if value is None:
        return missing(distribution.get("reason") or "too_few_samples")
    if name == "mean":
        return Observed(value, distribution["ci95"])
    if name not in samples.PERCENTILES:
        return Observed(value)
    quantile = samples.PERCENTILES[name] / 100
    needed = samples.floor(quantile)
    n = distribution["n"]
    few = f"{counted(n, 'sample is', 'samples are')} too few for it, {needed} are needed"
    interval = samples.quantile_interval(values, quantile)
    return Observed(value, interval, few if n < needed else "")


def of_share(count: int, total: int, nothing: str) -> Observed:
    """Return a share with Wilson's interval; `nothing` is the reason if `total` is 0."""
    if not total:
        return Observed(reason=nothing)
    return Observed(count / total, samples.wilson(count, total))


def missing(reason: str) -> Observed:
    """Return an Observed for a null number; the text of the code `reason`, if it has one."""
    return Observed(reason=REASONS.get(reason, reason))


CHUNK_GAP = Measure(
    *("chunk_gap_ms", "ms", "lower", "time between successive deltas, all requests pooled"),
    label="gap between chunks",
    statistics=STATISTICS,
)
FIXED_N = Measure(
    *("total_at_fixed_n_ms", "ms", "lower"),
    "time_to_first_token_ms + (N − 1) · inter_token_latency_ms, where N is the smallest median "
    "output_sequence_length of the compared files",
    label="total at fixed N",
    statistics=STATISTICS,
)
_ENERGY = {
    "energy_wh": (
        "Wh",
        "lower",
        "total energy from the first request sent to the last one ended, idle power included",
    ),
    "energy_above_idle_wh": ("Wh", "lower", "energy_wh − idle power with the model loaded · hours"),
    "power_draw_watts": ("W", "lower", "time-weighted mean: energy · 3600 / seconds"),
    "power_peak_watts": ("W", "lower", "highest power reading"),
    "joules_per_output_token": ("J", "lower", "energy · 3600 / tokens generated"),
    "output_tokens_per_joule": ("tokens/J", "higher", "1 / joules_per_output_token"),
}
# The plain names belong to the energy and the power of a single request.
_OF_RUN = {"energy_wh": "run_energy_wh", "power_draw_watts": "run_power_draw_watts"}
ENERGY = tuple(
    Measure(_OF_RUN.get(name, name), *fields, "sensor", key=f"results.totals.{name}")
    for name, fields in _ENERGY.items()
)
ERROR_RATE = Measure(
    *("error_rate", "share", "lower", "requests that failed / all"), key="results.runs[].error"
)
NUMBER_ACCURACY = Measure(
    *("number_accuracy", "share", "higher"),
    "numbers written correctly / numbers that were answered, or that failed because of the model",
    key="results.correctness.accuracy",
)


def _of_level(*fields: str, key: str = "", label: str = "") -> Measure:
    name, unit, better, formula, source = (*fields, "client")[:5]
    place = f"results.levels[].{key or name}"
    return Measure(name, unit, better, formula, source, label=label, key=place, of_level=True)


_LABELS = {"energy_wh": "energy", "power_draw_watts": "power draw"}
LEVEL_ENERGY = tuple(
    _of_level(name, *fields, "sensor", label=_LABELS.get(name, ""))
    for name, fields in _ENERGY.items()
    if name != "energy_above_idle_wh"
)
LEVEL = (
    _of_level(
        *("requests_per_sec", "/s", "higher"),
        "successful requests / seconds, over the time with the full load; a request that is partly "
        "in that time counts with that share of its generation",
        label="requests per second",
    ),
    _of_level(
        *("output_tokens_per_sec", "tokens/s", "higher"),
        "generated tokens / seconds, over the same time and with the same shares",
        "server",
        label="tokens per second, all clients",
    ),
    _of_level(
        *("error_rate", "share", "lower"),
        "requests that failed or exceeded the time limit / all requests, each until its end",
        label="failed",
    ),
    _of_level(
        *("goodput_share", "share", "higher", "requests within all bounds of --slo / all requests"),
        key="goodput.share",
        label="goodput",
    ),
    *LEVEL_ENERGY,
)
WAITS = tuple(
    Measure(
        *(f"{what}_from_schedule_ms", "ms", "lower", f"{end} − scheduled time of the request"),
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
    "failure_point": "level at which error_rate crosses --failure-rate, from one monotone fit over "
    "all requests",
    "degradation_point": "level at which a latency crosses --degradation-factor · latency of a "
    "single client",
}
POINTS = tuple(_point(name, formula) for name, formula in _POINTS.items())
OPTIMAL = _point(
    "optimal", "smallest level within 5 % of the highest throughput with acceptable latency"
)
RECOVERY = Measure(
    *("recovery_time_ms", "ms", "lower"),
    "time from the end of the spike to the first of two windows whose median latency is back at "
    "its value before the spike",
    key="results.recovery_time_ms",
)


def _judged(name: str, unit: str, formula: str) -> Measure:
    return Measure(name, unit, "higher", formula, "judge", key=f"results.criteria.{name}.mean")


def of_criterion(asked: Criterion) -> Measure:
    """Return the measure of a criterion that is scored from 1 to 5, or gets yes or no."""
    if asked.kind == "yes_no":
        formula = f"answers that judges say yes to for {asked.name} / scored answers"
        return _judged(asked.name, "share", formula)
    formula = f"mean of the judges' scores for {asked.name}, 1 to 5, over the scored answers"
    return _judged(asked.name, "score", formula)


_CLAIMS = {
    "faithfulness": "mean over answers: claims of the answer that its evidence supports / all its "
    "claims",
    "context_recall": "mean over answers: claims of the reference that the evidence supports / all "
    "its claims",
}
CRITERIA = tuple(
    _judged(name, "share", _CLAIMS[name]) if name in _CLAIMS else of_criterion(criterion)
    for name, criterion in BUILT_IN.items()
    if criterion.kind != "grade"
)
_LOWER = ("graded_incorrect", "unparsable", "unscored", "error_rate", "wer", "cer")


def _share(name: str, formula: str, source: str, key: str) -> Measure:
    better = "none" if name == "not_attempted" else "lower" if name in _LOWER else "higher"
    return Measure(name, "share", better, formula, source, key=f"results.{key}")


def rate(name: str, formula: str) -> Measure:
    """Return the measure of a share of answers that a scorer counts."""
    return _share(name, formula, "scorer", f"rates.{name}.mean")


_GRADES = {
    "graded_correct": "answers graded correct / graded answers",
    "graded_incorrect": "answers graded incorrect / graded answers",
    "not_attempted": "answers graded not attempted / graded answers; without grades: answers that "
    "only decline or say that they do not know, and empty ones / all answers with a scorer",
    "correct_given_attempted": "answers graded correct / answers graded correct or incorrect; "
    "without grades: answers that the scorers found right / attempted answers",
    "f_score": "harmonic mean of graded_correct and correct_given_attempted",
}
_ALSO_OF_SCORERS = ("not_attempted", "correct_given_attempted")
GRADES = tuple(
    _share(
        *(name, formula, "both" if name in _ALSO_OF_SCORERS else "judge"),
        f"grades.{name}.mean" + (f" or results.{name}.mean" if name in _ALSO_OF_SCORERS else ""),
    )
    for name, formula in _GRADES.items()
)
_SCORED = {
    "correct": "answers that the scorers found right / all answers; an unreadable answer is wrong",
    "correct_macro": "mean over categories of correct: each category counts alike, not each answer",
    "correct_of_parsed": "answers that the scorers found right / readable answers",
    "unparsable": "unreadable answers (also empty, cut and failed ones) / all answers",
    "pass_at_k": "mean over questions of 1 − C(n − right, k) / C(n, k), with n answers to each",
}
SCORED = tuple(_share(n, formula, "scorer", f"{n}.mean") for n, formula in _SCORED.items())
_RATES = {
    "wer": "(substitutions + deletions + insertions) / words of the references, over all answers",
    "cer": "(substitutions + deletions + insertions) / characters of the references",
    "field_accuracy": "fields of documents that were read right / all fields",
    "event_f1": "2 × events found / (events told + events there), over all answers",
    "segment_f1": "2 × tenths of a second with the right sound / (those told + those there)",
    "facts_found": "facts that the descriptions have / all facts",
    "render_success": "answers whose code draws, moves and has no error / all answers",
    "temporal_accuracy": "right answers on when, how often and in which order / all such answers",
    "audio_visual_accuracy": "right answers that need picture and sound / all such answers",
    "vqa_accuracy": "mean over answers of min(1, people who gave the same answer / 3)",
}
RATES = tuple(rate(*each) for each in _RATES.items())
WIN_RATE = _share(
    "win_rate",
    "(won + ties / 2) / questions, each judged in both orders; two different verdicts are a tie",
    *("judge", "pairwise.win_rate.value"),
)
UNSCORED = _share(
    "unscored",
    "missing verdicts / all requested verdicts: the larger of the judges' and the scorers' shares",
    *("both", "n_scored / n_total"),
)
_FAILED = ("failed answers / all requested answers", "client", "totals.failed / requests")
FAILED_ANSWERS = _share("error_rate", *_FAILED)
ANSWERS = (*CRITERIA, *GRADES, *SCORED, *RATES, WIN_RATE, UNSCORED, FAILED_ANSWERS)
