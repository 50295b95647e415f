"""The program in the answer passes the option `tests`, in the sandbox.

The program is the last fenced block of Python (with the option `entry_point` the last that defines
it), or the whole answer if that is a program. What it or its tests use and it does not define is
taken from the answer's other blocks, and the option `preamble` stands before all. A block that
Python cannot read counts where no other does, and is wrong.

`tests` are Python statements, or a list of them; it is right if the last one was reached, each
assertion held. They run in a process of their own and call the program, which never learns what is
expected of it and has no say in the verdict. Tests that derive from its classes, replace parts of
it, or read what it prints share its process, as do those whose option `isolated` is false; the
details tell. Program and tests have Python's standard library, one process and one thread each, and
no file, network or input; the limits are the options `timeout_s` (10) and `memory_mb` (512).
"""

from __future__ import annotations

import ast
import builtins
import math
import re
import symtable
import textwrap
import warnings
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import sandbox
from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.scorers import _base, _text
from pytest_llamaburn.scorers._base import Score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.scorers._base import Question

NEEDS = ("tests",)
ADVICE = "Ask for one block of Python between ``` marks"

_FENCE = re.compile(
    r"^[ \t]*(```+|~~~+)[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL
)
_PYTHON = ("python", "py", "python3")
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
_REACHING_IN = {
    *("answer", "builtins", "gc", "importlib", "inspect", "io", "mock", "sys", "unittest.mock"),
    *("redirect_stdout", "redirect_stderr", "StringIO", "patch"),
}
_MOST_OUTPUT = 2000  # characters kept in the details


def score(answer: str, question: Question) -> Score:
    """Return whether it passes; details: what happened, the message, output and runtime_ms.

    The state is `unavailable` where the platform has no sandbox. Raises DatasetError without tests.
    """
    tests = _base.needed(question, "tests")
    said = _text.spoken(answer)
    if not said:
        return _base.empty()
    entry_point = question.options.get("entry_point")
    blocks = _blocks(said, entry_point)
    program = _chosen(blocks, entry_point)
    if program is None:
        return _base.unparsable("no Python program in the answer")
    if fault := _fault(program):
        return _score(program, sandbox.Outcome("exception", fault, "", None))
    checks, preamble = _checks(tests), question.options.get("preamble", "")
    program = _joined(program, blocks, checks, preamble)
    isolated = question.options.get("isolated", not _shares(checks, preamble))
    apart = _tests(program, checks, preamble, entry_point) if isolated else None
    text = program if apart else f"{program}\n\n{checks}\n"
    try:
        outcome = sandbox.run(text, tests=apart, limits=_limits(question))
    except UsageError as err:
        return Score(None, "unavailable", str(err), program, {})
    verdict = _score(program, outcome)
    return verdict._replace(details={**verdict.details, "isolated": bool(isolated)})


def ready() -> None:
    """Raise UsageError where this machine cannot contain a program."""
    sandbox.limits_of_platform()


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of tests and a preamble that are no Python, and of limits."""
    tests, preamble = question.options["tests"], question.options.get("preamble", "")
    for name, text in (("tests", _checks(tests)), ("preamble", preamble)):
        if not isinstance(text, str):
            yield name, "is no text"
        elif fault := _fault(text):
            yield name, f"is no Python: {fault}"
    yield from _base.bad_figures(question, "timeout_s", "memory_mb")
    if not isinstance(question.options.get("isolated", True), bool):
        yield "isolated", "is neither true nor false"


def pass_at_k(n: int, c: int, k: int) -> float | None:
    """Return the chance that one of k answers passes, when c of n did; None for n < k.

    1 - C(n - c, k) / C(n, k), the unbiased estimate (Chen et al. 2021, arXiv 2107.03374, eq. 1).
    """
    return 1 - math.comb(n - c, k) / math.comb(n, k) if n >= k else None


def _checks(tests: Any) -> Any:
    """Return tests as one text; what is neither a text nor a list of texts, as it is."""
    texts = isinstance(tests, list) and all(isinstance(one, str) for one in tests)
    return "\n".join(tests) if texts else tests


def _shares(checks: str, preamble: str) -> bool:
    """Return whether tests can only run in the process of the program; it has no say in that."""
    tree = ast.walk(ast.Module(_statements(checks), []))
    own = _free(checks) - _own(preamble) - set(dir(builtins))
    return any(
        (isinstance(node, ast.Import | ast.ImportFrom) and _imported(node) & _REACHING_IN)
        or (isinstance(node, ast.ClassDef) and _names(node.bases) & own)
        or (isinstance(node, ast.Assign | ast.AugAssign) and _attribute_of(node, own))
        for node in tree
    )


def _free(text: str) -> set[str]:
    """Return the names that a text uses and binds nowhere."""
    symbols = list(_symbols(_table(text)))
    bound = (s for s in symbols if s.is_assigned() or s.is_imported() or s.is_parameter())
    return {s.get_name() for s in symbols if s.is_referenced()} - {s.get_name() for s in bound}


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    return {getattr(node, "module", None) or "", *(one.name for one in node.names)}


def _names(nodes: Sequence[ast.expr]) -> set[str]:
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def _attribute_of(node: ast.Assign | ast.AugAssign, own: set[str]) -> bool:
    """Return whether a statement sets something within what the program defines."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    within = [t.value for t in targets if isinstance(t, ast.Attribute | ast.Subscript)]
    return bool(_names(within) & own)


