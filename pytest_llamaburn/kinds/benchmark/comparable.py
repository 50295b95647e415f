"""What differs between benchmarks: changes with their certainty, and what else differs.

`stats/runs.py` has the statistics: the noise is that between runs. All intervals of one report hold
together: with Bonferroni's correction over every column of every file, at most one report in a
hundred of equal files says otherwise anywhere. The columns are closely related, for which
Bonferroni's bound is safe and, if anything, strict.
"""

from __future__ import annotations

import math
import sys
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import insights, measures
from pytest_llamaburn.energy import profiles
from pytest_llamaburn.kinds import _comparable
from pytest_llamaburn.kinds._comparable import Change, Choice, Column, Estimate
from pytest_llamaburn.kinds.benchmark import differences
from pytest_llamaburn.kinds.benchmark.measures import MEASURES, at_fixed_n, median_length
from pytest_llamaburn.stats import runs as statistics
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_llamaburn.stats.runs import Noise, Samples, Sides

Document = dict[str, Any]
Row = dict[str, Any]

FIXED_N = measures.FIXED_N.name
_TTFT, _ITL, _OSL = "time_to_first_token_ms", "inter_token_latency_ms", "output_sequence_length"
_ALL = "all prompts"
_MORE_RUNS = "more runs decide, as --repeats 5 makes"
_OF_RUNS = tuple(measure.name for measure in measures.ENERGY)
ALONE = (_TTFT, _ITL, "tokens_per_sec")  # columns that need no common N


class Side(_comparable.Subject):
    """A benchmark as one side of comparisons."""

    alike = (
        *("num_ctx", "temperature", "top_p", "top_k", "max_tokens", "think", "cache", "start"),
        *("iterations", "prompts"),
    )

    def __init__(self, path: str, document: Document, choice: Choice) -> None:
        """Take its successful requests, apart by run; nearly empty runs are left out.

        Of each request only what is compared is kept, so that thousands of files fit in memory.
        """
        super().__init__(path, _without_rows(document), choice)
        start = "cold" if self.document["config"]["start"] == "cold" else "warm"
        fields = _fields(choice)
        runs: dict[int, list[Row]] = {}
        for row in document["results"]["runs"]:
            if row["start"] == start and row["error"] is None:
                runs.setdefault(row["repeat"], []).append(_kept(row, fields))
        most = max((len(_prompts(rows)) for rows in runs.values()), default=0)
        self.runs = {n: rows for n, rows in runs.items() if 2 * len(_prompts(rows)) >= most}
        self.left_out = sorted(runs.keys() - self.runs.keys())

    @cached_property
    def prompts(self) -> frozenset[str]:
        """The prompts of its runs."""
        return frozenset(p for rows in self.runs.values() for p in _prompts(rows))

    @cached_property
    def conditions(self) -> tuple[Any, ...]:
        """What must be equal for runs to differ by noise alone."""
        return (*super().conditions, self.prompts)

    def samples(self, metric: str, fixed_n: int | None) -> list[Samples]:
        """Return a metric's values in each run, by prompt; what is of whole runs has one."""
        if metric in _OF_RUNS:
            return [self._whole(repeat, metric) for repeat in self.runs]
        return [_samples(rows, metric, fixed_n) for rows in self.runs.values()]

    def _whole(self, repeat: int, metric: str) -> Samples:
        found = self.document["results"].get("energy_by_repeat", ())
        key = MEASURES[metric].field
        values = [one[key] for one in found if one["repeat"] == repeat]
        return {_ALL: values} if values and values[0] is not None else {}


