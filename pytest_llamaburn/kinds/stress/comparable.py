"""Loads compared: what changed at the levels that both were sent, and at which points they bend.

A file is one run, and requests under load wait for each other: they are no independent samples. So
a change has an interval where a file has one itself (the share that failed, the failure point of a
ramp), or where earlier runs of the same load show how much runs differ; else it is inconclusive,
however large. As in comparisons of benchmarks, all intervals of one report hold together.
"""

from __future__ import annotations

import math
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import gates, insights, measures
from pytest_llamaburn.energy import profiles
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.kinds.stress.measures import MEASURES, POINTS
from pytest_llamaburn.stats import runs as evidence
from pytest_llamaburn.stats import samples
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Document = dict[str, Any]

SHARE = "share"  # changes of a share are differences: it may well be 0 in the baseline
_ALIKE = (
    *("mode", "arrival", "think_time", "isl", "osl", "max_tokens", "cache", "num_ctx", "prompts"),
    "warmup",
    *("temperature", "top_p", "top_k", "think", "degradation_factor", "failure_rate", "workers"),
    *("level_requests", "level_duration", "duration", "warmup_window", "cooldown_window", "slo"),
)
_MORE_RUNS = "more earlier runs of the same load in the results directory make it narrower"
_MORE_REQUESTS = "more requests make it narrower"
_COMPARED = measures.limited(
    {name: one for name, one in MEASURES.items() if one.of_level or name in POINTS},
    evidence.STATISTICS,
)
_UNITS = {"concurrency": "clients", "rate": "requests/s"}
_NOWHERE = {"change": None, "interval": None}


class Column(NamedTuple):
    """What is compared: a number of a level, at `level` or at all that both have, or a point."""

    metric: str
    statistic: str | None = None
    level: float | None = None
    axis: str | None = None  # what a point is said to be a number of

    @property
    def unit(self) -> str:
        """Its unit; a point's depends on what the levels are numbers of."""
        return "" if self.metric in POINTS else MEASURES[self.metric].unit

    @property
    def better(self) -> str:
        """Whether lower, higher or none is better."""
        return MEASURES[self.metric].better

    @property
    def of_sensors(self) -> bool:
        """Whether it rests on power sensors, which must be of the same devices to be compared."""
        return MEASURES[self.metric].source == "sensor"


class Gate(NamedTuple):
    """One parsed --fail-if: a file whose column changes for the worse past `bound` fails.

    Without a level it is on the baseline's optimal one.
    """

    expression: str
    column: Column
    bound: float


DEFAULT = (
    *map(Column, ("error_rate", "requests_per_sec", "output_tokens_per_sec")),
    Column("time_to_first_token_ms", "p50"),
    Column("inter_token_latency_ms", "p50"),
    Column("total_generation_ms", "p50"),
    Column("total_generation_ms", "p95"),
    Column("goodput_share"),
    *map(Column, POINTS),
)


class Choice(NamedTuple):
    """What was asked for."""

    columns: tuple[Column, ...] = DEFAULT
    gates: tuple[Gate, ...] = ()
    margin: float = evidence.MARGIN


