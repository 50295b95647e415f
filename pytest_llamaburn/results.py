"""Result files: their shape, how one is made from a journal, and how they are kept and found.

The models here are the published contract: `llamaburn schema` prints their JSON Schema,
`results validate` checks files against it, and every table is rendered from such a file alone.
"""

from __future__ import annotations

import glob
import itertools
import json
import os
import re
import unicodedata
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from pytest_llamaburn import correctness, cost, flags, stats, timeline
from pytest_llamaburn.errors import MissingExtraError, ResultsError
from pytest_llamaburn.metrics import METRICS, RUN_METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pandas as pd

    from pytest_llamaburn.journal import Record

SCHEMA_VERSION = 1
FOLDERS = {"benchmark": "benchmarks", "comparison": "comparisons"}
REPEATABLE = ("time_to_first_token_ms", "inter_token_latency_ms", "tokens_per_sec")
VARIANCE_GOAL = 0.05  # CV between runs
_NAME_BYTES = 120
_EARLIER_FILES = 50  # enough to learn a machine's noise from
_HEADER = (
    *("schema", "schema_version", "session_id", "run_id"),
    *("model", "server", "timestamp", "contended", "config", "environment"),
)


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("input should be 1")  # noqa: TRY004 - pydantic's way to refuse
    return value


_Version = Annotated[Literal[1], BeforeValidator(_no_boolean)]  # to Python, true is 1 as well


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class Distribution(_Part):
    """The one shape of every summary; `certified` lists the percentiles that n supports."""

    unit: str
    n: int
    mean: float | None
    std: float | None
    cv: float | None
    min: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p99_9: float | None
    max: float | None
    ci95: tuple[float, float] | None
    ci95_method: str | None = None
    certified: list[str]
    reason: str | None = None


class RunError(_Part):
    """Why a request failed, with the server's own words."""

    kind: str
    phase: str
    status: int | None
    message: str


class _RunFacts(_Part):
    prompt_id: str
    category: str
    prompt_sha256: str
    repeat: int
    iteration: int
    start: Literal["warm", "cold"]
    timestamp: str
    finish_reason: str | None
    chunks: int
    flags: list[str]
    null_reasons: dict[str, str]
    error: RunError | None
    answer: str | None = None


_numbers: dict[str, Any] = {
    m.name: (float | None, Field(description=f"{m.unit}: {m.formula}")) for m in METRICS.values()
}
BenchmarkRun = create_model(
    "BenchmarkRun", __base__=_RunFacts, __doc__="One timed request.", **_numbers
)


class BenchmarkResults(_Part):
    """What a benchmark measured."""

    prompts: dict[str, Any]
    runs: list[BenchmarkRun]  # type: ignore[valid-type]
    summary: dict[str, Distribution]
    summary_cold: dict[str, Distribution] | None = None
    between_runs: dict[str, dict[str, Any]] = {}
    correctness: dict[str, Any] | None = None
    totals: dict[str, float | None]
    energy_by_repeat: list[dict[str, Any]] = []
    errors: dict[str, int]
    cost: dict[str, Any]
    gates: list[dict[str, Any]]


class ModelFacts(_Part):
    """The model under test."""

    id: str
    name: str
    quantization: str | None
    family: str | None
    parameter_size: str | None
    digest: str | None
    context_length: int | None


class ServerFacts(_Part):
    """The server under test."""

    kind: str
    version: str | None
    host: str
    local: bool


class BenchmarkFile(_Part):
    """A result file of `llamaburn benchmark`."""

    schema_: Literal["llamaburn/benchmark"] = Field(alias="schema")
    schema_version: _Version
    session_id: str
    run_id: str
    status: Literal["complete", "partial", "interrupted", "failed"]
    model: ModelFacts
    server: ServerFacts
    timestamp: str
    contended: bool
    config: dict[str, Any]
    environment: dict[str, Any]
    results: BenchmarkResults
    telemetry: dict[str, Any]
    system_profile: list[dict[str, Any]]
    insights: list[dict[str, Any]]


