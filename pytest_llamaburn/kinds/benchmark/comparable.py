"""What differs between benchmarks: changes with their certainty, and what else differs.

`document` makes a comparison's result file from those of benchmarks; `evidence.py` has the
statistics. All intervals of one report hold together: with Bonferroni's correction over every
column of every file, at most one report in a hundred of equal files says otherwise anywhere. The
columns hang together closely, for which Bonferroni's bound is safe and, if anything, strict.
"""

from __future__ import annotations

import math
import sys
import zlib
from functools import cached_property, partial
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import gates, insights, measures
from pytest_llamaburn.energy import profiles
from pytest_llamaburn.kinds.benchmark.measures import MEASURES, at_fixed_n, median_length
from pytest_llamaburn.stats import runs as evidence
from pytest_llamaburn.stats import samples as stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_llamaburn.stats.runs import Noise, Samples, Sides

Document = dict[str, Any]
Row = dict[str, Any]

_CONTINUED = "was measured by {} processes in turn: it was cut and continued, or workers shared it"
_MORE_RUNS = "more runs decide, as --repeats 5 makes"
FIXED_N = measures.FIXED_N.name
_TTFT, _ITL, _OSL = "time_to_first_token_ms", "inter_token_latency_ms", "output_sequence_length"
_ALL = "all prompts"
_OF_RUNS = tuple(measure.name for measure in measures.ENERGY)
_COMPARED = measures.limited(
    {name: one for name, one in MEASURES.items() if one.statistics or name in _OF_RUNS},
    evidence.STATISTICS,
)
_CONDITIONS = (
    *("num_ctx", "temperature", "top_p", "top_k", "max_tokens", "think", "cache", "start"),
    *("iterations", "prompts"),
)


class Column(NamedTuple):
    """What is compared: a statistic of a metric's values in a run."""

    metric: str
    statistic: str = "mean"

    @property
    def name(self) -> str:
        """How it is written; the mean needs no word."""
        return self.metric if self.statistic == "mean" else f"{self.metric}.{self.statistic}"

    @property
    def unit(self) -> str:
        """The metric's unit."""
        return MEASURES[self.metric].unit

    @property
    def better(self) -> str:
        """Whether lower, higher or none is better."""
        return MEASURES[self.metric].better

    @property
    def of_sensors(self) -> bool:
        """Whether it rests on power sensors, which must be of the same devices to be compared."""
        return MEASURES[self.metric].source == "sensor"


ALONE = (Column(_TTFT), Column(_ITL), Column("tokens_per_sec"))  # these need no common N
DEFAULT = (*ALONE, Column(FIXED_N))


class Gate(NamedTuple):
    """One parsed --fail-if: a file whose column changes for the worse past `bound` fails."""

    expression: str
    column: Column
    bound: float


class Choice(NamedTuple):
    """What was asked for."""

    columns: tuple[Column, ...] = DEFAULT
    gates: tuple[Gate, ...] = ()
    sort: str = "time"
    margin: float = evidence.MARGIN

    @property
    def fields(self) -> frozenset[str]:
        """The fields of a request that are read."""
        ordered = () if self.sort in ("time", "model") else (column(self.sort, "--sort"),)
        return frozenset((_TTFT, _ITL, _OSL, *(of.metric for of in (*self.every, *ordered))))

    @property
    def every(self) -> tuple[Column, ...]:
        """All columns, those of gates included."""
        return tuple(dict.fromkeys((*self.columns, *(gate.column for gate in self.gates))))


class Source(NamedTuple):
    """A benchmark's result file."""

    path: str
    document: Document