class Comparison:
    """Stress runs by path, one of them the baseline, and earlier ones that show the noise."""

    def __init__(
        self,
        sources: Mapping[str, Document],
        baseline: str,
        choice: Choice,
        history: Iterable[Document] = (),
    ) -> None:
        """Take the files; raises ResultsError where clients loaded one and a rate another."""
        self.sources, self.baseline, self.choice = sources, baseline, choice
        self.labels = {path: evidence.label(index) for index, path in enumerate(sources)}
        self.others = {path: found for path, found in sources.items() if path != baseline}
        self.before = sources[baseline]
        for path, after in self.others.items():
            _check_axes(self.before, after, path)
        for of in (*choice.columns, *(gate.column for gate in choice.gates)):
            if of.axis not in (None, axis(self.before)):
                raise SettingsError(f"{of.metric}.{of.axis}: these loads have no {of.axis}")
        compared = {found["run_id"] for found in sources.values()}
        self._earlier: dict[Any, list[Document]] = {_conditions(d): [] for d in sources.values()}
        for found in history:
            group = self._earlier.get(_conditions(found))
            if group is not None and found["run_id"] not in compared:
                group.append(found)
        self._noises: dict[tuple[Column, float | None], tuple[int, evidence.Part | None]] = {}

    @cached_property
    def planned(self) -> dict[str, list[tuple[Column, float | None]]]:
        """What is compared in each other file: a column, and at which level."""
        return {path: [*self._places(after)] for path, after in self.others.items()}

    @property
    def confidence(self) -> float:
        """The level of each interval that makes them all hold together (Bonferroni)."""
        return 1 - evidence.ALARM_RATE / max(1, sum(map(len, self.planned.values())))

    def _places(self, after: Document) -> Iterator[tuple[Column, float | None]]:
        """Yield what is compared, lowest level first, then the points."""
        both = [_levels(found) for found in (self.before, after)]
        bounded = any(found["config"].get("slo") for found in (self.before, after))
        shown = (of for of in self.choice.columns if bounded or of.metric != "goodput_share")
        wanted = [of._replace(axis=None) for of in (*shown, *map(self.gated, self.choice.gates))]
        yield from dict.fromkeys(
            (of._replace(level=None), place)
            for place in sorted(both[0].keys() & both[1].keys())
            for of in wanted
            if of.metric not in POINTS and of.level in (None, place)
        )
        yield from dict.fromkeys((of, None) for of in wanted if of.metric in POINTS)

    def gated(self, gate: Gate) -> Column:
        """Return a gate's column, at the baseline's optimal level where it names none."""
        of = gate.column
        if of.level is not None or of.metric in POINTS:
            return of
        optimal = self.before["results"]["optimal"] or {}
        return of._replace(level=optimal.get(axis(self.before), math.nan))

    def changes(self, path: str) -> list[Document]:
        """Return a file's changes as result files have them."""
        return [
            {
                "file": self.labels[path],
                "level": place,
                **self._change(self.others[path], of, place),
            }
            for of, place in self.planned[path]
        ]

    def _change(self, after: Document, of: Column, place: float | None) -> Document:
        both = self.before, after
        pair = [_number(found, of, place) for found in both]
        unit = _UNITS[axis(after)] if of.metric in POINTS else of.unit
        about = {"metric": of.metric, "statistic": of.statistic, "unit": unit, "better": of.better}
        values = dict(zip(("baseline", "value"), pair, strict=True))
        apart = profiles.unlike(both) if of.of_sensors else None
        if apart:
            undecided = {"verdict": "inconclusive", "reason": apart, "noise": None}
            return {**about, **values, **_NOWHERE, **undecided}
        interval, noise = self._interval(after, of, place, pair)
        few = _uncertified(both, of, place) if interval else None
        reason = few if interval else self._unknown(both, of, place, noise)
        return {
            **about,
            **values,
            "change": _difference(pair, unit),
            "interval": interval,
            "verdict": verdict(None if few else interval, of.better, self.choice.margin),
            "reason": reason,
            "noise": noise if interval else None,
        }

    def _interval(
        self, after: Document, of: Column, place: float | None, pair: Sequence[float | None]
    ) -> tuple[list[float] | None, Document | None]:
        """Return the interval of a change and the noise it is from; None where it has none."""
        before, now = pair
        if before is None or now is None:
            return None, None
        own = _own_interval((self.before, after), of, place, self.confidence)
        if own:
            return own, None
        if (of, place) not in self._noises:
            self._noises[of, place] = self._noise(of, place)
        runs, found = self._noises[of, place]
        noise = {"runs": runs, "std": found and math.sqrt(found.variance)}
        zero = of.unit != SHARE and min(before, now) <= 0
        if zero or runs < evidence.LEAST_RUNS or not (found and found.variance):
            return None, noise
        both = evidence.Part(2 * found.variance, found.df)
        half = evidence.half_width([both], self.confidence)
        middle = _scaled(now, of) - _scaled(before, of)
        ends = middle - half, middle + half
        return [end if of.unit == SHARE else math.expm1(end) for end in ends], noise

    def _noise(self, of: Column, place: float | None) -> tuple[int, evidence.Part | None]:
        """Return how many earlier runs were made alike, and how much they differ."""
        alike: dict[Any, list[Document]] = {}
        for conditions, group in self._earlier.items():
            for one in group:
                counted = of.of_sensors and profiles.counted_in(one)
                alike.setdefault((conditions, counted), []).append(one)
        numbers = ([_number(one, of, place) for one in group] for group in alike.values())
        groups = [
            [_scaled(n, of) for n in group if n is not None and (n > 0 or of.unit == SHARE)]
            for group in numbers
        ]
        several = [group for group in groups if len(group) > 1]
        return sum(map(len, several)), evidence.within(several)

    def _unknown(
        self, both: Sequence[Document], of: Column, place: float | None, noise: Document | None
    ) -> str:
        """Return why a change has no interval."""
        if noise and of.unit != SHARE and 0 in [_number(found, of, place) for found in both]:
            return "one of them is 0, to which there is no ratio"
        if noise:
            return _alone(noise["runs"])
        if of.metric not in POINTS:
            return f"{of.metric} was not measured at {place:g} on each side"
        sides = zip(("the baseline", "the file"), both, strict=True)
        points = [(side, found["results"][of.metric], axis(found)) for side, found in sides]
        missing = [(side, point) for side, point, at in points if not point or point[at] is None]
        return "; ".join(_no_point(side, point) for side, point in missing)