def _tests(program: str, checks: str, preamble: str, entry_point: str | None) -> sandbox.Tests:
    """Return tests to run apart, with the names that they take from the program.

    A program may reuse the name of a built-in function, or of a helper that the preamble has. Tests
    take it only if that is what they test.
    """
    given, own = _own(preamble), _own_beyond(program, preamble)
    used = {s.get_name() for s in _symbols(_table(checks)) if s.is_referenced()}
    wanted = (used & own) or (used - given)
    trusted = given | set(dir(builtins))
    if wanted - trusted or entry_point in wanted:
        wanted -= trusted - {entry_point}
    classes = (node for node in _statements(preamble) if isinstance(node, ast.ClassDef))
    lines = "\n" * (program.count("\n") + 2)  # that tracebacks count lines as if it were one text
    return sandbox.Tests(
        f"{lines}{checks}\n",
        preamble,
        tuple(sorted(wanted)),
        tuple(node.name for node in classes),
    )


def _own_beyond(program: str, preamble: str) -> set[str]:
    """Return the names that a program binds by statements that are not its preamble's."""
    if not preamble:
        return _own(program)
    common = {ast.dump(node) for node in _statements(preamble)}
    beyond = [node for node in _statements(program) if ast.dump(node) not in common]
    return _own(ast.unparse(ast.Module(beyond, [])))


def _score(program: str, outcome: sandbox.Outcome) -> Score:
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


def _blocks(said: str, entry_point: str | None) -> list[str]:
    """Return the blocks of a text that are programs, or were to be ones."""
    blocks = [(tag.lower(), textwrap.dedent(body)) for _, tag, body in _FENCE.findall(said)]
    tagged = [body for tag, body in blocks if tag in _PYTHON]
    if tagged:
        return [body for body in tagged if _is_program(body) or _fault(body)]
    if not blocks:
        return [said] if _is_program(said) else []
    untagged = [body for tag, body in blocks if not tag]
    return [body for body in untagged if _is_program(body) or _begins(body, entry_point)]


def _chosen(blocks: Sequence[str], entry_point: str | None) -> str | None:
    """Return the block to run, None without any."""
    readable = [block for block in blocks if not _fault(block)]
    defining = [block for block in readable if entry_point in _defined(block)]
    begun = [block for block in blocks if block not in readable and _begins(block, entry_point)]
    return next(reversed(defining or begun or readable or blocks), None)


def _joined(program: str, blocks: Sequence[str], checks: str, preamble: str) -> str:
    """Return a program after its preamble and what it and its tests lack of other blocks."""
    others = [piece for block in blocks if block != program for piece in _pieces(block)]
    taken: list[str] = []
    while more := _lacking([preamble, *taken, program, checks], others):
        taken = [*more, *taken]
        others = [piece for piece in others if piece not in more]
    if not (taken or preamble):
        return program
    pieces = [*_pieces(preamble), *taken, *_pieces(program)]
    future = "from __future__"  # which Python wants first
    return "\n".join(sorted(pieces, key=lambda piece: not piece.startswith(future)))


def _lacking(parts: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return those of other statements that define a name that parts of a program only use."""
    own = {name for part in parts for name in _own(part)}
    used = {s.get_name() for part in parts for s in _symbols(_table(part)) if s.is_global()}
    return [piece for piece in others if (used - own) & _own(piece)]


def _is_program(text: str) -> bool:
    """Return whether a text has statements: a lone word is an expression, and no program."""
    return any(not isinstance(node, ast.Expr) for node in _statements(text))


def _begins(text: str, name: str | None) -> bool:
    """Return whether a text, which may be no Python, sets out to define a name."""
    begins = rf"^[ \t]*(?:(?:(?:async +)?def|class) +{name}\b|{name} *=(?!=))"
    return name is not None and re.search(begins, text, re.MULTILINE) is not None


def _defined(text: str) -> set[str]:
    """Return the names that a text binds, those it imports left out."""
    return {symbol.get_name() for symbol in _top(text) if symbol.is_assigned()}


def _own(text: str) -> set[str]:
    return {s.get_name() for s in _top(text) if s.is_assigned() or s.is_imported()}


def _top(text: str) -> list[symtable.Symbol]:
    table = _table(text)
    return table.get_symbols() if table else []


def _symbols(table: symtable.SymbolTable | None) -> Iterator[symtable.Symbol]:
    """Yield the symbols of a text and of all functions and classes in it."""
    if table is not None:
        yield from table.get_symbols()
        for child in table.get_children():
            yield from _symbols(child)


def _table(text: str) -> symtable.SymbolTable | None:
    try:
        with warnings.catch_warnings(action="ignore"):
            return symtable.symtable(text, "answer", "exec")
    except _UNREADABLE:
        return None


def _fault(text: str) -> str:
    """Return why Python cannot read a text, nothing if it can."""
    try:
        _parsed(text)
    except _UNREADABLE as err:
        return f"{type(err).__name__}: {err}"
    return ""


def _pieces(text: str) -> list[str]:
    """Return the source of each statement of a text, its decorators with it."""
    found = _statements(text)
    for node in found:
        node.lineno = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return [ast.get_source_segment(text, node) or "" for node in found]


def _statements(text: str) -> list[ast.stmt]:
    return [] if _fault(text) else _parsed(text)


def _parsed(text: str) -> list[ast.stmt]:
    with warnings.catch_warnings(action="ignore"):
        return ast.parse(text, "answer").body
