"""The result file of a benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_llamaburn import datasets, documents, flags, gates, measures, registry
from pytest_llamaburn.backends._failures import NOT_THE_MODELS
from pytest_llamaburn.documents import Distribution, Document, GateVerdict, Interval
from pytest_llamaburn.energy import profiles
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds import _energy
from pytest_llamaburn.kinds._file import (
    Part,
    RequestFacts,
    RunFile,
    by_kind,
    opening,
    request_model,
    status,
    totals,
    without_counts,
)
from pytest_llamaburn.kinds._kind import naming
from pytest_llamaburn.kinds.benchmark import insights
from pytest_llamaburn.kinds.benchmark import number_words as correctness
from pytest_llamaburn.kinds.benchmark.comparable import Comparison
from pytest_llamaburn.kinds.benchmark.measures import MEASURES
from pytest_llamaburn.metrics import REQUEST, summary
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.documents import BenchmarkRow
    from pytest_llamaburn.kinds.benchmark.settings import Benchmark
    from pytest_llamaburn.store.journal import Record

REPEATABLE = ("time_to_first_token_ms", "inter_token_latency_ms", "tokens_per_sec")
VARIANCE_GOAL = 0.05  # maximum coefficient of variation (CV) between runs


class _RunFacts(RequestFacts):
    prompt_id: str
    category: str
    prompt_sha256: str
    repeat: int
    iteration: int
    start: Literal["warm", "cold"]
    answer: str | None = None
    media_tokens: int | None = None


BenchmarkRun = request_model("BenchmarkRun", _RunFacts)


class BenchmarkResults(Part):
    """The results of a benchmark."""

    prompts: Document
    media: Document | None = None
    runs: list[BenchmarkRun]  # type: ignore[valid-type]
    summary: dict[str, Distribution]
    summary_cold: dict[str, Distribution] | None = None
    between_runs: dict[str, Document] = Field(default={})
    correctness: Document | None = None
    totals: dict[str, float | None]
    tokens_reason: str | None = None
    energy_by_repeat: list[Document] = Field(default=[])
    errors: dict[str, int]
    cost: Document
    gates: list[GateVerdict]


class File(RunFile):
    """A result file of `llamaburn benchmark`."""

    schema_: Literal["llamaburn/benchmark"] = Field(alias="schema")
    results: BenchmarkResults


def check(settings: Benchmark) -> None:
    """Raise SettingsError for an unknown metric, or for settings that contradict each other."""
    for expression in settings.threshold:
        gates.parse(expression, MEASURES)
    Comparison.check_asked(settings)
    _check_limit(settings)
    if settings.mode != "correctness":
        with naming("--prompts"):
            datasets.load_prompts(settings.prompts)
    if measures.find(REQUEST, settings.precision_metric) is None:
        words = registry.unknown("metric", settings.precision_metric, list(REQUEST))
        raise SettingsError(f"--precision-metric: {words}")


def _check_limit(settings: Benchmark) -> None:
    """Raise SettingsError if the settings need more requests than --max-iterations allows."""
    name = "numbers" if settings.mode == "correctness" else "iterations"
    requests = getattr(settings, name) * (2 if settings.start == "both" else 1)
    limited = settings.precision is not None or settings.budget is not None
    if limited and requests > settings.max_iterations:
        raise SettingsError(
            f"--max-iterations: {settings.max_iterations} is less than the {requests} requests of "
            f"--{name}: raise it, or lower --{name}"
        )


def build(record: Record) -> Document:
    """Return the content of a benchmark's result file, made from its journal."""
    header: Any = record.opened
    profile = profiles.Profile(record.profile, record.rows)
    rows: list[BenchmarkRow] = [profile.powered(row) for row in record.rows]
    rows.sort(key=lambda r: (r["repeat"], r["timestamp"], r["iteration"]))
    context = flags.context(rows, header["config"], record.facts)
    runs = [_run(row, context) for row in rows]
    good = [row for row in rows if row["error"] is None]
    warm = [row for row in good if row["start"] == "warm"]
    cold = [row for row in good if row["start"] == "cold"]
    both = header["config"]["start"] == "both"
    spent = profile.total()
    errors = [row["error"] for row in rows]
    counts = {"planned": record.planned, **totals(errors), **_tokens(good)}
    counts |= _energy.totals(profile, good)
    document: Document = {
        **opening(header, status(record, len(good), done=len(rows) >= record.planned)),
        "results": {
            "prompts": {**header["prompts"], "used": len({row["prompt_id"] for row in rows})},
            **({"media": header["media"]} if "media" in header else {}),
            "runs": runs,
            "summary": summary(cold if header["config"]["start"] == "cold" else warm, rows),
            "summary_cold": summary(cold, rows) if both else None,
            "between_runs": _between_runs(warm or cold),
            "correctness": _correctness(rows, header["config"]),
            "totals": counts,
            "tokens_reason": without_counts([row["output_sequence_length"] for row in good]),
            "energy_by_repeat": _energy.by_repeat(record.profile, rows),
            "errors": by_kind(errors),
            "cost": _energy.price(header["config"], profile, counts, spent.reason),
            "gates": [],
        },
        "telemetry": {
            **profiles.facts(profile, spent),
            **record.facts,
            "processes": profiles.processes(record.rows),
        },
        "system_profile": profile.samples(),
        "insights": [],
    }
    document["results"]["gates"] = gates.of_run(document, MEASURES, record.gates)
    document["insights"] = insights.find(document)
    return document


