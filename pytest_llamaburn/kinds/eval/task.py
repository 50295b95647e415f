"""What an eval run asks: the questions of a set, or those that a result file has answers to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pytest_llamaburn import criteria, datasets, evalsets, files, judges, media_sets
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.option import options_of
from pytest_llamaburn.search import _record
from pytest_llamaburn.search._base import Hit
from pytest_llamaburn.settings import Judging
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.criteria import Criterion
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.evalsets import EvalSet, Question
    from pytest_llamaburn.kinds.eval.documents import (
        Answer,
        AnswerRow,
        EvalSetFields,
        Item,
        QuestionFields,
    )
    from pytest_llamaburn.kinds.eval.settings import Eval
    from pytest_llamaburn.search._record import SearchRecord

_MOST_WER = {"max_wer": 0.2}  # up to this WER the transcription of a text is right
_MUSIC_S = 10.0  # duration of music if none is asked for


class Task(NamedTuple):
    """The questions of an eval run, and how a result file describes their set."""

    questions: tuple[Question, ...]
    about: EvalSetFields


def load(settings: Eval, name: str) -> Task:
    """Return the questions of a set, or those that a result file has answers to.

    Their criteria are those of the settings, if any. Raises DatasetError, ResultsError, or
    SettingsError for an unknown criterion.
    """
    if settings.rescore:
        known = stored(str(settings.rescore))["results"]
        questions = tuple(question(item["question"]) for item in known["items"])
        return Task(_chosen(questions, settings), known["eval_set"])
    found = eval_set(settings, name)
    about: EvalSetFields = {
        "name": found.name,
        "version": found.version,
        "sha256": found.sha256,
        "path": str(found.path),
        "available": len(found.questions),
    }
    if found.modality:
        about["modality"] = found.modality
    return Task(_chosen(found.questions, settings), about)


def eval_set(settings: Eval, name: str) -> EvalSet:
    """Return a set, with the media of --input if it is given; raises DatasetError.

    With --text, --prompt or --live-audio it has one question, and no set is read.
    """
    one = _single(settings)
    if one is None:
        return media_sets.load(name, settings.input)
    return evalsets.eval_set(one, Path(str(one["name"])))


def _single(settings: Eval) -> Document | None:
    """Return the content of the set that --text, --prompt or --live-audio stands for, or None."""
    if settings.text is not None:
        heard = {"reference": settings.text, "scorer": "wer", "options": _MOST_WER}
        return _one("text", "speech", settings.text, **heard)
    if settings.prompt is not None:
        options = {"seconds": settings.duration or _MUSIC_S}
        return _one("prompt", "music", settings.prompt, scorer="duration", options=options)
    if settings.live_audio:
        said = _reference(settings.reference)
        scored = {} if said is None else {"scorer": "wer", "options": _MOST_WER}
        return _one("live", "live", "Write down what is said.", reference=said, **scored)
    return None


def _one(name: str, modality: str, prompt: str, **fields: object) -> Document:
    known = {key: value for key, value in fields.items() if value is not None}
    question = {"id": name, "prompt": prompt, "category": modality, **known}
    return {"name": name, "modality": modality, "questions": [question]}


def _reference(given: str | None) -> str | None:
    """Return a reference, or the text of the file that `@FILE` names; raises SettingsError."""
    if given is None or not given.startswith("@"):
        return given
    try:
        return files.text(files.plain_bytes(files.home(given[1:]))).strip()
    except (OSError, ValueError) as err:
        raise SettingsError(f"--reference: {given} cannot be read: {files.reason(err)}") from None


def _chosen(questions: tuple[Question, ...], settings: Eval) -> tuple[Question, ...]:
    """Return the questions that --limit chooses, in their order, with the criteria to judge on."""
    count = min(settings.limit or len(questions), len(questions))
    chosen = {q.id for q in datasets.stratified(questions, count, settings.seed)}
    own = [*evalsets.own_criteria(settings.criterion).values()]
    names = [name.strip() for name in (settings.criteria or "").split(",") if name.strip()]
    return tuple(_asked(q, own, names) for q in questions if q.id in chosen)


def _asked(question: Question, own: Sequence[Criterion], names: Sequence[str]) -> Question:
    """Return a question with the criteria of the settings, which replace those of the question.

    Raises SettingsError for a criterion that is not defined.
    """
    known = {**criteria.defined(question.definitions), **{one.name: one for one in own}}
    try:
        asked = criteria.chosen([*(names or question.criteria), *(c.name for c in own)], known)
    except ValueError as err:
        raise SettingsError(f"--criteria: {err}") from None
    definitions = tuple(known[name].definition for name in asked if name in known)
    return question._replace(criteria=asked, definitions=definitions)


def documents(asked: Question) -> list[Hit]:
    """Return the documents of a question as sources to answer with."""
    return [Hit(f"document {n}", "", text) for n, text in enumerate(asked.context, 1)]


def evidence(asked: Question, search: SearchRecord | None) -> str | None:
    """Return the sources of an answer, from the search and the question; None without sources.

    They are numbered as in the prompt of the model.
    """
    hits = [*(_record.hits_of(search) if search else ()), *documents(asked)]
    sources = [f"[{number}] {hit.title}\n{hit.text}" for number, hit in enumerate(hits, 1)]
    return "\n\n".join(sources) or None


def items(settings: Eval) -> dict[str, Item]:
    """Return the items of the result file that --rescore names, by question."""
    found: list[Item] = stored(str(settings.rescore))["results"]["items"]
    return {item["question"]["id"]: item for item in found}


def is_file(name: str) -> bool:
    """Return whether --compare-to names a result file, not a model."""
    return name.endswith(".json")


def refuse_itself(settings: Eval, model: str) -> None:
    """Raise SettingsError if --compare-to names the model under test."""
    other = settings.compare_to
    if other is not None and judges.bare(other) == judges.bare(model):
        raise SettingsError(
            f"--compare-to: {other} is the model under test, so its answers would be compared with "
            "themselves: name another model, or a result file"
        )


def judged_models(settings: Eval) -> list[str]:
    """Return the models whose answers judges will read; raises ResultsError."""
    other = settings.compare_to
    if other is None:
        return [*settings.model]
    return [*settings.model, stored(other)["model"]["id"] if is_file(other) else other]


def stored(path: str) -> Document:
    """Return the content of an eval's result file; raises ResultsError for another file."""
    document = results.load(Path(path))
    if document["schema"] != "llamaburn/eval":
        raise ResultsError(
            f"{path} is not the result of an eval: its schema is {document['schema']}"
        )
    return document


