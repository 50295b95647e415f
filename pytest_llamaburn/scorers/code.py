"""The program in the answer passes the option `tests`, in the sandbox.

The program is the last fenced block of Python (with the option `entry_point` the last that defines
it), or the whole answer if that is a program. `tests` are Python statements, or a list of them, run
after it in the same module; it is right if the last one was reached, each assertion held. It has
Python's standard library, one process and one thread, and no file, network or input; the limits are
the options `timeout_s` (10) and `memory_mb` (512).
"""

from __future__ import annotations

import ast
import math
import re
import textwrap
import warnings
from typing import TYPE_CHECKING

from pytest_llamaburn import sandbox
from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.scorers import _base, _text
from pytest_llamaburn.scorers._base import Verdict

if TYPE_CHECKING:
    from pytest_llamaburn.scorers._base import Question

NEEDS = ("tests",)

_FENCE = re.compile(
    r"^[ \t]*(```+|~~~+)[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL
)
_PYTHON = ("python", "py", "python3")
_MOST_OUTPUT = 2000  # characters kept in the details


def score(answer: str, question: Question) -> Verdict:
    """Return whether it passes; details: what happened, the message, output and runtime_ms.

    The state is `unavailable` where the platform has no sandbox. Raises DatasetError without tests.
    """
    tests = _base.needed(question, "tests")
    said = _text.spoken(answer)
    if not said:
        return _base.empty()
    program = _program(said, question.options.get("entry_point"))
    if program is None:
        return _base.unparsable("no Python program in the answer")
    checks = tests if isinstance(tests, str) else "\n".join(tests)
    try:
        outcome = sandbox.run(f"{program}\n\n{checks}\n", limits=_limits(question))
    except UsageError as err:
        return Verdict(None, "unavailable", str(err), program, {})
    return _verdict(program, outcome)


def pass_at_k(n: int, c: int, k: int) -> float | None:
    """Return the chance that one of k answers passes, when c of n did; None for n < k.

    1 - C(n - c, k) / C(n, k), the unbiased estimate (Chen et al. 2021, arXiv 2107.03374, eq. 1).
    """
    return 1 - math.comb(n - c, k) / math.comb(n, k) if n >= k else None


def _verdict(program: str, outcome: sandbox.Outcome) -> Verdict:
    return _base.scored(
        outcome.state == "finished",
        program,
        f"{outcome.state}: {outcome.message}",
        happened=outcome.state,
        message=outcome.message,
        output=outcome.output[:_MOST_OUTPUT],
        runtime_ms=outcome.runtime_ms,
    )


def _limits(question: Question) -> sandbox.Limits:
    wall_s = _base.figure(question, "timeout_s") or 10
    memory_mb = _base.figure(question, "memory_mb") or 512
    return sandbox.Limits(wall_s=wall_s, cpu_s=math.ceil(wall_s), memory_mb=int(memory_mb))


def _program(said: str, entry_point: str | None) -> str | None:
    """Return the program in a text, None if there is none that Python can read."""
    blocks = [(tag.lower(), textwrap.dedent(body)) for _, tag, body in _FENCE.findall(said)]
    tagged = [body for tag, body in blocks if tag in _PYTHON]
    found = tagged or [body for tag, body in blocks if not tag] or ([] if blocks else [said])
    readable = [body for body in found if _is_program(body)]
    defining = [body for body in readable if entry_point and _defines(body, entry_point)]
    return next(reversed(defining or readable), None)


def _is_program(text: str) -> bool:
    """Return whether a text has statements: a lone word is an expression, and no program."""
    return any(not isinstance(node, ast.Expr) for node in _statements(text))


def _defines(text: str, name: str) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) and node.name == name for node in _statements(text))


def _statements(text: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
