"""The result file of an eval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field

from pytest_llamaburn import flags, gates
from pytest_llamaburn.documents import Distribution, Document, GateVerdict
from pytest_llamaburn.energy import profiles
from pytest_llamaburn.kinds import _energy
from pytest_llamaburn.kinds._file import (
    Part,
    RunFile,
    by_kind,
    opening,
    status,
    totals,
)
from pytest_llamaburn.kinds.eval import (
    documents,
    insights,
    judge_totals,
    measures,
    scores,
    senders,
    shown,
)
from pytest_llamaburn.metrics import REQUEST, summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.kinds.eval.documents import AnswerRow, Judged, ScoresRow
    from pytest_llamaburn.store.journal import Record


_OF_SOME = (
    "media",
    "media_tokens",
    "measured",
    "tool_calls",
    "host",
    "node",
)  # fields of some answers


class Mean(Part):
    """A mean over what was scored, with its 95 % interval."""

    n_total: int
    n_scored: int
    by_state: dict[str, int]
    mean: float | None
    ci95: tuple[float, float] | None
    reason: str | None


class Criterion(Mean):
    """The scores on one criterion, from 1 to 5 or shares of claims.

    `bounds` has the mean if all missing scores were the lowest, and the highest. Answers
    to which the criterion cannot be applied are in `by_state` only.
    """

    unit: Literal["1 to 5", "share"] = "1 to 5"
    bounds: dict[str, float] | None
    histogram: dict[str, int] | None
    flip_rate: float | None
    jury_alpha: Document | None


class Graded(Mean):
    """A share of grades, or their F-score; `bounds` has it if all missing grades were the same."""

    flip_rate: float | None
    bounds: dict[str, float] | None


class Right(Mean):
    """A share of right answers; `bounds` has it if all missing answers were wrong, and right."""

    right: int
    bounds: dict[str, float] | None = None


class Counted(Mean):
    """The share of answers that could not be read, or that only decline."""

    count: int


class Macro(Part):
    """The mean over categories of the share of right answers: each category counts alike."""

    mean: float | None
    ci95: tuple[float, float] | None = None
    reason: str | None = None
    categories: int


class EvalResults(Part):
    """The results of an eval: its own counts are of verdicts, those of a mean are of answers."""

    eval_set: Document
    few_shot_examples: list[Document] = Field(default_factory=list)
    items: list[documents.Item]
    n_total: int
    n_scored: int
    by_state: dict[str, int]
    criteria: dict[str, Criterion]
    grades: dict[str, Graded] = Field(default_factory=dict)
    correct: Right
    correct_of_parsed: Right | None = None
    unparsable: Counted | None = None
    not_attempted: Counted | None = None
    correct_given_attempted: Right | None = None
    rates: dict[str, Mean] = Field(default_factory=dict)
    programs: Document | None = None
    media: Document | None = None
    measured: dict[str, Distribution] = Field(default_factory=dict)
    pass_at_k: Document | None
    by_category: dict[str, Document]
    correct_macro: Macro | None = None
    pairwise: Document | None
    evidence: Document | None
    judging: Document
    cost: Document
    summary: dict[str, Distribution]
    totals: dict[str, int | None]
    errors: dict[str, int]
    hosts: list[Document] | None = None
    nodes: list[Document] | None = None
    gates: list[GateVerdict]


class File(RunFile):
    """A result file of `llamaburn eval`."""

    schema_: Literal["llamaburn/eval"] = Field(alias="schema")
    results: EvalResults


def build(record: Record) -> Document:
    """Return the content of an eval's result file, made from its journal."""
    header: Any = record.opened
    profile = profiles.Profile(record.profile, record.rows)
    record = record._replace(rows=[senders.alone(profile.powered(r)) for r in record.rows])
    config, items = header["config"], _items(record, header)
    answers = [answer for item in items for answer in scores.samples(item)]
    errors = [answer["error"] for answer in answers]
    document: Document = {
        **opening(header, _status(record)),
        "results": {
            "eval_set": {**header["eval_set"], "used": len(items)},
            "few_shot_examples": header.get("few_shot_examples", []),
            "items": items,
            **judge_totals.counts(items, len(config["judge"]) * config["judge_repeats"]),
            "criteria": scores.criteria(items),
            "grades": scores.grades(items),
            **scores.correctness(items),
            **shown.of(items, header["eval_set"].get("modality")),
            "pass_at_k": scores.pass_at_k(items, config["pass_k"]),
            **_by_category(items, config["pass_k"]),
            "pairwise": scores.pairwise(items, config["compare_to"]),
            "evidence": scores.evidence(items),
            "judging": {
                "judges": config["judge"],
                "by_judge": judge_totals.by_judge(items),
                "commonest_error": judge_totals.commonest_error(items),
                "notes": record.facts.get("judge_notes", []),
            },
            "cost": judge_totals.cost(items),
            **_measured(record),
            **senders.of_run(record, header),
            "totals": {
                "planned": record.planned,
                "planned_answers": planned_answers(record, config),
                **totals(errors),
                "cached": sum(answer["cached"] for answer in answers),
            },
            "errors": by_kind(errors),
            "gates": [],
        },
        **_energy.seen(record.profile, [*map(_energy.of_row, _timed(record.rows))]),
    }
    document["telemetry"] |= {k: v for k, v in record.facts.items() if k != "type"}
    document["results"]["gates"] = _gates(document, record.gates)
    document["insights"] = insights.find(document)
    return document


