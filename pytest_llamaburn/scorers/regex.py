"""The option `pattern`, a regular expression of Python's, is found in the answer.

Flags are written in the pattern: "(?i)…" for upper and lower case alike.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.scorers import _base, _text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.scorers._base import Question, Verdict

NEEDS = ("pattern",)


def score(answer: str, question: Question) -> Verdict:
    """Return whether the pattern is found. Raises DatasetError for none, or one that is faulty."""
    pattern = _base.needed(question, "pattern")
    if fault := _fault(pattern):
        raise DatasetError(f"the pattern '{pattern}' {fault}")
    said = _text.spoken(answer)
    if not said:
        return _base.empty()
    match = re.search(pattern, said)
    return _base.scored(
        match is not None, match.group() if match else said, "the pattern is not found"
    )


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield why the pattern is none."""
    if fault := _fault(question.options["pattern"]):
        yield "pattern", fault


def _fault(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError, TypeError) as err:
        return f"is no regular expression: {err}"
    return ""