class ComparedRun(_Part):
    """One run of a compared file: the unit of evidence. Values by column, over its prompts."""

    repeat: int
    requests: int
    values: dict[str, float | None]


class ComparedFile(_Part):
    """A benchmark that was compared; `label` is what changes, gates and warnings call it."""

    label: str
    path: str
    run_id: str
    model: ModelFacts
    server: ServerFacts
    timestamp: str
    status: str
    baseline: bool
    runs: list[ComparedRun]


class Noise(_Part):
    """How much runs of one machine and model vary: a standard deviation as a share.

    `seen` is what `runs` earlier runs varied by; `assumed` where they are too few to be used.
    """

    share: float
    source: Literal["learnt", "assumed"]
    runs: int
    seen: float | None


class Change(_Part):
    """What one column of a file is against the baseline; changes are shares, 0.05 is 5 %."""

    file: str
    metric: str
    statistic: str
    unit: str
    better: Literal["lower", "higher", "none"]
    baseline: float | None
    value: float | None
    change: float | None
    interval: tuple[float, float] | None
    verdict: Literal["faster", "slower", "higher", "lower", "same", "inconclusive"]
    reason: str | None
    runs: tuple[int, int]
    prompts: int
    paired: bool
    noise: list[Noise]


class ComparisonWarning(_Part):
    """Something besides the numbers that differs between the files."""

    id: str
    text: str


class ComparisonGate(_Part):
    """The verdict on one --fail-if for one file."""

    expression: str
    file: str
    change: float | None
    interval: tuple[float, float] | None
    verdict: Literal["pass", "fail", "undecided"]
    reason: str | None


class Method(_Part):
    """How the intervals were made; `fixed_n` is the N of total_at_fixed_n_ms."""

    evidence: str
    interval: str
    correction: str
    alarm_rate: float
    intervals: int
    confidence: float
    fixed_n: int | None


class ComparisonResults(_Part):
    """What differs between the files."""

    files: list[ComparedFile]
    warnings: list[ComparisonWarning]
    changes: list[Change]
    gates: list[ComparisonGate]
    method: Method


class ComparisonFile(_Part):
    """A result file of `llamaburn compare`."""

    schema_: Literal["llamaburn/comparison"] = Field(alias="schema")
    schema_version: _Version
    run_id: str
    status: Literal["complete"]
    timestamp: str
    config: dict[str, Any]
    results: ComparisonResults


FILES: dict[str, type[BaseModel]] = {"benchmark": BenchmarkFile, "comparison": ComparisonFile}


def build(record: Record) -> dict[str, Any]:
    """Return the content of a benchmark's result file, made from its journal."""
    header = record.header or {}
    profile = timeline.Profile(record.profile, record.rows)
    rows = [profile.powered(row) for row in record.rows]
    rows.sort(key=lambda r: (r["repeat"], r["timestamp"], r["iteration"]))
    about = flags.context(rows, header["config"], record.facts)
    runs = [_run(row, about) for row in rows]
    good = [row for row in rows if row["error"] is None]
    warm = [row for row in good if row["start"] == "warm"]
    cold = [row for row in good if row["start"] == "cold"]
    both = header["config"]["start"] == "both"
    spent = profile.total()
    totals = {"planned": record.planned, **_totals(rows, good), **_energy(profile, good)}
    return {
        **{k: header[k] for k in _HEADER[:4]},
        "status": status(record, len(good)),
        **{k: header[k] for k in _HEADER[4:]},
        "results": {
            "prompts": {**header["prompts"], "used": len({row["prompt_id"] for row in rows})},
            "runs": runs,
            "summary": summary(cold if header["config"]["start"] == "cold" else warm, rows),
            "summary_cold": summary(cold, rows) if both else None,
            "between_runs": _between_runs(warm or cold),
            "correctness": _correctness(rows, header["config"]),
            "totals": totals,
            "energy_by_repeat": _energy_by_repeat(record.profile, rows),
            "errors": dict(Counter(r["error"]["kind"] for r in rows if r["error"])),
            "cost": _cost(header["config"], profile, totals, spent.reason),
            "gates": record.gates,
        },
        "telemetry": {**timeline.facts(profile, spent), **record.facts},
        "system_profile": profile.samples(),
        "insights": [],
    }


