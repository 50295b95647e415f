"""Whole programs: what they print for the input of each case decides.

The program reads the input from its standard input and prints the answer; nothing else of it
counts, so it cannot change its score. `language` is python, javascript or c; a block of another
language is no answer.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Final

from pytest_llamaburn import sandbox
from pytest_llamaburn.scorers import _text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.scorers._base import Question

TAGS: Final = {
    "python": ("python", "py", "python3"),
    "javascript": ("javascript", "js", "node", "nodejs", "mjs", "cjs"),
    "c": ("c", "c99", "c11", "c17", "ansi"),
}
_MARKS: Final = {  # of programs without a fence, and of the block that is the program
    "python": re.compile(r"\b(?:print|sys\.stdout\.write)\s*\("),
    "javascript": re.compile(r"\b(?:console\.\w+|process\.stdout\.write)\s*\("),
    "c": re.compile(r"\bmain\s*\("),
}


def language(question: Question) -> str:
    """Return the language that a question asks for."""
    return str(question.options.get("language", "python"))


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of an unknown language and of invalid cases."""
    asked = question.options.get("language", "python")
    cases, tests = question.options.get("cases"), question.options.get("tests")
    if asked not in sandbox.LANGUAGES:
        yield "language", f"{asked!r} is not one of {', '.join(sandbox.LANGUAGES)}"
    elif cases is None and tests in (None, []):
        yield "tests", "the scorer code needs it"
    elif cases is not None and tests:
        yield "cases", "are given with tests: leave out one of them"
    elif tests and asked != "python":
        yield "tests", f"are in Python, but the answer is in {sandbox.LANGUAGES[asked]}: use cases"
    elif cases is not None and not _are_cases(cases):
        yield "cases", 'are not a list of {"input": "...", "output": "..."} with texts'


def _are_cases(cases: object) -> bool:
    return (
        isinstance(cases, list)
        and bool(cases)
        and all(isinstance(one, dict) and set(one) == {"input", "output"} for one in cases)
        and all(isinstance(text, str) for one in cases for text in one.values())
    )


def chosen(said: str, asked: str) -> str | None:
    """Return the program of an answer; None if there is none.

    It is the last block that prints, or has a `main`; else the last one.
    """
    fenced = _text.fenced(said)
    blocks = [(tag.partition(".")[0], textwrap.dedent(body)) for tag, body in fenced]
    tagged = [body for tag, body in blocks if tag in TAGS[asked]]
    found = tagged or [body for tag, body in blocks if not tag]
    marked = [body for body in found if _MARKS[asked].search(body)]
    if not blocks:
        return said if _MARKS[asked].search(said) else None
    return next(reversed(marked or tagged), None)


def other_language(said: str, asked: str) -> str:
    """Return the name of another known language that a block of an answer names; else nothing."""
    tags = [tag.partition(".")[0] for tag, _ in _text.fenced(said)]
    known = (name for name, own in TAGS.items() if name != asked and set(tags) & set(own))
    return next((sandbox.LANGUAGES[name] for name in known), "")


def run(
    program: str, asked: str, cases: Sequence[dict[str, str]], limits: sandbox.Limits
) -> tuple[sandbox.Outcome, int]:
    """Return what came of a program that is given all cases, and how many it passed.

    Its run time is the sum over the cases, its memory the largest. It ends with the first case that
    fails. Raises UsageError if this machine cannot run it.
    """
    spent_ms, passed = 0.0, 0
    peaks: list[float | None] = []
    ended = sandbox.Outcome("exit", "it was not run", "", None)
    runs = sandbox.outcomes(program, (case["input"] for case in cases), asked, limits)
    for case, ended in zip(cases, runs, strict=False):
        spent_ms += ended.runtime_ms or 0.0
        peaks.append(ended.peak_memory_mb)
        wrong = _difference(ended, case["output"])
        if ended.state != "finished" or wrong:
            state = "assertion" if wrong and ended.state == "finished" else ended.state
            place = f"case {passed + 1}: {wrong or ended.message}"
            message = ended.message if ended.state == "uncompiled" else place
            return ended._replace(state=state, message=message, runtime_ms=None), passed
        passed += 1
    known = [peak for peak in peaks if peak is not None]
    largest = max(known) if len(known) == len(cases) else None
    return ended._replace(runtime_ms=spent_ms, peak_memory_mb=largest), passed


def _difference(ended: sandbox.Outcome, expected: str) -> str:
    """Return how an output differs from what is expected; empty if it does not.

    Spaces at the ends of lines, and empty lines at the end, do not count.
    """
    printed, wanted = _lines(ended.stdout), _lines(expected)
    if ended.state != "finished" or printed == wanted:
        return ""
    at = next((n for n, (a, b) in enumerate(zip(printed, wanted, strict=False)) if a != b), None)
    if at is None:
        return f"it printed {len(printed)} lines, not {len(wanted)}"
    return f"line {at + 1} is {printed[at][:80]!r}, not {wanted[at][:80]!r}"


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]
