"""The program in the answer passes the option `tests`, or the `cases`, in the sandbox.

With `cases` it is a whole program in `language` (python, javascript or c) that prints the `output`
of each case for its `input` (`_programs`). With `tests` it is a part of one in Python.

That program is the last code block of Python (with the option `entry_point` the last one that
defines it), or the whole answer if it is a program. Names that the program or its tests use and do
not define are taken from other blocks of the answer; the option `preamble` comes before everything.
A block that Python cannot read is used only if there is no other, and is wrong.

`tests` are Python statements, or a list of them. The program is right if the last statement was
reached and no assertion failed. Tests run in a process of their own and call the program, so that
it cannot read the expected values or change the score. Program and tests have Python's standard
library, one process and one thread each, and no files and no network. The program reads what the
tests give it as input. The limits are the options `timeout_s` (10) and `memory_mb` (512).
"""

from __future__ import annotations

import ast
import builtins
import math
import re
import symtable
import sys
import textwrap
import warnings
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import sandbox
from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.scorers import _base, _programs, _text
from pytest_llamaburn.scorers._base import Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_llamaburn.scorers._base import Question

NEEDS = ()  # either tests or cases
ADVICE = "Ask for one block of the language between ``` marks"
MEASURED = {  # by the detail that has it
    "runtime_ms": "program_runtime_ms",
    "peak_memory_mb": "program_peak_memory_mb",
}

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
_STREAMS = {"builtins.input", "sys.stdin", "sys.stdout", "sys.stderr"}  # that tests may replace
_SOURCE = {"getsource", "getsourcelines", "getsourcefile", "__code__", "__globals__"}
_CHANGING = {  # methods that change plain data in place
    *("append", "appendleft", "extend", "insert", "remove", "pop", "popitem", "popleft", "clear"),
    *("sort", "reverse", "add", "discard", "update", "setdefault"),
}
_OUT_OF_REACH = (
    "of the program's process, but they run in another one, so that no program can fake a pass: "
    "test what it returns, prints or raises"
)
_NOT_ISOLATED = "but a program can fake a pass in one process with its tests: leave the option out"
_MOST_OUTPUT = 2000  # characters kept in the details


def score(answer: str, question: Question) -> Score:
    """Return whether the program passes; details: what happened, message, output, runtime_ms.

    The state is `unavailable` if the platform has no sandbox. Raises DatasetError without tests.
    """
    cases = question.options.get("cases")
    tests = None if cases else _base.needed(question, "tests")
    said = _text.spoken(answer)
    if not said:
        return _base.empty()
    if cases:
        return _whole(said, cases, question)
    entry_point = question.options.get("entry_point")
    blocks = _blocks(said, entry_point)
    program = _chosen(blocks, entry_point)
    if program is None:
        return _base.unparsable("no Python program in the answer")
    if fault := _fault(program):
        return _score(program, sandbox.Outcome("exception", fault, "", None))
    checks, preamble = _checks(tests), question.options.get("preamble", "")
    program = _joined(program, blocks, checks, preamble)
    apart = _tests(program, checks, preamble, entry_point)
    try:
        outcome = sandbox.run(program, tests=apart, limits=_limits(question))
    except UsageError as err:
        return Score(None, "unavailable", str(err), program, {})
    return _score(program, outcome)


def _whole(said: str, cases: list[dict[str, str]], question: Question) -> Score:
    """Return whether a whole program prints what the cases expect."""
    asked, program = _programs.language(question), _program(said, question)
    if program is None:
        other, name = _programs.other_language(said, asked), sandbox.LANGUAGES[asked]
        why = f": its program is in {other}" if other else ""
        return _base.unparsable(f"no {name} program in the answer{why}")
    try:
        outcome, passed = _programs.run(program, asked, cases, _limits(question))
    except UsageError as err:
        return Score(None, "unavailable", str(err), program, {})
    found = _score(program, outcome)
    found.details.update(language=asked, cases=len(cases), passed=passed)
    return found


def _program(said: str, question: Question) -> str | None:
    """Return the whole program of an answer; None if there is none."""
    asked = _programs.language(question)
    program = _programs.chosen(said, asked)
    if asked != "python" or program is None:
        return program
    if _fault(program):
        return None if program == said else program
    return _joined(program, _blocks(said, None), "", "")


def ready() -> None:
    """Raise UsageError if this machine has no sandbox."""
    sandbox.limits_of_platform()


