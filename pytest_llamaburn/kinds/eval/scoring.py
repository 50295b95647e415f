"""What a question's scorer finds in an answer, and what judges are given of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from pytest_llamaburn import judges, registry
from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.kinds.eval import structure, task
from pytest_llamaburn.scorers import _base
from pytest_llamaburn.scorers._attempts import is_no_attempt
from pytest_llamaburn.scorers._base import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.documents import Document, ToolCall
    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.judges import Case, Pair, Shown
    from pytest_llamaburn.kinds.eval.documents import AnswerRow, Verdict

_LONGEST_REASON = 500  # characters of an error of another distribution's scorer


def score(question: Question, row: AnswerRow) -> Verdict | None:
    """Return the score of an answer as JSON types; None for a question without a scorer.

    Raises UsageError for a faulty question and a missing extra.
    """
    if question.scorer is None:
        return None
    ruled = judges.by_rule(case(question, row), "correct")
    if ruled is not None:
        state = _silence(row) if ruled.scored else ruled.state
        reason = ruled.reasoning or (ruled.error["words"] if ruled.error else "")
        details = _of_nothing(question) if ruled.scored else {}
        return _verdict(Score(False if ruled.scored else None, state, reason, None, details))
    if row.get("choice_mass") == 0:
        reason = "no letter of a choice is among the likeliest tokens"
        return _verdict(_base.unparsable(reason))
    answer = row["answer"] or ""
    found = _scored(question.scorer, answer, question, row.get("tool_calls"))
    if found.correct is False and not row.get("tool_calls") and is_no_attempt(answer):
        found = found._replace(state="not_attempted")
    return _verdict(found)


def _of_nothing(question: Question) -> Document:
    """Return the counts of an empty answer, for a scorer that counts."""
    module = registry.load("scorers", question.scorer or "")
    return module.score("", question).details if hasattr(module, "RATES") else {}


def case(question: Question, row: AnswerRow, shown: tuple[Shown, ...] = ()) -> Case:
    """Return an answer as judges are given it, with the media that they are shown."""
    return judges.Case(
        question.prompt,
        structure.said(row),
        question.reference,
        question.rubric,
        row["error"]["kind"] if row["error"] else None,
        row["finish_reason"],
        task.evidence(question, row["search"]),
        shown,
    )


def pair(
    question: Question,
    row: AnswerRow,
    opponent: AnswerRow | None,
    shown: tuple[Shown, ...] = (),
) -> Pair | None:
    """Return two answers as judges compare them; None if one is missing, not by the model."""
    texts = [_compared(question, one) for one in (row, opponent)]
    if texts[0] is None or texts[1] is None:
        return None
    return judges.Pair(
        question.prompt, texts[0], texts[1], question.reference, question.rubric, shown
    )


def _compared(question: Question, row: AnswerRow | None) -> str | None:
    """Return the text of an answer to compare; empty if the model failed to answer."""
    if row is None:
        return None
    ruled = judges.by_rule(case(question, row), "preference")
    if ruled is None:
        return structure.said(row) or row["answer"]
    return "" if ruled.scored else None


def _verdict(found: Score) -> Verdict:
    return cast("Verdict", found._asdict())


def _scored(name: str, answer: str, question: Question, calls: Sequence[ToolCall] | None) -> Score:
    """Return what a scorer finds; if the scorer fails, the score says so and the run goes on."""
    scorer = registry.load("scorers", name)
    given = (answer, question, calls) if hasattr(scorer, "READS_CALLS") else (answer, question)
    try:
        found = Score._make(scorer.score(*given))
        json.dumps(found, allow_nan=False)  # a result file must be able to hold it
        if not isinstance(found.correct, bool | None):
            raise TypeError(f"{found.correct!r} is neither true, false nor null")  # noqa: TRY301
    except UsageError:
        raise
    except Exception as err:  # noqa: BLE001 - a scorer of another distribution may raise anything
        reason = f"the scorer '{name}' failed: {type(err).__name__}: {err}"[:_LONGEST_REASON]
        return Score(None, "unavailable", reason, None, {})
    return found


def _silence(row: AnswerRow) -> str:
    """Return the state of an answer that the model did not give."""
    if row["error"] is not None:
        return "failed"
    return "truncated" if row["finish_reason"] == "length" else "empty"