def question(fields: QuestionFields) -> Question:
    """Return the question of an item of a result file, or of a row of a journal."""
    known: dict[str, Any] = {**fields}
    listed = {n: tuple(known.get(n, ())) for n in ("criteria", "definitions", "context", "media")}
    return evalsets.Question(**{**known, **listed})


def rows_of(item: Item) -> list[AnswerRow]:
    """Return the journal rows of an item of a result file."""
    asked = question(item["question"])
    shared: Document = {
        "prompt_id": asked.id,
        "category": asked.category,
        "prompt_sha256": asked.sha256,
        "repeat": 0,
        "start": "warm",
        "question": item["question"],
        "chunk_gaps_ms": [],
        "search": item["search"],
        "reference_found": item["reference_found"],
        "cited": item["cited"],
    }
    return [
        cast("AnswerRow", {**shared, **_facts(answer), "iteration": number})
        for number, answer in enumerate([item, *item["more_samples"]])
    ]


def _facts(answer: Answer) -> Document:
    """Return the fields of a journal row that an answer of a result file has."""
    fields: Document = {**answer}
    kept = ("answer", "thinking", "timestamp", "finish_reason", "error", "flags", "null_reasons")
    letters = ("choice_logprobs", "choice_mass")  # not in files of earlier versions
    seen = ("media", "media_tokens", "measured", "tool_calls")  # only of some questions
    return {
        **answer["timing"],
        **{name: fields[name] for name in kept},
        **{name: fields.get(name) for name in letters},
        **{name: fields[name] for name in seen if name in fields},
        "cached": True,
    }


def scoring_options(config: Document) -> Document:
    """Return the settings that affect the scoring of stored answers.

    Model and set keep the names of this run, because a resumed run is found by them.
    """
    names = {option.name for option in options_of(Judging)}
    names |= {"threshold", "gate_mode", "pairwise", "compare_to", "pass_k"}
    names |= {"rescore", "model", "set", "criteria", "criterion"}
    names |= {"limit"} if config["limit"] else set()
    return {name: value for name, value in config.items() if name in names}