def _run(row: dict[str, Any], about: flags.Context) -> dict[str, Any]:
    kept = {k: v for k, v in row.items() if k not in ("chunk_gaps_ms", "clock")}
    return {**kept, "flags": flags.of(row, about)}


def status(record: Record, succeeded: int) -> str:
    """Return complete, partial, interrupted or failed, from what was planned and journalled."""
    if record.interrupted:
        return "interrupted"
    if not succeeded:
        return "failed"
    return "complete" if len(record.rows) >= record.planned else "partial"


def summary(
    rows: Sequence[dict[str, Any]], every: Sequence[dict[str, Any]] = ()
) -> dict[str, dict[str, Any]]:
    """Return the distribution of each metric over successful requests, and of the chunk gaps.

    A metric without values gives the reason its requests gave most often.
    """
    found = {}
    for name, definition in METRICS.items():
        values = [row[name] for row in rows if row[name] is not None]
        reasons = Counter(r["null_reasons"].get(name) for r in rows or every)
        reason = reasons.most_common(1)[0][0] if reasons else None
        found[name] = stats.distribution(values, definition.unit, reason)
    gaps = [gap for row in rows for gap in row["chunk_gaps_ms"]]
    found["chunk_gap_ms"] = stats.distribution(gaps, "ms")
    return found


def write(results_dir: Path, document: dict[str, Any]) -> Path:
    """Write a result file atomically and return its path.

    Nothing is ever overwritten but an earlier file of the same run, which this one continues.
    Raises ResultsError when it cannot be written.
    """
    folder, stem = _home(results_dir, document)
    text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = _written(folder / f".{document['run_id']}.tmp", text)
        earlier = of_run(results_dir, document)
        if earlier is not None:
            return temporary.replace(earlier)
        return _link(temporary, folder, stem)
    except OSError as err:
        raise ResultsError(f"{folder} cannot be written: {err.strerror or err}") from err


def of_run(results_dir: Path, header: Mapping[str, Any]) -> Path | None:
    """Return the result file that a run already has; `header` is its journal's, or a document."""
    folder, stem = _home(results_dir, header)
    found = (path for path in folder.glob(f"{glob.escape(stem)}*.json"))
    return next((path for path in found if _run_id(path) == header["run_id"]), None)


def _home(results_dir: Path, header: Mapping[str, Any]) -> tuple[Path, str]:
    """Return the folder and the file name, without suffix, of a run's result."""
    kind = header["schema"].removeprefix("llamaburn/")
    stamp = header["timestamp"][:19].replace(":", "-")
    about = safe_name(header["model"]["id"]) if "model" in header else kind
    return results_dir / FOLDERS[kind], f"{about}_{stamp}"


def safe_name(model_id: str) -> str:
    """Return a model id as a file name: `llama3.1:q4` gives `llama3.1_q4`.

    Letters of any script stay; a name that is too long is cut and marked with its checksum.
    """
    text = unicodedata.normalize("NFC", model_id)
    name = re.sub(r"[^\w.-]+", "_", text).strip("._-") or "model"
    if len(name.encode()) <= _NAME_BYTES:
        return name
    mark = f"_{zlib.crc32(model_id.encode()):08x}"
    return name.encode()[: _NAME_BYTES - len(mark)].decode(errors="ignore") + mark