def ready_for(questions: Iterable[Question]) -> None:
    """Raise UsageError if this machine lacks what runs the languages of questions."""
    for name in sorted({_programs.language(one) for one in questions} - {"python"}):
        sandbox.ready(name)


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of invalid tests, preamble and limits."""
    wrong = [*_programs.faults(question)]
    yield from wrong
    if wrong or question.options.get("cases"):
        yield from _base.bad_figures(question, "timeout_s", "memory_mb")
        return
    tests, preamble = question.options["tests"], question.options.get("preamble", "")
    for name, text in (("tests", _checks(tests)), ("preamble", preamble)):
        if not isinstance(text, str):
            yield name, "is not a text"
        elif fault := _fault(text):
            yield name, f"is not Python: {fault}"
    for part in filter(None, map(_out_of_reach, _nodes(_checks(tests)))):
        yield "tests", f"use {part} {_OUT_OF_REACH}"
    yield from _base.bad_figures(question, "timeout_s", "memory_mb")
    if question.options.get("isolated", True) is not True:
        yield "isolated", f"is not true, {_NOT_ISOLATED}"


def pass_at_k(n: int, c: int, k: int) -> float | None:
    """Return the probability that one of k answers passes if c of n did; None for n < k.

    1 - C(n - c, k) / C(n, k), the unbiased estimate (Chen et al. 2021, arXiv 2107.03374, eq. 1).
    """
    return 1 - math.comb(n - c, k) / math.comb(n, k) if n >= k else None


def _checks(tests: Any) -> Any:
    """Return tests as one text; any other value than a text or a list of texts as it is."""
    texts = isinstance(tests, list) and all(isinstance(one, str) for one in tests)
    return "\n".join(tests) if texts else tests


def _out_of_reach(node: ast.AST) -> str:
    """Return what tests use of the program's process that they cannot reach; empty if nothing."""
    if isinstance(node, ast.Attribute) and node.attr in _SOURCE:
        return node.attr
    if isinstance(node, ast.ImportFrom):
        return next((one.name for one in node.names if one.name in _SOURCE), "")
    owners = sys.stdlib_module_names | {"answer"}
    replaced = (n for n in _replaced(node) if n.partition(".")[0] in owners and n not in _STREAMS)
    return next(replaced, "")


def _replaced(node: ast.AST) -> list[str]:
    """Return the attributes of modules that a statement or a call of `patch` replaces."""
    if isinstance(node, ast.Assign):
        parts = [t.value if isinstance(t, ast.Subscript) else t for t in node.targets]
        return [".".join(_dotted(one)) for one in parts if isinstance(one, ast.Attribute)]
    if not isinstance(node, ast.Call) or "patch" not in (called := _dotted(node.func)):
        return []
    given = [str(one.value) if isinstance(one, ast.Constant) else "" for one in node.args]
    if called[-1] == "object" and len(given) > 1:
        return [".".join([*_dotted(node.args[0]), given[1]])]
    return given[:1]


def _dotted(node: ast.AST) -> list[str]:
    """Return the parts of a name with attributes."""
    if isinstance(node, ast.Attribute):
        return [*_dotted(node.value), node.attr]
    return [node.id] if isinstance(node, ast.Name) else []


def _changed_in_place(checks: str) -> Iterator[str]:
    """Yield the names whose data tests change without binding the names anew."""
    for node in _nodes(checks):
        stored = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
        if stored or (isinstance(node, ast.Attribute) and node.attr in _CHANGING):
            yield from _names([node.value])  # type: ignore[attr-defined]


def _nodes(text: object) -> Iterator[ast.AST]:
    return ast.walk(ast.Module(_statements(text), [])) if isinstance(text, str) else iter(())


def _names(nodes: Sequence[ast.expr]) -> set[str]:
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def _tests(program: str, checks: str, preamble: str, entry_point: str | None) -> sandbox.Tests:
    """Return tests for a process of their own, with the names that they take from the program.

    A program may redefine a built-in function, or a helper of the preamble. Tests take such a name
    only if it is what they test.
    """
    given, own = _own(preamble), _own_beyond(program, preamble)
    used = _used(checks)
    wanted = (used & own) or (used - given)
    trusted = given | set(dir(builtins))
    if wanted - trusted or entry_point in wanted:
        wanted -= trusted - {entry_point}
    held = wanted & {*_changed_in_place(checks)}
    live = wanted - held - _bound(checks)
    classes = (node for node in _statements(preamble) if isinstance(node, ast.ClassDef))
    lines = "\n" * (program.count("\n") + 2)  # tracebacks count lines as in one text
    return sandbox.Tests(
        f"{lines}{checks}\n",
        preamble,
        wanted=tuple(sorted(wanted)),
        held=tuple(sorted(held)),
        live=tuple(sorted(live)),
        common=tuple(node.name for node in classes),
    )


