"""The answer contains a match of the option `pattern`, a Python regular expression.

Flags are written in the pattern, such as "(?i)…" to ignore case. A search is given up after 5 s,
because some patterns take years.
"""

from __future__ import annotations

import re
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.scorers import _base, _text
from pytest_llamaburn.scorers._base import Score

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.scorers._base import Question

NEEDS = ("pattern",)

LONGEST_S = 5.0


def score(answer: str, question: Question) -> Score:
    """Return whether the pattern is found; raises DatasetError without a valid pattern."""
    pattern = _base.needed(question, "pattern")
    if fault := _fault(pattern):
        raise DatasetError(f"the pattern '{pattern}' {fault}")
    said = _text.spoken(answer)
    if not said:
        return _base.empty()
    try:
        with _limited():
            match = re.search(pattern, said)
    except TimeoutError:
        reason = (
            f"the search for the pattern took longer than {LONGEST_S:g} s: simplify the pattern"
        )
        return Score(None, "unavailable", reason, None, {})
    return _base.scored(
        match is not None, match.group() if match else said, "the pattern is not found"
    )


@contextmanager
def _limited() -> Iterator[None]:
    """Raise TimeoutError after the limit; only the main thread can be interrupted like this."""
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        yield
        return
    before = signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _give_up(number: int, frame: object) -> None:
    raise TimeoutError(number, frame)


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield why the pattern is not valid."""
    if fault := _fault(question.options["pattern"]):
        yield "pattern", fault


def _fault(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError, TypeError) as err:
        return f"is not a regular expression: {err}"
    return ""