class Side:
    """A benchmark as one side of comparisons."""

    def __init__(self, source: Source, choice: Choice) -> None:
        """Take its successful requests, apart by run; nearly empty runs are left out.

        Of each request only what is compared is kept, so that thousands of files find room.
        """
        self.path = source.path
        self.document = _without_rows(source.document)
        self.label = ""
        start = "cold" if self.document["config"]["start"] == "cold" else "warm"
        runs: dict[int, list[Row]] = {}
        for row in source.document["results"]["runs"]:
            if row["start"] == start and row["error"] is None:
                runs.setdefault(row["repeat"], []).append(_kept(row, choice.fields))
        most = max((len(_prompts(rows)) for rows in runs.values()), default=0)
        self.runs = {n: rows for n, rows in runs.items() if 2 * len(_prompts(rows)) >= most}
        self.left_out = sorted(runs.keys() - self.runs.keys())

    @property
    def model(self) -> str:
        """The model's id."""
        return str(self.document["model"]["id"])

    @property
    def machine(self) -> str | None:
        """The machine's fingerprint."""
        found: str | None = self.document["environment"].get("fingerprint")
        return found

    @property
    def place(self) -> tuple[str | None, str]:
        """What noise is learnt for: a machine and a model."""
        return self.machine, self.model

    @cached_property
    def prompts(self) -> frozenset[str]:
        """The prompts of its runs."""
        return frozenset(p for rows in self.runs.values() for p in _prompts(rows))

    @cached_property
    def conditions(self) -> tuple[Any, ...]:
        """What must be equal for runs to differ by noise alone."""
        config = self.document["config"]
        model, server = self.document["model"], self.document["server"]
        asked = (str(config.get(name)) for name in _CONDITIONS)
        about = (model["id"], model["digest"], model["quantization"])
        return (*about, server["kind"], server["version"], *asked, self.prompts)

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


class Comparison:
    """Sides in order, and how sure to be of what differs between them."""

    def __init__(
        self,
        sources: Iterable[Source],
        choice: Choice,
        baseline: int,
        earlier: Callable[[set[tuple[str, str]]], Iterable[Document]],
    ) -> None:
        """Take the files, the index of the baseline among them, and what finds earlier files.

        `earlier` takes the machines and models whose noise is to be learnt. Each file is read when
        its turn comes, so that one is in memory as a whole.
        """
        sides = [Side(source, choice) for source in sources]
        self.choice = choice
        self.baseline = sides[baseline]
        self.fixed_n = fixed_n(sides)
        self.sides = arranged(sides, choice.sort, self.fixed_n)
        self.intervals = max(1, len(choice.every) * (len(sides) - 1))
        self.confidence = 1 - evidence.ALARM_RATE / self.intervals
        taken = {side.document["run_id"] for side in sides}
        wanted = {(s.machine, s.model) for s in sides if len(s.runs) == 1 and s.machine is not None}
        found = (d for d in earlier(wanted) if d["run_id"] not in taken)
        self._earlier = [Side(Source("", document), choice) for document in found]
        self._noises: dict[tuple[Any, ...], Noise] = {}
        self._before: dict[str, list[Samples]] = {}

    @property
    def others(self) -> list[Side]:
        """All sides but the baseline."""
        return [side for side in self.sides if side is not self.baseline]

    def change(self, other: Side, column: Column) -> dict[str, Any]:
        """Return a change as result files have it."""
        pair = (self.baseline, other)
        runs = [self._of_baseline(column), other.samples(column.metric, self.fixed_n)]
        blank = _blank(other, column)
        for side, found in zip(pair, runs, strict=True):
            if not any(found):
                return {**blank, "reason": f"no request of {side.label} gave a value"}
        apart = column.of_sensors and profiles.unlike([s.document for s in pair])
        if apart:
            return {**blank, "reason": apart}
        (first, second), paired = evidence.aligned(runs)
        about = {
            "runs": [len(first), len(second)],
            "prompts": len(first[0]) if paired else 0,
            "paired": paired,
        }
        noises = [
            self._noise(s, column)
            for s, r in zip(pair, (first, second), strict=True)
            if len(r) == 1
        ]
        return {**blank, **about, **self._judged(column, (first, second), noises, paired=paired)}

    def _of_baseline(self, column: Column) -> list[Samples]:
        if column.metric not in self._before:
            self._before[column.metric] = self.baseline.samples(column.metric, self.fixed_n)
        return self._before[column.metric]

    def _judged(
        self, column: Column, runs: Sides, noises: Sequence[Noise], *, paired: bool
    ) -> dict[str, Any]:
        """Return values, change, interval and verdict of runs that have some."""
        numbers = [[evidence.number(run, column.statistic) for run in side] for side in runs]
        if min(map(min, numbers)) <= 0:
            return {"reason": "a run's value is 0, to which there is no ratio"}
        first, second = ([math.log(value) for value in side] for side in numbers)
        requests = evidence.request_parts(runs, column.statistic, paired=paired) if noises else ()
        ends = evidence.ratio((first, second), noises, requests, self.confidence)
        change, *interval = map(math.expm1, ends)
        few = _uncertified(column, runs)
        return {
            "baseline": math.exp(fmean(first)),
            "value": math.exp(fmean(second)),
            "change": change,
            "interval": interval,
            "verdict": "inconclusive" if few else verdict(column, interval, self.choice.margin),
            "reason": few,
            "noise": [_noise_facts(noise) for noise in dict.fromkeys(noises)],
        }

    def _noise(self, side: Side, column: Column) -> Noise:
        """Return the noise between runs of a side's model on its machine."""
        key = (*side.place, column)
        if key not in self._noises:
            alike = [one for one in self._earlier if one.machine and key == (*one.place, column)]
            groups: dict[Any, list[Samples]] = {}
            for one in alike:
                found = one.samples(column.metric, self.fixed_n)
                counted = column.of_sensors and profiles.counted_in(one.document)
                alike_to = (one.conditions, counted)
                groups.setdefault(alike_to, []).extend(filter(None, found))
            several = [group for group in groups.values() if len(group) > 1]
            seen = evidence.learnt(several, column.statistic)
            self._noises[key] = evidence.noise(seen, sum(map(len, several)), self.confidence)
        return self._noises[key]