def _used(text: str) -> set[str]:
    """Return the names that a text uses, those of `import answer` included."""
    attributes = (_dotted(node) for node in _nodes(text) if isinstance(node, ast.Attribute))
    names = {parts[1] for parts in attributes if parts[0:1] == ["answer"]}
    return names | {s.get_name() for s in _symbols(_table(text)) if s.is_referenced()}


def _bound(text: str) -> set[str]:
    return {s.get_name() for s in _symbols(_table(text)) if s.is_assigned() or s.is_imported()}


def _own_beyond(program: str, preamble: str) -> set[str]:
    """Return the names that a program binds with statements that are not in the preamble."""
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
        peak_memory_mb=outcome.peak_memory_mb,
        null_reasons={"program_peak_memory_mb": why} if (why := outcome.memory_reason) else {},
    )


def _limits(question: Question) -> sandbox.Limits:
    wall_s = _base.figure(question, "timeout_s") or 10
    memory_mb = _base.figure(question, "memory_mb") or 512
    return sandbox.Limits(wall_s=wall_s, cpu_s=math.ceil(wall_s), memory_mb=int(memory_mb))


def _blocks(said: str, entry_point: str | None) -> list[str]:
    """Return the blocks of a text that are programs, or were meant to be."""
    fenced = _text.fenced(said)
    blocks = [(tag.partition(".")[0], textwrap.dedent(body)) for tag, body in fenced]
    tagged = [body for tag, body in blocks if tag in _programs.TAGS["python"]]
    if tagged:
        return [body for body in tagged if _is_program(body) or _fault(body)]
    if not blocks:
        return [said] if _is_program(said) else []
    untagged = [body for tag, body in blocks if not tag]
    return [body for body in untagged if _is_program(body) or _begins(body, entry_point)]


def _chosen(blocks: Sequence[str], entry_point: str | None) -> str | None:
    """Return the block to run; None if there is none."""
    readable = [block for block in blocks if not _fault(block)]
    defining = [block for block in readable if entry_point in _defined(block)]
    begun = [block for block in blocks if block not in readable and _begins(block, entry_point)]
    return next(reversed(defining or begun or readable or blocks), None)


def _joined(program: str, blocks: Sequence[str], checks: str, preamble: str) -> str:
    """Return a program after its preamble and what it and its tests need of other blocks."""
    others = [piece for block in blocks if block != program for piece in _pieces(block)]
    taken: list[str] = []
    while more := _lacking([preamble, *taken, program, checks], others):
        taken = [*more, *taken]
        others = [piece for piece in others if piece not in more]
    if not (taken or preamble):
        return program
    pieces = [*_pieces(preamble), *taken, *_pieces(program)]
    future = "from __future__"  # must come first
    return "\n".join(sorted(pieces, key=lambda piece: not piece.startswith(future)))


def _lacking(parts: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the other statements that define a name that the parts use but do not define."""
    own = {name for part in parts for name in _own(part)}
    used = {s.get_name() for part in parts for s in _symbols(_table(part)) if s.is_global()}
    return [piece for piece in others if (used - own) & _own(piece)]


def _is_program(text: str) -> bool:
    """Return whether a text has statements; a single word is an expression, not a program."""
    return any(not isinstance(node, ast.Expr) for node in _statements(text))


def _begins(text: str, name: str | None) -> bool:
    """Return whether a text begins to define a name; it need not be valid Python."""
    begins = rf"^[ \t]*(?:(?:(?:async +)?def|class) +{name}\b|{name} *=(?!=))"
    return name is not None and re.search(begins, text, re.MULTILINE) is not None


def _defined(text: str) -> set[str]:
    """Return the names that a text binds, except imports."""
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
    """Return why Python cannot read a text; empty if it can."""
    try:
        _parsed(text)
    except _UNREADABLE as err:
        return f"{type(err).__name__}: {err}"
    return ""


def _pieces(text: str) -> list[str]:
    """Return the source of each statement of a text, with its decorators."""
    found = _statements(text)
    for node in found:
        node.lineno = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return [ast.get_source_segment(text, node) or "" for node in found]


def _statements(text: str) -> list[ast.stmt]:
    return [] if _fault(text) else _parsed(text)


def _parsed(text: str) -> list[ast.stmt]:
    with warnings.catch_warnings(action="ignore"):
        return ast.parse(text, "answer").body
