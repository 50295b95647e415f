"""The answer contains the reference, or one of `accept`, as whole words.

The meaning of the sentence does not count: "it is not Paris" includes Paris.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.scorers import _base, _text

if TYPE_CHECKING:
    from pytest_llamaburn.scorers._base import Question, Score

NEEDS = ("reference",)


def score(answer: str, question: Question) -> Score:
    """Return whether the words are there; raises DatasetError without a reference."""
    wanted = _base.accepted(question)
    said = _text.spoken(answer)
    if not said:
        return _base.empty()
    found = next((text for text in wanted if _text.contains(said, text)), None)
    return _base.scored(
        found is not None, found or said, "the answer does not contain the reference"
    )