def document(comparison: Comparison, run_id: str, timestamp: str) -> Document:
    """Return the content of a comparison's result file."""
    choice = comparison.choice
    changes = [comparison.change(s, c) for s in comparison.others for c in choice.every]
    return {
        "schema": "llamaburn/comparison",
        "schema_version": 1,
        "run_id": run_id,
        "status": "complete",
        "timestamp": timestamp,
        "config": {
            "baseline": comparison.baseline.path,
            "sort": choice.sort,
            "columns": [column.name for column in choice.columns],
            "margin": choice.margin,
            "fail_if": [gate.expression for gate in choice.gates],
        },
        "results": {
            "files": [_file(side, comparison) for side in comparison.sides],
            "warnings": warnings(comparison.sides),
            "changes": changes,
            "gates": [verdict for gate in choice.gates for verdict in _gated(gate, changes)],
            "method": _method(comparison),
        },
    }


def runs(document: Document) -> list[dict[str, Any]]:
    """Return the runs of one benchmark as comparisons have them."""
    return _runs(Side(Source("", document), Choice(ALONE)), ALONE, None)


def column(text: str, option: str) -> Column:
    """Return the column that a text such as `ttft_ms.p50` means.

    Raises SettingsError with the nearest names for an unknown metric or statistic.
    """
    measure, statistic, _ = gates.selector(text, _COMPARED, option)
    return Column(measure.name, statistic or "mean")


def gate(expression: str) -> Gate:
    """Return the gate that a text such as `tokens_per_sec.mean:-5%` means.

    Raises SettingsError for what is none.
    """
    name, bound = gates.bound_of(expression)
    return Gate(expression, column(name, "--fail-if"), bound)


def sort_key(text: str) -> str:
    """Return time, model or the column's name; raises SettingsError for anything else."""
    return text if text in ("time", "model") else column(text, "--sort").name


def verdict(of: Column, ends: Sequence[float], margin: float) -> str:
    """Return the word for a change whose interval is given.

    An interval inside the margin is `same`, even one without 0: a difference that small may come
    from what distinguishes two sessions, which repeats of one session do not show.
    """
    low, high = ends
    if -margin <= low and high <= margin:
        return "same"
    if low <= 0 <= high:
        return "inconclusive"
    word = "higher" if low > 0 else "lower"
    if of.better == "none" or of.unit not in ("ms", "tokens/s"):
        return word
    return "faster" if word == of.better else "slower"


