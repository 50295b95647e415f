"""The duration of generated sound against the one that was asked for.

The option `seconds` is the duration, `within` the largest share by which it may differ, by default
a tenth. The answer is the real duration, such as `9.8 s`, or a tune in ABC notation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_llamaburn.notation import reading
from pytest_llamaburn.notation.playing import AbcError
from pytest_llamaburn.scorers import _base, _text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.scorers._base import Question, Score

NEEDS = ("seconds",)
_WITHIN = 0.1


def score(answer: str, question: Question) -> Score:
    """Return the score; its details are both durations in seconds."""
    asked = float(_base.needed(question, "seconds"))
    within = _base.figure(question, "within")
    said = _text.spoken(answer)
    if not said:
        return _base.empty()
    try:
        real = _seconds(said)
    except AbcError as err:
        return _base.unparsable(f"the answer is neither a duration nor ABC: {err}")
    right = abs(real - asked) <= asked * (_WITHIN if within is None else within)
    why = f"it lasts {real:g} s instead of {asked:g} s"
    return _base.scored(right, f"{real:g} s", why, seconds=real, asked_seconds=asked)


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of a wrong number."""
    yield from _base.bad_figures(question, "seconds", "within")


def _seconds(said: str) -> float:
    """Return the duration of an answer; raises AbcError."""
    told = re.fullmatch(r"(\d+(?:\.\d+)?) s", said)
    return float(told[1]) if told else reading.tune_in(said).seconds
