"""The share of people who gave the same short answer, as in VQA: at most 1, reached with three.

Both answers are normalised: case, punctuation and articles do not count, and `two` is `2`. The
option `answers` has the answers of people (ten in VQAv2), and the score is the mean over all
choices of nine of them; without the option, the reference and `accept` are right, others are wrong.
An answer is right if its score is at least 0.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.scorers import _base, _text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.scorers._base import Question, Score

NEEDS = ("reference",)
RATES = ("vqa_accuracy",)
_ENOUGH = 3  # people who gave an answer
_RIGHT = 0.5
_COUNTED = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"zero": "0", "none": "0", **{word: str(n) for n, word in enumerate(_COUNTED, 1)}}


def score(answer: str, question: Question) -> Score:
    """Return the score; its details are the share. Raises DatasetError without a reference."""
    said = _text.spoken(answer)
    accuracy = _accuracy(said, question)
    details = {"vqa_accuracy": accuracy}
    if not said:
        return _base.empty()._replace(details=details)
    why = "too few people gave this answer" if accuracy else "nobody gave this answer"
    return _base.scored(accuracy >= _RIGHT, said, why, **details)


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of answers that are not a list of texts."""
    answers = question.options.get("answers", [])
    if not isinstance(answers, list) or not all(isinstance(one, str) for one in answers):
        yield "answers", "should be a list of texts"


def _accuracy(said: str, question: Question) -> float:
    people = question.options.get("answers")
    mine = {_normal(form) for form in (said, *_text.forms(said))} if said else set()
    if not people:
        return float(any(_normal(one) in mine for one in _base.accepted(question)))
    alike = [_normal(one) in mine for one in people]
    same = sum(alike)
    left_out = [min(1.0, (same - one) / _ENOUGH) for one in alike]
    return sum(left_out) / len(left_out)


def _normal(text: str) -> str:
    return " ".join(_NUMBERS.get(word, word) for word in _text.normal(text).split())
