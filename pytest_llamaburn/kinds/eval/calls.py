"""What tests call to have questions answered and answers scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.kinds._kind import Test
    from pytest_llamaburn.kinds.eval.run import EvalRun


def answer(run: EvalRun, test: Test) -> Callable[[Question], list[dict[str, Any]]]:
    """Return the function of the fixture `llm_answer`."""
    return lambda question: test.session.run(run.answer(question))


def scores(run: EvalRun, test: Test) -> Callable[[Question], dict[str, Any]]:
    """Return the function of the fixture `llm_scores`."""

    def scored(question: Question) -> dict[str, Any]:
        row = run.scores(question)
        thresholds = test.item.keywords.get("thresholds", ())
        broken = run.gate_question(thresholds, question) if thresholds else []
        if broken:
            raise AssertionError("; ".join(broken))
        return row

    return scored
