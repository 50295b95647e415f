"""The result file of a bake-off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_llamaburn import gates, metrics
from pytest_llamaburn.documents import Distribution, GateVerdict, ModelFacts
from pytest_llamaburn.energy import profiles
from pytest_llamaburn.kinds import _single
from pytest_llamaburn.kinds._file import (
    Part,
    RequestFacts,
    Results,
    RunFile,
    by_kind,
    request_model,
    totals,
)
from pytest_llamaburn.kinds.bakeoff import insights, plan, ranking
from pytest_llamaburn.kinds.bakeoff.measures import MEASURES
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.store.journal import Record

OUT = "does not keep --require"


class Quality(Part):
    """The score of a model in a stored eval."""

    value: float | None
    ci95: tuple[float, float] | None
    measure: str | None
    path: str | None
    reason: str | None


class Candidate(Part):
    """A model of a bake-off.

    `rank` is the best and the worst rank that it may have; None if it is out, and `out` says why.
    `characters_per_sec` is the length of its answers over the time in which they were written.
    """

    name: str
    model: ModelFacts
    server: str
    rank: tuple[int, int] | None
    out: str | None
    rounds: int
    totals: dict[str, int]
    errors: dict[str, int]
    summary: dict[str, Distribution]
    characters_per_sec: Distribution
    load_ms: Distribution
    size_mb: float | None
    gpu_share: float | None
    energy_wh_per_1k_tokens: float | None
    requirements: list[GateVerdict]
    quality: Quality | None


class PairOfModels(Part):
    """How much faster the first model is than the second; 0.05 is 5 %.

    The interval holds for all pairs together, however often one looked.
    """

    first: str
    second: str
    change: float | None
    interval: tuple[float, float] | None
    rounds: int
    verdict: Literal["faster", "slower", "same", "open"]


class _Facts(RequestFacts):
    model: str
    round: int
    prompt_id: str
    answer_characters: int
    load_ms: float | None
    size_mb: float | None
    gpu_share: float | None


BakeoffRequest = request_model("BakeoffRequest", _Facts)


class BakeoffResults(Results):
    """The models, first ranks first, and the verdict on each pair of those that are ranked."""

    candidates: list[Candidate]
    pairs: list[PairOfModels]
    winner: str | None
    decided: bool
    rounds: int
    runs: list[BakeoffRequest]  # type: ignore[valid-type]


class File(RunFile):
    """A result file of `llamaburn bakeoff`."""

    schema_: Literal["llamaburn/bakeoff"] = Field(alias="schema")
    results: BakeoffResults


def build(record: Record) -> Document:
    """Return the content of a result file, made from its journal."""
    header: Any = record.opened
    config, candidates = header["config"], header["candidates"]
    profile = profiles.Profile(record.profile, record.rows)
    powered = record._replace(rows=[profile.powered(row) for row in record.rows])
    ranked = found(powered.rows, candidates, config, record.facts.get("quality", {}))
    document = _single.content(powered, ranked)
    # Journals of earlier versions have the first model only, and all of them in another field.
    document["config"] = {**config, "model": config.get("models", config["model"])}
    if ranked["winner"]:  # lists show its speed
        document["model"] = ranked["candidates"][0]["model"]
    if ranked["decided"] and document["status"] == "partial":
        document["status"] = "complete"
    judged = gates.judged(document, MEASURES, config["threshold"], config["gate_mode"])
    document["results"]["gates"] = [*record.gates, *judged]
    document["insights"] = insights.find(document)
    return document


def found(
    rows: Sequence[Any],
    candidates: Sequence[Document],
    config: Mapping[str, Any],
    known: Mapping[str, Document],
) -> Document:
    """Return the models with their ranks, the pairs, and what is known of their order."""
    metric = plan.ranked(config["rank"])
    shown = [_candidate(one, rows, config, known.get(one["name"])) for one in candidates]
    values = ranking.values(rows, metric.name)
    running = [one["name"] for one in shown if one["out"] is None]
    within = {name: values.get(name, {}) for name in running}
    pairs = ranking.pairs(within, metric.better, config["margin"])
    ranks = ranking.ranks(running, pairs)
    shown = [{**one, "rank": ranks.get(one["name"])} for one in shown]
    sign = -1 if metric.better == "higher" else 1
    shown.sort(key=lambda one: _place(one, sign * (one["summary"][metric.name]["mean"] or 0.0)))
    first = shown[0] if running else None
    return {
        "candidates": shown,
        "pairs": [pair._asdict() for pair in pairs],
        "winner": first and first["name"],
        "decided": bool(running) and all(pair.verdict != ranking.OPEN for pair in pairs),
        "rounds": len({row["round"] for row in rows}),
        "summary": first["summary"] if first else metrics.summary([], []),
    }


def _place(candidate: Document, value: float) -> tuple[bool, tuple[int, int], float]:
    return candidate["rank"] is None, candidate["rank"] or (0, 0), value


def _candidate(
    about: Document, rows: Sequence[Any], config: Mapping[str, Any], known: Document | None
) -> Document:
    mine = [row for row in rows if row["model"] == about["name"]]
    good: list[Any] = _single.good(mine)
    errors = [row["error"] for row in mine]
    summary = metrics.summary(good, mine)
    kept = {"results": {"runs": mine, "summary": summary}}
    required = gates.judged(kept, MEASURES, config["require"], config["gate_mode"])
    loads = [row["load_ms"] for row in mine if row["load_ms"] is not None]
    return {
        **about,
        "out": _out(mine, required, config["iterations"]),
        "rounds": len({row["round"] for row in good}),
        "totals": totals(errors),
        "errors": by_kind(errors),
        "summary": summary,
        "characters_per_sec": samples.distribution([*_characters(good)], "/s", "no_samples"),
        "load_ms": samples.distribution(loads, "ms", "not_reported"),
        "size_mb": next((row["size_mb"] for row in mine if row["size_mb"] is not None), None),
        "gpu_share": next((row["gpu_share"] for row in mine if row["gpu_share"] is not None), None),
        "energy_wh_per_1k_tokens": _energy(good),
        "requirements": required,
        "quality": known,
    }


def _out(mine: Sequence[Document], required: Sequence[Any], iterations: int) -> str | None:
    """Return why a model has no rank, or None."""
    broken = [one for one in required if one["verdict"] == "fail"]
    if broken:
        return f"{OUT} {broken[0]['expression']}: {gates.sentence(broken[0])}"
    if not mine:
        return "no request was sent"
    error = ranking.failure(mine, iterations)
    if error is None and not _single.good(mine):
        error = mine[-1]["error"]
    return f"{error['kind']}: {error['message']}" if error else None


def _characters(rows: Sequence[Document]) -> Any:
    """Yield the characters of each answer per second, from the first to the last of its parts."""
    for row in rows:
        first, total = row["time_to_first_token_ms"], row["total_generation_ms"]
        if first is not None and total is not None and total > first:
            yield 1e3 * row["answer_characters"] / (total - first)


def _energy(rows: Sequence[Document]) -> float | None:
    """Return the energy of 1,000 tokens in Wh, over the requests whose energy is known."""
    known = [row for row in rows if row["energy_wh"] is not None and row["output_sequence_length"]]
    written = sum(row["output_sequence_length"] for row in known)
    return 1e3 * sum(row["energy_wh"] for row in known) / written if written else None
