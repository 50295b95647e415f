"""The eval: an item a question to answer it, and then an item a question to mark the answers.

All is answered before anything is marked. An item fails only where asking or judging is impossible;
what an answer is worth is in the result file, and thresholds judge it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.evalsets import Question


@pytest.mark.llm_eval
def test_answer(llm_answer: Callable[[Question], Any], llm_question: Question) -> None:
    """Have the model answer the question."""
    llm_answer(llm_question)


@pytest.mark.llm_eval
def test_scores(llm_scores: Callable[[Question], Any], llm_question: Question) -> None:
    """Mark its answers."""
    llm_scores(llm_question)