class Comparison(_comparable.Comparison):
    """Benchmarks in order, and how sure to be of what differs between them."""

    kind = noun = "benchmark"
    options = ("columns", "fail_if", "sort", "margin")
    measures = measures.limited(
        {name: m for name, m in MEASURES.items() if m.statistics or name in _OF_RUNS},
        statistics.STATISTICS,
    )
    default = (*ALONE, FIXED_N)
    like = ("mode",)
    subject = Side
    words = ("faster", "slower")
    worded = ("ms", "tokens/s")  # all else is higher or lower
    gates_have_units = False

    @cached_property
    def fixed_n(self) -> int | None:
        """The smallest median length of the files' answers, in tokens."""
        sides = self.subjects
        found = [median_length(row for rows in one.runs.values() for row in rows) for one in sides]
        return min((n for n in found if n is not None), default=None)

    @classmethod
    def column(cls, text: str, option: str) -> Column:
        """Return the column that a text such as `ttft_ms.p50` means; of runs it is the mean."""
        found = super().column(text, option)
        return found._replace(statistic=found.statistic or "mean")

    def arranged(self) -> list[Side]:
        """Return the files in the order that --sort names, models kept together."""
        sort = self.choice.sort
        ordered: list[Side] = sorted(self.subjects, key=lambda one: one.document["timestamp"])
        if sort == "model":
            ordered.sort(key=lambda side: side.model)
        elif sort != "time":
            of = self.column(sort, "--sort")
            ordered.sort(key=lambda side: self._rank(side, of))
        models = {name: n for n, name in enumerate(dict.fromkeys(side.model for side in ordered))}
        return sorted(ordered, key=lambda side: models[side.model])

    def _rank(self, side: Side, of: Column) -> tuple[bool, float]:
        """Return a key that sorts the best first and those without a value last."""
        found = side.samples(of.metric, self.fixed_n)
        numbers = [statistics.number(run, str(of.statistic)) for run in found if run]
        if not numbers:
            return True, 0.0
        return False, fmean(numbers) * (-1 if of.better == "higher" else 1)

    def wanted(self) -> set[tuple[str, str]]:
        """Return the machines and models whose noise no file itself shows."""
        alone = [side for side in self.subjects if len(side.runs) == 1]
        return {(side.machine, side.model) for side in alone if side.machine is not None}

    def estimate(self, other: Side, column: Column) -> Estimate:
        """Return the change over runs, with the interval that their spread or noise gives."""
        pair = (self.baseline, other)
        runs = [self._of_baseline(column.metric), other.samples(column.metric, self.fixed_n)]
        facts = {"runs": [0, 0], "prompts": 0, "paired": False, "noise": []}
        for side, found in zip(pair, runs, strict=True):
            if not any(found):
                return Estimate(reason=f"no request of {side.label} gave a value", facts=facts)
        apart = self.unlike_sensors(other, column)
        if apart:
            return Estimate(reason=apart, facts=facts)
        (first, second), paired = statistics.aligned(runs)
        facts["runs"] = [len(first), len(second)]
        facts["prompts"] = len(first[0]) if paired else 0
        facts["paired"] = paired
        noises = [
            self._noise(side, column)
            for side, found in zip(pair, (first, second), strict=True)
            if len(found) == 1
        ]
        return self._sure(column, (first, second), noises, facts)

    def _of_baseline(self, metric: str) -> list[Samples]:
        if metric not in self.memory:
            self.memory[metric] = self.baseline.samples(metric, self.fixed_n)
        found: list[Samples] = self.memory[metric]
        return found

    def _sure(
        self, column: Column, runs: Sides, noises: Sequence[Noise], facts: Document
    ) -> Estimate:
        """Return values, change and interval of runs that have some."""
        statistic, paired = str(column.statistic), facts["paired"]
        numbers = [[statistics.number(run, statistic) for run in side] for side in runs]
        if min(map(min, numbers)) <= 0:
            return Estimate(reason="a run's value is 0, to which there is no ratio", facts=facts)
        first, second = ([math.log(value) for value in side] for side in numbers)
        requests = statistics.request_parts(runs, statistic, paired=paired) if noises else ()
        ends = statistics.ratio((first, second), noises, requests, self.confidence)
        change, *interval = map(math.expm1, ends)
        values = math.exp(fmean(first)), math.exp(fmean(second))
        told = [_noise_facts(noise) for noise in dict.fromkeys(noises)]
        few = _uncertified(statistic, runs)
        return Estimate(*values, change, interval, few, {**facts, "noise": told}, _MORE_RUNS)

    def _noise(self, side: Side, column: Column) -> Noise:
        """Return the noise between runs of a side's model on its machine."""
        key = (side.machine, side.model, column)
        if key not in self.memory:
            groups: dict[Any, list[Samples]] = {}
            for one in self.history:
                if one.machine and (one.machine, one.model) == key[:2]:
                    found = one.samples(column.metric, self.fixed_n)
                    counted = self.of_sensors(column) and profiles.counted_in(one.document)
                    groups.setdefault((one.conditions, counted), []).extend(filter(None, found))
            several = [group for group in groups.values() if len(group) > 1]
            seen = statistics.learnt(several, str(column.statistic))
            self.memory[key] = statistics.noise(seen, sum(map(len, several)), self.confidence)
        noise: Noise = self.memory[key]
        return noise

    def config(self) -> Document:
        """Return what was asked for."""
        columns = [column.name for column in self.choice.columns]
        about = {"baseline": self.baseline.path, "sort": self.choice.sort, "columns": columns}
        return {**about, **super().config(), "baseline": self.baseline.path}

    def file(self, subject: Side) -> Document:
        """Return a file as the comparison tells of it, with what each run gave."""
        return {**super().file(subject), "runs": _runs(subject, self.choice.every, self.fixed_n)}

    def warnings(self) -> list[dict[str, str]]:
        """Return what differs besides the numbers, and what readers must know of each file."""
        return [{"id": name, "text": text} for name, text in differences.of(self.subjects)]

    def written(self, change: Change) -> Document:
        """Return a change as the result file has it."""
        found = super().written(change)
        del found["level"]
        return found

    def method(self) -> Document:
        """Return how the intervals were made."""
        return {
            "evidence": "runs: a model in one repeat of a session",
            "interval": "Student's t of the log ratio, Welch's degrees of freedom",
            "correction": "Bonferroni",
            "alarm_rate": statistics.ALARM_RATE,
            "intervals": self.intervals,
            "confidence": self.confidence,
            "fixed_n": self.fixed_n,
        }


