"""What tests call to have questions answered and answers scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.kinds.eval import KIND

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.kinds._kind import Item, Session
    from pytest_llamaburn.kinds.eval.documents import AnswerRow, ScoresRow
    from pytest_llamaburn.kinds.eval.run import EvalRun


def answer(
    run: EvalRun,
    item: Item,
    session: Session,
) -> Callable[[Question], list[AnswerRow]]:
    """Return the function of the fixture `llm_answer`."""
    planned = session.memory.get(KIND.name, {}).get(item.target, ())
    return lambda question: session.run(run.answer(question, planned))


def scores(
    run: EvalRun,
    item: Item,
    session: Session,  # noqa: ARG001 - as all makers
) -> Callable[[Question], ScoresRow]:
    """Return the function of the fixture `llm_scores`."""

    def scored(question: Question) -> ScoresRow:
        row = run.scores(question)
        thresholds = item.keywords.get("thresholds", ())
        broken = run.gate_question(thresholds, question) if thresholds else []
        if broken:
            raise AssertionError("; ".join(broken))
        return row

    return scored