def document(comparison: Comparison, run_id: str, timestamp: str) -> Document:
    """Return the content of a comparison's result file."""
    choice, labels = comparison.choice, comparison.labels
    changes = {path: comparison.changes(path) for path in comparison.others}
    return {
        "schema": "llamaburn/stress-comparison",
        "schema_version": results.SCHEMA_VERSION,
        "run_id": run_id,
        "status": "complete",
        "timestamp": timestamp,
        "config": {
            "baseline": labels[comparison.baseline],
            "margin": choice.margin,
            "fail_if": [gate.expression for gate in choice.gates],
        },
        "results": {
            "files": [_file(path, comparison) for path in comparison.sources],
            "warnings": [
                {"file": labels[path], "text": text}
                for path, found in comparison.others.items()
                for text in _unlike(comparison.before, found)
            ],
            "changes": [change for found in changes.values() for change in found],
            "gates": [
                _weighed(gate, comparison, path, found)
                for gate in choice.gates
                for path, found in changes.items()
            ],
            "method": {
                "evidence": "the intervals of each file, else the spread of earlier runs",
                "correction": "Bonferroni",
                "alarm_rate": evidence.ALARM_RATE,
                "confidence": comparison.confidence,
            },
        },
    }


def axis(found: Document) -> str:
    """Return what a stress run's levels are numbers of: concurrency or rate."""
    levels = found["results"]["levels"]
    rates = levels[0].get("concurrency") is None if levels else found["config"].get("arrival")
    return "rate" if rates else "concurrency"


def _file(path: str, comparison: Comparison) -> Document:
    found, kept = comparison.sources[path], ("run_id", "model", "server", "timestamp", "status")
    about = {"label": comparison.labels[path], "path": path}
    more = {"mode": found["config"]["mode"], "axis": axis(found)}
    facts = {name: found[name] for name in kept}
    return {**about, "baseline": path == comparison.baseline, **facts, **more}