def planned_answers(record: Record, config: Mapping[str, Any]) -> int | None:
    """Return how many of the planned rows are answers; the other rows are scores, one a question.

    None if the answers came from a file, or if a session had tests of other kinds.
    """
    questions, others = divmod(record.planned, config["samples"] + 1)
    rescored = config.get("rescore") or config.get("answers")  # as earlier versions called it
    return None if rescored or others else questions * config["samples"]


def _by_category(items: Sequence[documents.Item], k: int | None) -> Document:
    return {"by_category": scores.by_category(items, k), "correct_macro": scores.macro(items)}


def modern(document: Document) -> Document:
    """Return the content of a file of any version, with unreadable answers counted as wrong.

    Earlier versions left such answers out of `correct`.
    """
    found, config = document["results"], document["config"]
    found.setdefault("grades", {})
    for one in found["criteria"].values():
        one.setdefault("unit", "1 to 5")
    if "not_attempted" in found:
        return document
    for item in found["items"]:
        scores.as_wrong(item)
        item["pass_at_k"] = scores.pass_at_k_of(item, config["pass_k"])
    before = found["correct"]["mean"]
    found |= {
        **scores.correctness(found["items"]),
        "pass_at_k": scores.pass_at_k(found["items"], config["pass_k"]),
        **_by_category(found["items"], config["pass_k"]),
    }
    if found["correct"]["mean"] != before:
        found["correct"]["reason"] = (
            f"{before:.3g} in the file, whose version left out what could not be read"
        )
    return document


def _gates(document: Document, of_tests: Sequence[GateVerdict]) -> list[GateVerdict]:
    results, table = document["results"], measures.of(document)
    found = gates.of_run(document, table, of_tests)
    if results["n_total"] or scores.missing(results["correct"]):
        limit = f"unscored<={document['config']['max_unscored']:g}"
        found += gates.judged(document, table, [limit], "point")
    return found


def _items(record: Record, header: Mapping[str, Any]) -> list[documents.Item]:
    """Return the questions that were answered, each with its answers and scores, in their order."""
    about = flags.context(record.rows, header["config"], record.facts)
    groups: dict[str, dict[int, AnswerRow]] = {}
    for row in record.rows:
        groups.setdefault(row["prompt_id"], {})[row["iteration"]] = row
    found: dict[str, Judged] = {**_so_far(record, header["config"]), **_scored(record)}
    return [
        _item([groups[key][n] for n in sorted(groups[key])], found.get(key), about)
        for key in senders.ordered(record, [*groups])
    ]


def _so_far(record: Record, config: Mapping[str, Any]) -> dict[str, Judged]:
    """Return the scores so far of a run that was cut, by question."""
    if not config["judge"] or _status(record) not in ("interrupted", "partial"):
        return {}
    from pytest_llamaburn.kinds.eval import unfinished  # with it come the judges

    return unfinished.scores(record, config["pairwise"])


def _status(record: Record) -> str:
    rows = {(row["prompt_id"], row["iteration"]): row for row in record.rows}
    good = sum(row["error"] is None for row in rows.values())
    done = len(rows) + len(_scored(record)) >= record.planned
    return status(record, good, done=done)


def _scored(record: Record) -> dict[str, ScoresRow]:
    return {row["question_id"]: row for row in record.others.get("scores", [])}


def _item(rows: Sequence[AnswerRow], scored: Judged | None, about: flags.Context) -> documents.Item:
    found: Document = {**scored} if scored else {}
    verdicts = found.get("verdicts") or [None] * len(rows)
    first, *rest = (_answer(*pair, about) for pair in zip(rows, verdicts, strict=False))
    item: Document = {
        "question": rows[0]["question"],
        **first,
        "scores": found.get("scores", {}),
        "comparisons": found.get("comparisons", []),
        "rival_answer": found.get("rival_answer"),
        "pass_at_k": found.get("pass_at_k"),
        "search": rows[0]["search"],
        "reference_found": rows[0]["reference_found"],
        "cited": rows[0]["cited"],
        "more_samples": rest,
    }
    return cast("documents.Item", item)


def _answer(
    row: AnswerRow, verdict: documents.Verdict | None, about: flags.Context
) -> documents.Answer:
    fields: Document = {**row}
    kept = ("answer", "thinking", "timestamp", "finish_reason", "error", "cached")
    answer: Document = {
        **{name: fields[name] for name in kept},
        "flags": flags.of(row, about),
        "null_reasons": row["null_reasons"],
        "timing": {name: fields[name] for name in REQUEST},
        "correct": verdict["correct"] if verdict else None,
        "verdict": verdict,
        "choice_logprobs": row.get("choice_logprobs"),
        "choice_mass": row.get("choice_mass"),
        **{name: fields[name] for name in _OF_SOME if name in fields},
    }
    return cast("documents.Answer", answer)


def _timed(rows: Sequence[AnswerRow]) -> list[AnswerRow]:
    """Return the answers that were made in this run, with the time when they were made."""
    return [row for row in rows if "clock" in row]


def _measured(record: Record) -> Document:
    """Return the timing of the answers that were made in this run."""
    rows = [row for row in record.rows if not row["cached"]]
    return {"summary": summary([row for row in rows if row["error"] is None], rows)}
