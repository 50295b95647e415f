"""Comparisons of benchmarks: the changes with their intervals, and other differences.

The noise is that between runs; `stats/runs.py` has the statistics. Bonferroni's correction covers
every column of every file: of a hundred reports on equal files, at most one shows any change. The
columns are correlated, so the correction is conservative.
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
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.stats.runs import Noise, Samples, Sides

Row = dict[str, Any]  # the compared fields of a request, and its prompt

FIXED_N = measures.FIXED_N.name
_TTFT, _ITL, _OSL = "time_to_first_token_ms", "inter_token_latency_ms", "output_sequence_length"
_ALL = "all prompts"
_MORE_RUNS = "more runs decide, such as with --repeats 5"
_OF_RUNS = tuple(measure.name for measure in measures.ENERGY)
ALONE = (_TTFT, _ITL, "tokens_per_sec")  # columns that do not need the N of FIXED_N


class Side(_comparable.Subject):
    """A benchmark that is compared."""

    alike = (
        *("num_ctx", "temperature", "top_p", "top_k", "max_tokens", "think", "cache", "start"),
        *("iterations", "prompts"),
    )

    def __init__(self, path: str, document: Document, choice: Choice) -> None:
        """Take its successful requests by run, without runs that have less than half the prompts.

        Of each request, only the compared fields are kept, so that thousands of files fit in
        memory.
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
        """The facts that are equal in runs that differ only by noise."""
        return (*super().conditions, self.prompts, differences.media_of(self))

    def samples(self, metric: str, fixed_n: int | None) -> list[Samples]:
        """Return a metric's values in each run by prompt; a measure of the run has one value."""
        if metric in _OF_RUNS:
            return [self._whole(repeat, metric) for repeat in self.runs]
        return [_samples(rows, metric, fixed_n) for rows in self.runs.values()]

    def _whole(self, repeat: int, metric: str) -> Samples:
        energies = self.document["results"].get("energy_by_repeat", ())
        key = MEASURES[metric].field
        values = [energy[key] for energy in energies if energy["repeat"] == repeat]
        return {_ALL: values} if values and values[0] is not None else {}