def fixed_n(sides: Iterable[Side]) -> int | None:
    """Return the smallest median length of the sides' answers, in tokens."""
    found = [median_length(row for rows in side.runs.values() for row in rows) for side in sides]
    return min((n for n in found if n is not None), default=None)


def arranged(sides: Sequence[Side], sort: str, n: int | None) -> list[Side]:
    """Return the sides in order, models kept together, and label them A, B, C."""
    ordered = sorted(sides, key=lambda side: str(side.document["timestamp"]))
    if sort == "model":
        ordered.sort(key=lambda side: side.model)
    elif sort != "time":
        ordered.sort(key=partial(_rank, of=column(sort, "--sort"), n=n))
    models = list(dict.fromkeys(side.model for side in ordered))
    places = {model: place for place, model in enumerate(models)}
    ordered.sort(key=lambda side: places[side.model])
    for index, side in enumerate(ordered):
        side.label = evidence.label(index)
    return ordered


def warnings(sides: Sequence[Side]) -> list[dict[str, str]]:
    """Return what differs besides the numbers, and what readers must know of each file."""
    found = {name: _differing(sides, words, read) for name, (words, read) in _FACTS.items()}
    told = [{"id": name, "text": text} for name, text in found.items() if text]
    for model, alike in _grouped(sides, lambda side: side.model):
        text = _differing(alike, f"digest of {model}", lambda s: s.document["model"]["digest"])
        told += [{"id": "digest", "text": text}] if text else []
    for _, same in _grouped(sides, lambda side: side.document["run_id"]):
        text = f"{', '.join(side.label for side in same)} are one and the same run"
        told += [{"id": "same_run", "text": text}] if len(same) > 1 else []
    counting = [side for side in sides if profiles.counted_in(side.document)]
    text = _differing(counting, "device whose energy counts", _counted)
    told += [{"id": "counted", "text": text}] if text else []
    remarks = [(side, *remark) for side in sides for remark in _remarks(side)]
    return told + [{"id": name, "text": f"{side.label} {text}"} for side, name, text in remarks]


def _grouped(sides: Iterable[Side], key: Callable[[Side], str]) -> Iterable[tuple[str, list[Side]]]:
    """Return the sides with each key, in their order."""
    found: dict[str, list[Side]] = {}
    for side in sides:
        found.setdefault(key(side), []).append(side)
    return found.items()


def _setting(name: str) -> Callable[[Side], Any]:
    return lambda side: side.document["config"].get(name)


def _num_ctx(side: Side) -> Any:
    sent = side.document["config"].get("sent", {}).get("options", {})
    return side.document["config"].get("num_ctx") or sent.get("num_ctx")


def _counted(side: Side) -> str:
    return ", ".join(profiles.counted_in(side.document))


def _prompts_fact(side: Side) -> str:
    checksum = zlib.crc32("\n".join(sorted(side.prompts)).encode())
    return f"{len(side.prompts)} with checksum {checksum:08x}"


_FACTS: dict[str, tuple[str, Callable[[Side], Any]]] = {
    "machine": ("machine fingerprint", lambda side: side.machine),
    "server": ("server", lambda side: side.document["server"]["kind"]),
    "server_version": ("server version", lambda side: side.document["server"]["version"]),
    "num_ctx": ("num_ctx", _num_ctx),
    "quantization": ("quantization", lambda side: side.document["model"]["quantization"]),
    "prompts": ("prompts", _prompts_fact),
    **{
        n: (n, _setting(n))
        for n in ("temperature", "max_tokens", "cache", "start", "warmup", "think", "seed")
    },
}


def _differing(sides: Sequence[Side], words: str, read: Callable[[Side], Any]) -> str | None:
    values: dict[Any, list[str]] = {}
    for side in sides:
        value = read(side)
        values.setdefault("not known" if value is None else value, []).append(side.label)
    told = (f"{value} ({', '.join(labels)})" for value, labels in values.items())
    return f"{words} differs: {'; '.join(told)}" if len(values) > 1 else None