def load(path: Path) -> dict[str, Any]:
    """Return a result file's content. Raises ResultsError saying why it is not one."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ResultsError(f"{path} cannot be read: {err.strerror or err}") from err
    except (ValueError, RecursionError) as err:
        raise ResultsError(f"{path} is not JSON: {err}") from err
    problem = check(document)
    if problem:
        raise ResultsError(f"{path} is not a result file: {problem}")
    found: dict[str, Any] = document
    return found


def load_benchmark(path: Path) -> dict[str, Any]:
    """Return the content of a benchmark's file; raises ResultsError for any other kind."""
    document = load(path)
    if document["schema"] != "llamaburn/benchmark":
        raise ResultsError(f"{path} is no benchmark: its schema is {document['schema']}")
    return document


def check(document: Any) -> str | None:
    """Return what is wrong with a document as a result file, None if nothing is."""
    if not isinstance(document, dict) or "schema" not in document:
        return "it has no 'schema'"
    kind = str(document["schema"]).removeprefix("llamaburn/")
    if kind not in FILES:
        return _unknown(document["schema"])
    try:
        FILES[kind].model_validate_json(json.dumps(document), strict=True)
    except ValidationError as err:
        first = err.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
    return None


def _unknown(schema: Any) -> str:
    return f"schema '{schema}' is unknown (known: {', '.join(FILES)})"


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a kind of result file."""
    found = FILES[kind].model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def paths(results_dir: Path, folder: str | None = None) -> Iterator[Path]:
    """Yield the result files of one folder or all, newest first."""
    folders = [folder] if folder else sorted(FOLDERS.values())
    for name in folders:
        found = (results_dir / name).glob("*.json")
        yield from sorted(found, key=lambda p: p.stat().st_mtime, reverse=True)


def find(results_dir: Path, name: str) -> Path:
    """Return the file a path, a path below the results directory, or a run id means."""
    for candidate in (Path(name), results_dir / name):
        if candidate.is_file():
            return candidate
    for path in paths(results_dir):
        if path.stem == name or _run_id(path) == name:
            return path
    raise ResultsError(f"no result '{name}' in {results_dir}: llamaburn results list shows them")


@dataclass
class _Run:
    run_id: str


@dataclass
class _Named:
    id: str


@dataclass
class _Compared:
    model: _Named


@dataclass
class _Machine:
    fingerprint: str | None = None


@dataclass
class _Median:
    p50: float | None = None


@dataclass
class _Summary:
    tokens_per_sec: _Median = field(default_factory=_Median)
    time_to_first_token_ms: _Median = field(default_factory=_Median)


@dataclass
class _Totals:
    requests: int
    succeeded: int


@dataclass
class _Found:
    summary: _Summary = field(default_factory=_Summary)
    totals: _Totals | None = None
    files: list[_Compared] = field(default_factory=list)


@dataclass
class Brief:
    """What lists and look-ups need of a result file, named and placed as in it."""

    schema: str
    run_id: str
    status: str
    results: _Found
    model: _Named | None = None
    environment: _Machine = field(default_factory=_Machine)

    @property
    def models(self) -> list[str]:
        """The model's id, or those that were compared."""
        parts: list[Any] = [self, *self.results.files]
        return list(dict.fromkeys(part.model.id for part in parts if part.model))


def brief(path: Path) -> Brief:
    """Return the few facts of a result file that lists and look-ups need.

    Only these are decoded and checked, so that a list of ten thousand files takes a second or two;
    `load` checks everything. Raises ResultsError saying why the file is not a result.
    """
    found: Brief = _decode(path, Brief)
    if found.schema.removeprefix("llamaburn/") not in FILES:
        raise ResultsError(f"{path} is not a result file: {_unknown(found.schema)}")
    return found


def _decode(path: Path, kind: type) -> Any:
    """Return the fields of a JSON file that a dataclass has; raises ResultsError."""
    import msgspec

    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - thrice as fast as Path.open
            return _decoder(kind).decode(file.read())
    except OSError as err:
        raise ResultsError(f"{path} cannot be read: {err.strerror or err}") from err
    except msgspec.ValidationError as err:
        raise ResultsError(f"{path} is not a result file: {err}") from err
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise ResultsError(f"{path} is not JSON: {err}") from err


@cache
def _decoder(kind: type) -> Any:
    import msgspec

    return msgspec.json.Decoder(kind)