class Comparison(_comparable.Comparison):
    """A comparison of benchmarks."""

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
    worded = ("ms", "tokens/s")  # changes of other units are called higher or lower
    gates_have_units = False

    @cached_property
    def fixed_n(self) -> int | None:
        """The smallest median length of the files' answers, in tokens."""
        sides = self.subjects
        lengths = [median_length(r for rows in side.runs.values() for r in rows) for side in sides]
        return min((n for n in lengths if n is not None), default=None)

    @classmethod
    def column(cls, text: str, option: str) -> Column:
        """Return the column of a text such as `ttft_ms.p50`; the default statistic is the mean."""
        column = super().column(text, option)
        return column._replace(statistic=column.statistic or "mean")

    def arranged(self) -> list[Side]:
        """Return the baseline, then the others by --sort, with the files of a model together."""
        sort = self.choice.sort
        ordered: list[Side] = sorted(self.subjects, key=lambda side: side.document["timestamp"])
        if sort == "model":
            ordered.sort(key=lambda side: side.model)
        elif sort != "time":
            column = self.column(sort, "--sort")
            ordered.sort(key=lambda side: self._rank(side, column))
        names = dict.fromkeys([self.baseline.model, *(side.model for side in ordered)])
        models = {name: n for n, name in enumerate(names)}
        return sorted(ordered, key=lambda side: (side is not self.baseline, models[side.model]))

    def _rank(self, side: Side, column: Column) -> tuple[bool, float]:
        """Return a sort key: the best file first, and files without a value last."""
        runs = side.samples(column.metric, self.fixed_n)
        numbers = [statistics.number(run, str(column.statistic)) for run in runs if run]
        if not numbers:
            return True, 0.0
        return False, fmean(numbers) * (-1 if column.better == "higher" else 1)

    def wanted(self) -> set[tuple[str, str]]:
        """Return the (machine, model) pairs of files with a single run, which shows no noise."""
        alone = [side for side in self.subjects if len(side.runs) == 1]
        return {(side.machine, side.model) for side in alone if side.machine is not None}

    def estimate(self, other: Side, column: Column) -> Estimate:
        """Return the change over runs, with an interval from their spread or the noise."""
        pair = (self.baseline, other)
        runs = [self._of_baseline(column.metric), other.samples(column.metric, self.fixed_n)]
        facts = {"runs": [0, 0], "prompts": 0, "paired": False, "noise": []}
        for side, values in zip(pair, runs, strict=True):
            if not any(values):
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
            for side, values in zip(pair, (first, second), strict=True)
            if len(values) == 1
        ]
        found = self._estimated(column, (first, second), noises, facts)
        disturbed = _disturbed(pair, noises) if column.unit in self.worded else None
        return found._replace(reason=found.reason or disturbed)

    def _of_baseline(self, metric: str) -> list[Samples]:
        if metric not in self.memory:
            self.memory[metric] = self.baseline.samples(metric, self.fixed_n)
        runs: list[Samples] = self.memory[metric]
        return runs

    def _estimated(
        self, column: Column, runs: Sides, noises: Sequence[Noise], facts: Document
    ) -> Estimate:
        """Return the values, the change and its interval for runs that have values."""
        statistic, paired = str(column.statistic), facts["paired"]
        numbers = [[statistics.number(run, statistic) for run in side] for side in runs]
        if min(map(min, numbers)) <= 0:
            return Estimate(reason="a run's value is 0, so there is no ratio", facts=facts)
        first, second = ([math.log(value) for value in side] for side in numbers)
        requests = statistics.request_parts(runs, statistic, paired=paired) if noises else ()
        ends = statistics.ratio((first, second), noises, requests, self.confidence)
        change, *interval = map(math.expm1, ends)
        values = math.exp(fmean(first)), math.exp(fmean(second))
        noise = [_noise_facts(noise) for noise in dict.fromkeys(noises)]
        few = _uncertified(statistic, runs)
        return Estimate(*values, change, interval, few, {**facts, "noise": noise}, _MORE_RUNS)

    def _noise(self, side: Side, column: Column) -> Noise:
        """Return the noise between earlier runs of a side's model on its machine."""
        key = (side.machine, side.model, column)
        if key not in self.memory:
            groups: dict[Any, list[Samples]] = {}
            for earlier in self.history:
                if earlier.machine and (earlier.machine, earlier.model) == key[:2]:
                    values = filter(None, earlier.samples(column.metric, self.fixed_n))
                    counted = self.of_sensors(column) and profiles.counted_in(earlier.document)
                    groups.setdefault((earlier.conditions, counted), []).extend(values)
            several = [group for group in groups.values() if len(group) > 1]
            seen = statistics.learnt(several, str(column.statistic))
            self.memory[key] = statistics.noise(seen, sum(map(len, several)), self.confidence)
        noise: Noise = self.memory[key]
        return noise

    def config(self) -> Document:
        """Return `config`: the user's choice."""
        columns = [column.name for column in self.choice.columns]
        config = {"baseline": self.baseline.path, "sort": self.choice.sort, "columns": columns}
        return {**config, **super().config(), "baseline": self.baseline.path}

    def file(self, subject: Side) -> Document:
        """Return the entry of a file in `files`, with the values of each run."""
        return {**super().file(subject), "runs": _runs(subject, self.choice.every, self.fixed_n)}

    def warnings(self) -> list[dict[str, str]]:
        """Return a warning for each other difference, and the remarks on each file."""
        return [{"id": name, "text": text} for name, text in differences.of(self.subjects)]

    def written(self, change: Change) -> Document:
        """Return the entry of a change in the result file."""
        entry = super().written(change)
        del entry["level"]
        return entry

    def method(self) -> Document:
        """Return `method`: how the intervals were computed."""
        return {
            "evidence": "runs: a model in one repeat of a session",
            "interval": "Student's t of the log ratio, Welch's degrees of freedom",
            "correction": "Bonferroni",
            "alarm_rate": statistics.ALARM_RATE,
            "intervals": self.intervals,
            "confidence": self.confidence,
            "fixed_n": self.fixed_n,
        }