def _remarks(side: Side) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of what one file is to be read with."""
    totals, status = side.document["results"]["totals"], side.document["status"]
    if status != "complete":
        yield "status", f"is {status}: {totals['succeeded']} of {totals['planned']} requests"
    if totals["failed"]:
        yield "failed", f"has {totals['failed']} failed requests, which have no latencies"
    if side.document["contended"]:
        yield "contended", "was allowed to run beside other measurements"
    if side.document["busy"]:
        yield "other_load", insights.BUSY
    if (side.document["telemetry"].get("processes") or 1) > 1:
        yield "continued", _CONTINUED.format(side.document["telemetry"]["processes"])
    for repeat in side.left_out:
        yield "left_out", f"loses run {repeat}, which has under half of the prompts"


def _rank(side: Side, of: Column, n: int | None) -> tuple[bool, float]:
    """Return a key that sorts the best first and those without a value last."""
    numbers = _numbers(side, of, n)
    if not numbers:
        return True, 0.0
    return False, fmean(numbers) * (-1 if of.better == "higher" else 1)


def _numbers(side: Side, of: Column, n: int | None) -> list[float]:
    return [evidence.number(run, of.statistic) for run in side.samples(of.metric, n) if run]


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


def _uncertified(of: Column, runs: Sides) -> str | None:
    """Return why a percentile is not to be trusted, None where it is."""
    if of.statistic not in stats.PERCENTILES:
        return None
    needed = stats.floor(stats.PERCENTILES[of.statistic] / 100)
    least = min(sum(len(v) for run in side for v in run.values()) for side in runs)
    return f"{least} requests do not certify it, {needed} do" if least < needed else None


def _blank(other: Side, of: Column) -> dict[str, Any]:
    about = {"file": other.label, "metric": of.metric, "statistic": of.statistic}
    values = dict.fromkeys(("baseline", "value", "change", "interval"))
    verdict = {"verdict": "inconclusive", "reason": None, "runs": [0, 0], "prompts": 0}
    return {
        **about,
        "unit": of.unit,
        "better": of.better,
        **values,
        **verdict,
        "paired": False,
        "noise": [],
    }


def _noise_facts(noise: Noise) -> dict[str, Any]:
    facts = noise._asdict()
    del facts["df"]
    return facts


def _file(side: Side, comparison: Comparison) -> dict[str, Any]:
    about = side.document
    return {
        "label": side.label,
        "path": side.path,
        "baseline": side is comparison.baseline,
        **{name: about[name] for name in ("run_id", "model", "server", "timestamp", "status")},
        "runs": _runs(side, comparison.choice.every, comparison.fixed_n),
    }


def _runs(side: Side, columns: Iterable[Column], n: int | None) -> list[dict[str, Any]]:
    columns = [*columns]
    found = zip(*(side.samples(of.metric, n) for of in columns), strict=True)
    return [
        {
            "repeat": repeat,
            "requests": len(rows),
            "values": {
                of.name: evidence.number(run, of.statistic) if run else None
                for of, run in zip(columns, runs, strict=True)
            },
        }
        for (repeat, rows), runs in zip(side.runs.items(), found, strict=True)
    ]


def _gated(gate: Gate, changes: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the verdict on each file."""
    for change in changes:
        if Column(change["metric"], change["statistic"]) != gate.column:
            continue
        word, reason = gates.weigh_change(change, gate.bound, gate.column.better, _MORE_RUNS)
        shown = {name: change[name] for name in ("file", "change", "interval")}
        yield {"expression": gate.expression, **shown, "verdict": word, "reason": reason}


def _method(comparison: Comparison) -> dict[str, Any]:
    return {
        "evidence": "runs: a model in one repeat of a session",
        "interval": "Student's t of the log ratio, Welch's degrees of freedom",
        "correction": "Bonferroni",
        "alarm_rate": evidence.ALARM_RATE,
        "intervals": comparison.intervals,
        "confidence": comparison.confidence,
        "fixed_n": comparison.fixed_n,
    }