def _unlike(before: Document, after: Document) -> Iterator[str]:
    """Yield what differs between two runs besides the numbers, and where our side was the limit."""
    for name in _ALIKE:
        was, now = before["config"].get(name), after["config"].get(name)
        if was != now:
            yield f"{name} is {_word(now)}, {_word(was)} in the baseline"
    if after["status"] != "complete":
        yield f"it is {after['status']}"
    machines = [found["environment"].get("fingerprint") for found in (before, after)]
    if machines[0] != machines[1]:
        yield "it was measured on another machine"
    apart = profiles.unlike((before, after))
    if apart:
        yield apart
    deadlines = [found["results"]["deadline_s"] for found in (before, after)]
    if None not in deadlines and deadlines[0] != deadlines[1]:
        yield "a request failed after {1:.3g} s, in the baseline after {0:.3g}".format(*deadlines)
    for found, which in ((before, "the baseline"), (after, "it")):
        yield from _disturbed(found, which)


def _disturbed(found: Document, which: str) -> Iterator[str]:
    """Yield what disturbed one run: other programs, other measurements, our own side."""
    if insights.busy(found):
        yield f"{which} {insights.BUSY}"
    if found["contended"]:
        yield f"{which} was allowed to run beside other measurements"
    for level in found["results"]["levels"]:
        if level["client_health"]["client_limited"]:
            yield f"in {which} the client was the limit at {level[axis(found)]:g}"


def column(text: str, option: str) -> Column:
    """Return the column that a text such as `ttft_ms.p50@8` or `failure_point` means.

    Raises SettingsError with the nearest names for an unknown metric or statistic.
    """
    measure, statistic, level = gates.selector(text, _COMPARED, option)
    if measure.name in POINTS:
        return Column(measure.name, axis=statistic)
    return Column(measure.name, statistic, level)


def gate(expression: str) -> Gate:
    """Return the gate that a text such as `requests_per_sec@8:-5%` means.

    A change of a share is in points. Raises SettingsError for what is none.
    """
    name, bound = gates.bound_of(expression)
    return Gate(expression, column(name, "--fail-if"), bound)


def _check_axes(before: Document, after: Document, path: str) -> None:
    if axis(before) != axis(after):
        words = {"rate": "a rate", "concurrency": "clients"}
        raise ResultsError(
            f"compare: {path} was loaded by {words[axis(after)]}, the baseline by "
            f"{words[axis(before)]}: they have no level in common"
        )


def _levels(found: Document) -> dict[float, Document]:
    at = axis(found)
    return {level[at]: level for level in found["results"]["levels"]}


def _number(found: Document, of: Column, place: float | None) -> float | None:
    """Return a number of a run: of a point, or of the level at a place; None without any."""
    if place is None and of.metric not in POINTS:
        return None
    return MEASURES[of.metric].observed(found, of.statistic, place).value


def _scaled(value: float, of: Column) -> float:
    """Return a value on the scale on which changes are differences."""
    return value if of.unit == SHARE else math.log(value)


def _difference(pair: Sequence[float | None], unit: str) -> float | None:
    before, after = pair
    if before is None or after is None:
        return None
    if unit == SHARE:
        return after - before
    return after / before - 1 if before else None


def _own_interval(
    both: Sequence[Document], of: Column, place: float | None, confidence: float
) -> list[float] | None:
    """Return the interval of a change that the two files' own give."""
    if of.metric == "error_rate" and place is not None:
        levels = [_levels(found)[place] for found in both]
        known = all(level.get("error_rate_ci95") for level in levels)
        return _apart(levels, confidence) if known else None
    if of.metric not in POINTS:
        return None
    points = [found["results"][of.metric] for found in both]
    at, wider = axis(both[0]), _wider(confidence)
    if not all(point.get("interval") and point[at] is not None for point in points):
        return None
    first, last = (_stretched(point["interval"], point[at], wider) for point in points)
    return [last[0] / first[1] - 1, last[1] / first[0] - 1] if first[0] > 0 else None


def _stretched(ends: Sequence[float], value: float, by: float) -> tuple[float, float]:
    """Return an interval with its ends that much farther from the value, as ratios."""
    low, high = (value * (end / value) ** by if value else end for end in ends)
    return low, high


def _wider(confidence: float) -> float:
    """Return how much wider than a normal's 95 % interval one of this confidence is."""
    return NormalDist().inv_cdf((1 + confidence) / 2) / NormalDist().inv_cdf(0.975)


