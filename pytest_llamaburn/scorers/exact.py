"""The answer is the reference or one of `accept`, except for case, punctuation and possessives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.scorers import _base, _text

if TYPE_CHECKING:
    from pytest_llamaburn.scorers._base import Question, Score

NEEDS = ("reference",)


def score(answer: str, question: Question) -> Score:
    """Return whether the answer is nothing else; raises DatasetError without a reference."""
    wanted = {_text.normal(text) for text in _base.accepted(question)}
    said = _text.spoken(answer)
    if not said:
        return _base.empty()
    right = not wanted.isdisjoint(_text.forms(said))
    return _base.scored(right, said, "the text differs from the reference")