def _run(row: BenchmarkRow, context: flags.Context) -> Document:
    kept = {k: v for k, v in row.items() if k not in ("chunk_gaps_ms", "clock")}
    return {**kept, "flags": flags.of(row, context)}


def _between_runs(rows: Sequence[BenchmarkRow]) -> Document:
    """Return the variation of the means of independent runs, for the metrics of REPEATABLE."""
    repeats = sorted({row["repeat"] for row in rows})
    variation = {}
    for name in REPEATABLE if len(repeats) > 1 else ():
        groups = (documents.values([r for r in rows if r["repeat"] == k], name) for k in repeats)
        means = [sum(group) / len(group) for group in groups if group]
        spread, interval = samples.distribution(means, "share"), samples.cv_interval(means)
        variation[name] = {
            "runs": len(means),
            "cv": spread["cv"],
            "ci95": interval,
            "under_5_percent": _under(interval, VARIANCE_GOAL),
        }
    return variation


def _under(interval: Interval | None, goal: float) -> str:
    if interval is None or interval[0] <= goal < interval[1]:
        return "undecided"
    return "met" if interval[1] <= goal else "not met"


def _correctness(rows: Sequence[BenchmarkRow], config: Mapping[str, Any]) -> Document | None:
    """Return the share of correctly written numbers, and each answer with its verdict."""
    if config.get("mode") != "correctness":
        return None
    lang = config["lang"]
    questions = {item.id: item for item in correctness.numbers(config["numbers"], config["seed"])}
    items = [_judged(row, questions[row["prompt_id"]], lang) for row in rows]
    return {"lang": lang, **correctness.summary(items), "items": items}


def _judged(row: BenchmarkRow, item: correctness.Item, lang: str) -> Document:
    if row["error"] is None:
        judged = correctness.score(row["answer"] or "", item, lang)._asdict()
    else:
        mark = None if row["error"]["kind"] in NOT_THE_MODELS else False
        judged = {"correct": mark, "reason": "failed", "heard": ""}
    expected = correctness.expected(item, lang)
    return {**item._asdict(), "expected": expected, "answer": row["answer"], **judged}


def _tokens(good: Sequence[BenchmarkRow]) -> Document:
    """Return the tokens of the successful requests, and the mean generation speed."""
    gaps = [row for row in good if row["inter_token_latency_ms"] is not None]
    tokens = sum(row["output_sequence_length"] or 0 for row in gaps) - len(gaps)
    elapsed_ms = sum(
        (row["total_generation_ms"] or 0.0) - (row["time_to_first_token_ms"] or 0.0) for row in gaps
    )
    return {
        "input_tokens": _sum(good, "input_sequence_length"),
        "output_tokens": _energy.tokens(good),
        "requests_ms": _sum(good, "stream_ms"),
        "tokens_per_sec": 1000 * tokens / elapsed_ms if elapsed_ms else None,
    }


def _sum(rows: Sequence[BenchmarkRow], name: str) -> float | None:
    """Return the sum over all rows, or None if a row has no value."""
    known = documents.values(rows, name)
    return sum(known) if known and len(known) == len(rows) else None
