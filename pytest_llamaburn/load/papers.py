"""What an exam asks and has asked: the questions of a set, or those of a result file's answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import datasets, judges, results
from pytest_llamaburn.errors import ResultsError, SettingsError

if TYPE_CHECKING:
    from pytest_llamaburn.datasets import Question

Row = dict[str, Any]


class Paper(NamedTuple):
    """The questions of one exam, and how a result file describes where they are from."""

    questions: tuple[Question, ...]
    about: dict[str, Any]


def paper(settings: Any, name: str) -> Paper:
    """Return the questions to ask: of a set, or those that a result file has answers to.

    Raises DatasetError or ResultsError.
    """
    if settings.answers:
        known = stored(settings.answers)["results"]
        questions = tuple(question(item["question"]) for item in known["items"])
        return Paper(_chosen(questions, settings), known["eval_set"])
    found = datasets.load_eval_set(name)
    about = {
        "name": found.name,
        "version": found.version,
        "sha256": found.sha256,
        "path": str(found.path),
        "available": len(found.questions),
    }
    return Paper(_chosen(found.questions, settings), about)


def _chosen(questions: tuple[Question, ...], settings: Any) -> tuple[Question, ...]:
    """Return those questions that --limit leaves, in their order."""
    count = min(settings.limit or len(questions), len(questions))
    chosen = {q.id for q in datasets.stratified(questions, count, settings.seed)}
    return tuple(q for q in questions if q.id in chosen)


def texts(settings: Any) -> dict[str, str]:
    """Return the answers of the result file that is scored again, by question."""
    return {i["question"]["id"]: i["answer"] or "" for i in _items(settings.answers)}


def _items(path: str) -> list[Row]:
    found: list[Row] = stored(path)["results"]["items"]
    return found


def is_file(name: str) -> bool:
    """Return whether --compare-to names a result file and not a model."""
    return name.endswith(".json")


def refuse_itself(settings: Any, model: str) -> None:
    """Raise SettingsError where --compare-to names the model under test."""
    other = settings.compare_to
    if other is not None and judges.bare(other) == judges.bare(model):
        raise SettingsError(
            f"--compare-to: {other} is the model under test, whose answers would be compared with "
            "themselves: name another model, or a result file"
        )


def judged_models(settings: Any) -> list[str]:
    """Return the models that settings name whose answers judges will read; raises ResultsError."""
    other = settings.compare_to
    if other is None:
        return [*settings.model]
    return [*settings.model, stored(other)["model"]["id"] if is_file(other) else other]


def stored(path: str) -> dict[str, Any]:
    """Return an eval's result file; raises ResultsError for any other."""
    document = results.load(Path(path))
    if document["schema"] != "llamaburn/eval":
        raise ResultsError(f"{path} is no eval: its schema is {document['schema']}")
    return document


def question(fields: dict[str, Any]) -> Question:
    """Return the question of a result file's item or a journal's row."""
    return datasets.Question(**{**fields, "criteria": tuple(fields["criteria"])})


def rows_of(item: dict[str, Any]) -> list[Row]:
    """Return the journal rows that a result file's item was made from."""
    asked = question(item["question"])
    shared = {
        "prompt_id": asked.id,
        "category": asked.category,
        "prompt_sha256": asked.sha256,
        "repeat": 0,
        "start": "warm",
        "question": item["question"],
        "chunk_gaps_ms": [],
        **{name: item[name] for name in ("search", "reference_found", "cited")},
    }
    kept = ("answer", "thinking", "timestamp", "finish_reason", "error", "flags", "null_reasons")
    letters = ("choice_logprobs", "choice_mass")  # files of earlier versions have none
    return [
        {
            **shared,
            **answer["timing"],
            **{name: answer[name] for name in kept},
            **{name: answer.get(name) for name in letters},
            "iteration": number,
            "cached": True,
        }
        for number, answer in enumerate([item, *item["more_samples"]])
    ]