def runs(document: Document) -> list[dict[str, Any]]:
    """Return the runs of one benchmark as comparisons have them."""
    columns = tuple(Comparison.column(name, "") for name in ALONE)
    return _runs(Side("", document, Choice(columns)), columns, None)


def _runs(side: Side, columns: Sequence[Column], n: int | None) -> list[dict[str, Any]]:
    found = zip(*(side.samples(of.metric, n) for of in columns), strict=True)
    return [
        {
            "repeat": repeat,
            "requests": len(rows),
            "values": {
                of.name: statistics.number(run, str(of.statistic)) if run else None
                for of, run in zip(columns, runs, strict=True)
            },
        }
        for (repeat, rows), runs in zip(side.runs.items(), found, strict=True)
    ]


def _without_rows(document: Document) -> Document:
    """Return what is told of a file besides its requests."""
    kept = ("run_id", "model", "server", "timestamp", "status", "config", "environment")
    found = document["results"]
    results = {"totals": found["totals"], "energy_by_repeat": found.get("energy_by_repeat", ())}
    about = {name: document[name] for name in (*kept, "contended")}
    telemetry = document.get("telemetry", {})
    names = ("counted", "scope", "processes")
    sensors = {name: telemetry.get(name) for name in names if name in telemetry}
    return {**about, "busy": insights.busy(document), "telemetry": sensors, "results": results}


def _fields(choice: Choice) -> frozenset[str]:
    """Return the fields of a request that are read."""
    sort = choice.sort
    ordered = () if sort in ("time", "model") else (Comparison.column(sort, "--sort"),)
    return frozenset((_TTFT, _ITL, _OSL, *(of.metric for of in (*choice.every, *ordered))))


def _kept(row: Row, fields: Iterable[str]) -> Row:
    """Return those fields of a request, and its prompt, whose text all files share."""
    prompt = sys.intern(f"{row['prompt_id']} {row['prompt_sha256']}")
    return {"prompt": prompt, **{name: row.get(name) for name in fields}}


def _prompts(rows: Iterable[Row]) -> set[str]:
    return {row["prompt"] for row in rows}


def _samples(rows: Iterable[Row], metric: str, n: int | None) -> Samples:
    found: Samples = {}
    for row in rows:
        value = at_fixed_n(row, n) if metric == FIXED_N else row.get(metric)
        if value is not None:
            found.setdefault(row["prompt"], []).append(value)
    return found


def _uncertified(statistic: str, runs: Sides) -> str | None:
    """Return why a percentile is not to be trusted, None where it is."""
    if statistic not in samples.PERCENTILES:
        return None
    needed = samples.floor(samples.PERCENTILES[statistic] / 100)
    least = min(sum(len(v) for run in side for v in run.values()) for side in runs)
    return f"{least} requests are too few for it, {needed} are needed" if least < needed else None


def _noise_facts(noise: Noise) -> dict[str, Any]:
    facts = noise._asdict()
    del facts["df"]
    return facts