def _apart(both: Sequence[Document], confidence: float) -> list[float]:
    """Return the interval of the difference of the shares that failed.

    From those of each (Newcombe, Statistics in Medicine 17, 1998, method 10), which take into
    account that failures come in clusters; widened from 95 % as a normal's would be.
    """
    (p, (low, high)), (q, (least, most)) = (
        (level["error_rate"], level["error_rate_ci95"]) for level in both
    )
    wider = _wider(confidence)
    down, up = math.hypot(q - least, high - p), math.hypot(most - q, p - low)
    return [max(-1.0, q - p - wider * down), min(1.0, q - p + wider * up)]


def _conditions(found: Document) -> tuple[Any, ...]:
    """Return what must be equal for runs to differ by noise alone."""
    model, server = found["model"], found["server"]
    about = (model["id"], model["digest"], model["quantization"], server["kind"], server["version"])
    more = (found["environment"].get("fingerprint"), found["config"].get("timeout_total"))
    return (*about, *more, *(str(found["config"].get(name)) for name in _ALIKE))


def _alone(runs: int) -> str:
    """Return why a single run on each side has no interval, `runs` earlier ones being known."""
    if runs >= evidence.LEAST_RUNS:
        return f"{runs} earlier runs of the same load show no spread"
    least = evidence.LEAST_RUNS
    return (
        f"one run does not show how much runs differ: {runs} earlier ones of this load do, {least} "
        "are needed"
    )


def _uncertified(both: Sequence[Document], of: Column, place: float | None) -> str | None:
    """Return why a percentile is not to be trusted, None where it is."""
    if of.statistic not in samples.PERCENTILES:
        return None
    found = [_levels(side)[place][of.metric] for side in both] if place is not None else []
    few = [values["n"] for values in found if of.statistic not in values["certified"]]
    return f"{min(few)} requests do not certify it" if few else None


def _no_point(side: str, point: Document | None) -> str:
    """Return why a point has no number on a side, with what is known of where it lies."""
    if point is None:
        return f"there is no number of it in {side}"
    if point["reached"]:
        low, high = point.get("bracket") or (None, point["failing"])
        ends = f"at or below {high:g}" if low is None else f"between {low:g} and {high:g}"
        return f"in {side} it lies {ends if high else f'above {low:g}'}"
    held = f" up to {point['passing']:g}" if point["passing"] else ""
    return f"{side} did not reach it{held}"


def verdict(interval: Sequence[float] | None, better: str, margin: float) -> str:
    """Return the word for a change whose interval is given; `same` is inside the margin."""
    if interval is None:
        return "inconclusive"
    low, high = interval
    if -margin <= low and high <= margin:
        return "same"
    if low <= 0 <= high:
        return "inconclusive"
    if better == "none":
        return "higher" if low > 0 else "lower"
    return "better" if (low > 0) == (better == "higher") else "worse"


def _weighed(
    gate: Gate, comparison: Comparison, path: str, changes: Sequence[Document]
) -> Document:
    """Return the verdict on a file."""
    of = comparison.gated(gate)
    place = None if of.metric in POINTS else of.level
    wanted = (of.metric, of.statistic, place)
    found = (c for c in changes if (c["metric"], c["statistic"], c["level"]) == wanted)
    change = next(found, None) or {**_NOWHERE, "reason": _no_level(of.level)}
    advice = _MORE_RUNS if change.get("noise") else _MORE_REQUESTS
    word, reason = gates.weigh_change(change, gate.bound, of.better, advice)
    shown = {name: change[name] for name in ("change", "interval")}
    about = {"expression": gate.expression, "file": comparison.labels[path], "unit": of.unit}
    return {**about, **shown, "verdict": word, "reason": reason}


def _no_level(level: float | None) -> str:
    if level is None or math.isnan(level):
        return "the baseline has no optimal level: name one, as in requests_per_sec@8:-5%"
    return f"the files have no level {level:g} in common"


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