def earlier(results_dir: Path, wanted: set[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the newest benchmarks, up to a limit, of the wanted (machine fingerprint, model) pairs.

    Damaged files are passed over: they are evidence of nothing.
    """
    left = _EARLIER_FILES
    for path in paths(results_dir, FOLDERS["benchmark"]):
        if not left:
            return
        with suppress(ResultsError):
            about = brief(path)
            if (about.environment.fingerprint, *about.models) in wanted:
                yield load(path)
                left -= 1


def to_frame(paths: Iterable[Path]) -> pd.DataFrame:
    """Return a data frame with one row per timed request of some benchmarks, failed ones too.

    Its columns are `file`, `session_id`, `run_id`, `model`, `server` and `fingerprint`, then the
    request's fields as in the file, `error` being the kind of failure.
    Raises MissingExtraError without the extra [pandas], ResultsError for other files.
    """
    try:
        import pandas as pd
    except ImportError as err:
        raise MissingExtraError("pandas", "results.to_frame") from err
    return pd.DataFrame([row for path in paths for row in _frame_rows(path)])


def _frame_rows(path: Path) -> Iterator[dict[str, Any]]:
    document = load_benchmark(path)
    about = {
        "file": str(path),
        "session_id": document["session_id"],
        "run_id": document["run_id"],
        "model": document["model"]["id"],
        "server": document["server"]["kind"],
        "fingerprint": document["environment"].get("fingerprint"),
    }
    for run in document["results"]["runs"]:
        fields = {k: v for k, v in run.items() if k != "null_reasons"}
        yield {**about, **fields, "error": run["error"] and run["error"]["kind"]}


def _run_id(path: Path) -> str | None:
    try:
        return str(_decode(path, _Run).run_id)
    except ResultsError:
        return None  # not a result file: `results list` says so


def _written(temporary: Path, text: str) -> Path:
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _link(temporary: Path, folder: Path, stem: str) -> Path:
    """Give the finished file the first free name; a link fails where a rename would overwrite."""
    for number in itertools.count(1):
        target = folder / (f"{stem}.json" if number == 1 else f"{stem}_{number}.json")
        try:
            os.link(temporary, target)
        except FileExistsError:
            continue
        except OSError:  # a file system without links
            if target.exists():
                continue
            return temporary.replace(target)
        temporary.unlink()
        return target
    raise AssertionError  # count() does not end


def _between_runs(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how much the means of independent runs vary, for the metrics that should repeat."""
    repeats = sorted({row["repeat"] for row in rows})
    found = {}
    for name in REPEATABLE if len(repeats) > 1 else ():
        groups = (
            [r[name] for r in rows if r["repeat"] == k and r[name] is not None] for k in repeats
        )
        means = [sum(group) / len(group) for group in groups if group]
        spread, interval = stats.distribution(means, "share"), stats.cv_interval(means)
        found[name] = {
            "runs": len(means),
            "cv": spread["cv"],
            "ci95": interval,
            "under_5_percent": _under(interval, VARIANCE_GOAL),
        }
    return found


def _under(interval: list[float] | None, goal: float) -> str:
    if interval is None or interval[0] <= goal < interval[1]:
        return "undecided"
    return "met" if interval[1] <= goal else "not met"


def _correctness(
    rows: Sequence[dict[str, Any]], config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return how many numbers were written right, and each answer with its verdict."""
    if config.get("mode") != "correctness":
        return None
    lang = config["lang"]
    asked = {item.id: item for item in correctness.numbers(config["numbers"], config["seed"])}
    items = [_judged(row, asked[row["prompt_id"]], lang) for row in rows]
    return {"lang": lang, **correctness.summary(items), "items": items}


def _judged(row: dict[str, Any], item: correctness.Item, lang: str) -> dict[str, Any]:
    judged = {"correct": None, "reason": "failed", "heard": ""}
    if row["error"] is None:
        judged = correctness.judge(row["answer"] or "", item, lang)._asdict()
    expected = correctness.expected(item, lang)
    return {**item._asdict(), "expected": expected, "answer": row["answer"], **judged}


def _totals(rows: Sequence[dict[str, Any]], good: Sequence[dict[str, Any]]) -> dict[str, Any]:
    generated = [
        (
            row["output_sequence_length"] - 1,
            row["total_generation_ms"] - row["time_to_first_token_ms"],
        )
        for row in good
        if row["inter_token_latency_ms"] is not None
    ]
    tokens, elapsed_ms = (
        (sum(column) for column in zip(*generated, strict=True)) if generated else (0, 0)
    )
    return {
        "requests": len(rows),
        "succeeded": len(good),
        "failed": len(rows) - len(good),
        "input_tokens": _sum(good, "input_sequence_length"),
        "output_tokens": _sum(good, "output_sequence_length"),
        "requests_ms": _sum(good, "stream_ms"),
        "tokens_per_sec": 1000 * tokens / elapsed_ms if elapsed_ms else None,
    }


def _sum(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if row[name] is not None]
    return sum(values) if values else None


def _energy(profile: timeline.Profile, good: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a run took, by the keys of RUN_METRICS; None for what is not known."""
    spent = profile.total()
    lengths = [row["output_sequence_length"] for row in good]
    tokens = None if None in lengths else sum(lengths)
    above = profile.above_idle_joules(spent)
    package = profile.package_joules()
    joules = spent.joules
    return {
        "energy_wh": spent.wh,
        "energy_above_idle_wh": None if above is None else above / 3600,
        "power_draw_watts": spent.watts,
        "power_peak_watts": spent.peak_watts,
        "joules_per_output_token": joules / tokens if joules and tokens else None,
        "output_tokens_per_joule": tokens / joules if joules and tokens else None,
        "cpu_package_energy_wh": None if package is None else package / 3600,
        "measured_s": profile.seconds or None,
    }


def _energy_by_repeat(
    entries: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the energy of each independent run, which is what comparisons rest on."""
    keys = [metric.key for metric in RUN_METRICS.values()]
    found = []
    for repeat in sorted({row["repeat"] for row in rows}):
        mine = [row for row in rows if row["repeat"] == repeat]
        spent = _energy(timeline.Profile(entries, mine), [r for r in mine if r["error"] is None])
        found.append({"repeat": repeat, **{key: spent[key] for key in keys}})
    return found


def _cost(
    config: Mapping[str, Any],
    profile: timeline.Profile,
    totals: Mapping[str, Any],
    reason: str | None,
) -> dict[str, Any]:
    """Return what the run's energy costs, and a month of it; prices by the hour are weighted."""
    rate, pue, duty = config["kwh_rate"], config.get("pue", 1.0), config.get("duty")
    bands = [cost.band(text) for text in config.get("tariff", ())]
    paid = cost.rate_over(bands, rate, profile.minutes())
    daily = cost.rate_over(bands, rate, ((minute, 1.0) for minute in range(24 * 60)))
    energy_wh, active_w = totals["energy_wh"], totals["power_draw_watts"]
    idle_w = profile.idle_watts(timeline.IDLE_LOADED)
    run = cost.of_energy(energy_wh, paid, pue)
    partly = None if duty is None else cost.per_month(active_w, idle_w, daily, pue, duty)
    return {
        "kwh_rate": rate,
        "tariff": list(config.get("tariff", ())),
        "currency": config.get("currency"),
        "pue": pue,
        "energy_wh": energy_wh,
        "cost_per_run": run,
        "cost_per_1m_tokens": cost.per_1m_tokens(run, totals["output_tokens"]),
        "cost_per_month": cost.per_month(active_w, idle_w, daily, pue),
        "duty": duty,
        "cost_per_month_at_duty": partly,
        "co2_g": cost.co2_g(energy_wh, config.get("co2_g_per_kwh"), pue),
        "reason": "no_kwh_rate" if rate is None and not bands else reason,
    }