def runs(document: Document) -> list[Document]:
    """Return the runs of one benchmark, in the format of comparisons."""
    columns = tuple(Comparison.column(name, "") for name in ALONE)
    return _runs(Side("", document, Choice(columns)), columns, None)


def _runs(side: Side, columns: Sequence[Column], n: int | None) -> list[Document]:
    by_run = zip(*(side.samples(column.metric, n) for column in columns), strict=True)
    return [
        {
            "repeat": repeat,
            "requests": len(rows),
            "values": {
                column.name: statistics.number(run, str(column.statistic)) if run else None
                for column, run in zip(columns, runs, strict=True)
            },
        }
        for (repeat, rows), runs in zip(side.runs.items(), by_run, strict=True)
    ]


def _without_rows(document: Document) -> Document:
    """Return the fields of a file that a comparison needs, without its requests."""
    kept = (
        *("run_id", "model", "server", "timestamp", "status", "config", "environment"),
        "contended",
    )
    measured, telemetry = document["results"], document.get("telemetry", {})
    sensors = ("counted", "scope", "processes")
    return {
        **{name: document[name] for name in kept},
        "busy": insights.busy(document),
        "telemetry": {name: telemetry.get(name) for name in sensors if name in telemetry},
        "results": {
            "totals": measured["totals"],
            "media": measured.get("media"),
            "energy_by_repeat": measured.get("energy_by_repeat", ()),
        },
    }


def _fields(choice: Choice) -> frozenset[str]:
    """Return the fields of a request that the comparison reads."""
    sort = choice.sort
    ordered = () if sort in ("time", "model") else (Comparison.column(sort, "--sort"),)
    columns = (*choice.every, *ordered)
    return frozenset((_TTFT, _ITL, _OSL, *(column.metric for column in columns)))


def _kept(row: Row, fields: Iterable[str]) -> Row:
    """Return these fields of a request, and its prompt, interned to save memory."""
    prompt = sys.intern(f"{row['prompt_id']} {row['prompt_sha256']}")
    return {"prompt": prompt, **{name: row.get(name) for name in fields}}


def _prompts(rows: Iterable[Row]) -> set[str]:
    return {row["prompt"] for row in rows}


def _samples(rows: Iterable[Row], metric: str, n: int | None) -> Samples:
    by_prompt: Samples = {}
    for row in rows:
        value = at_fixed_n(row, n) if metric == FIXED_N else row.get(metric)
        if value is not None:
            by_prompt.setdefault(row["prompt"], []).append(value)
    return by_prompt


def _uncertified(statistic: str, runs: Sides) -> str | None:
    """Return why there are too few requests for a percentile, or None."""
    if statistic not in samples.PERCENTILES:
        return None
    needed = samples.floor(samples.PERCENTILES[statistic] / 100)
    least = min(sum(len(v) for run in side for v in run.values()) for side in runs)
    few = counted(least, "request is", "requests are")
    return f"{few} too few for it, {needed} are needed" if least < needed else None


def _disturbed(pair: Iterable[Side], noises: Iterable[Noise]) -> str | None:
    """Return why an assumed noise is too small, if other programs used a machine."""
    busy = [side.label for side in pair if side.document["busy"]]
    if not busy or all(noise.source != "assumed" for noise in noises):
        return None
    return (
        f"the machine of {' and '.join(busy)} was busy, and too few earlier runs show by how much "
        "that changes it"
    )


def _noise_facts(noise: Noise) -> Document:
    facts = noise._asdict()
    del facts["df"]
    return facts
