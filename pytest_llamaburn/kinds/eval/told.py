"""What a program that follows a run is told: each question, answer and score when it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import modalities
from pytest_llamaburn.kinds.eval import structure

if TYPE_CHECKING:
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.kept_media import Keeper
    from pytest_llamaburn.kinds.eval.documents import AnswerRow, ScoresRow

_MOST_CHARACTERS = 8_000  # of a text; the result file has all of it
_TIMES = ("time_to_first_token_ms", "tokens_per_sec", "total_generation_ms")


def asked(question: Question, keeper: Keeper) -> Document:
    """Return what is asked now: the question, and the ids of its media."""
    media = [
        {"kind": one["kind"], "id": keeper.of_file(modalities.located(one))}
        for one in question.media
    ]
    return {
        "question": question.id,
        "prompt": _cut(question.prompt),
        "reference": _cut(question.reference or "") or None,
        "category": question.category,
        "media": media,
    }


def answered(row: AnswerRow) -> Document:
    """Return an answer, with the media that were sent and those that it has."""
    fields: dict[str, Any] = {**row}
    return {
        "question": row["prompt_id"],
        "sample": row["iteration"],
        "answer": None if row["answer"] is None else _cut(structure.said(row)),
        "error": row["error"],
        "cached": row["cached"],
        "timing": {name: fields.get(name) for name in _TIMES},
        "media": [_without_path(one) for one in row.get("media", ())],
        "measured": _without_path(row.get("measured") or {}),
    }


def scored(row: ScoresRow) -> Document:
    """Return what scorers made of the answers to a question."""
    verdicts = [one for one in row["verdicts"] if one]
    return {
        "question": row["question_id"],
        "correct": verdicts[0]["correct"] if verdicts else None,
        "reason": _cut(verdicts[0]["reason"]) if verdicts else "",
    }


def _without_path(facts: Document) -> Document:
    return {name: value for name, value in facts.items() if name not in ("path", "audio_path")}


def _cut(text: str) -> str:
    more = len(text) - _MOST_CHARACTERS
    return f"{text[:_MOST_CHARACTERS]} … ({more} more characters)" if more > 0 else text
