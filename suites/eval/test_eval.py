"""The eval: for each question an item that answers it, and later an item that scores the answers.

All questions are answered before any answer is scored. An item fails only if asking or judging is
impossible; the scores are in the result file, and thresholds judge them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn import Question


@pytest.mark.llm_eval
def test_answer(llm_answer: Callable[[Question], Any], llm_question: Question) -> None:
    """Have the model answer the question."""
    llm_answer(llm_question)


@pytest.mark.llm_eval
def test_scores(llm_scores: Callable[[Question], Any], llm_question: Question) -> None:
    """Score its answers."""
    llm_scores(llm_question)
