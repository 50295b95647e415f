"""Which program an answer has, and how its tests end."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.containment import contained
from support.questions import Asked

from pytest_llamaburn import sandbox
from pytest_llamaburn.scorers import (
    code,
)

TESTS = {"tests": ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"], "timeout_s": 5}


ADD = "def add(a, b):\n    return a + b\n"


@contained
@pytest.mark.parametrize(
    "answer",
    [
        ADD,
        f"Sure!\n\n```python\n{ADD}```\nThis adds.",
        f"```py\n{ADD}```",
        f"```\n{ADD}```",
        f"~~~python\n{ADD}~~~",
        f"<think>```python\ndef add(): 1\n```</think>\n```python\n{ADD}```",
        f"First:\n```python\ndef add(a, b): return 0\n```\nBetter:\n```python\n{ADD}```",
        "1. Like so:\n    ```python\n    def add(a, b):\n        return a + b\n    ```",
        f"```python\n{ADD}```\nOutput:\n```\n3\n```\n```text\nadd = 1\n```",
        f"```python\n{ADD}",
        f"```python\n{ADD}\nif __name__ == '__main__':\n    print(add(*input()))\n```",
        "```python\nadd = lambda a, b: a + b  # '\\d'\n```",
        "```python\nfrom __future__ import annotations\nadd: X = lambda a, b: a + b\n```",
    ],
)
def test_program_that_passes_is_right(answer: str) -> None:
    verdict = code.score(answer, Asked(options=TESTS))
    assert verdict[:3] == (True, "scored", "")
    assert verdict.details["happened"] == "finished"
    assert verdict.details["runtime_ms"] > 0


@contained
@pytest.mark.parametrize(
    ("program", "happened"),
    [
        ("def add(a, b): return 3", "assertion"),
        ("def sub(a, b): return 3", "exception"),
        ("def add(a, b): return 1 / 0", "exception"),
        ("def add(a, b): raise SystemExit(0)", "exit"),
        ("import os\nos._exit(0)", "exit"),
        ("def add(a, b): return bytearray(1 << 40)", "memory"),
        ("def add(a, b): return open('/etc/passwd').read()", "exception"),
        ("while True: print('x' * 999)", "output"),
    ],
)
def test_program_that_fails_is_wrong(program: str, happened: str) -> None:
    verdict = code.score(f"```python\n{program}\n```", Asked(options=TESTS))
    assert verdict[:2] == (False, "scored")
    assert verdict.details["happened"] == happened
    assert verdict.reason.startswith(f"{happened}: ")


@contained
def test_program_out_of_time_is_wrong() -> None:
    options = {"tests": "", "timeout_s": 0.5, "memory_mb": 256}
    verdict = code.score("while True: pass", Asked(options=options))
    assert verdict.details["happened"] == "timeout"
    assert verdict.details["runtime_ms"] is None


@contained
def test_failed_assertion_is_quoted() -> None:
    verdict = code.score("def add(a, b): return 3", Asked(options=TESTS))
    assert verdict.reason.endswith("(line 4: assert add(-1, 1) == 0)")


@contained
def test_block_with_the_entry_point_is_the_program() -> None:
    answer = f"```python\n{ADD}```\nUse it:\n```python\nfrom answers import add\nadd(1, 2)\n```"
    assert not code.score(answer, Asked(options=TESTS)).correct
    assert code.score(answer, Asked(options={**TESTS, "entry_point": "add"})).correct
    asked = Asked(options={"tests": "assert Add", "entry_point": "Add"})
    assert code.score("```\nclass Add: pass\n```\n```\nx = 1\n```", asked).correct


@pytest.mark.parametrize(
    "answer",
    [
        "Sorry",
        "I cannot do that.",
        "```\ndef add(a, b:\n```",
        "```rust\nfn add() {}\n```",
        "```\n3\n```",
        "x = " + "(" * 5000,
        "\0",
    ],
)
def test_text_without_a_program_is_unparsable(answer: str) -> None:
    verdict = code.score(answer, Asked(options=TESTS))
    assert verdict[:3] == (False, "unparsable", "no Python program in the answer")


@pytest.mark.parametrize(
    "answer",
    [
        "```python\ndef add(a, b:\n```",
        "```python\ndef add(a, b):\nreturn a + b\n```",
        "```\ndef add(a, b:\n```",
        "```\nadd = lambda a, b -> a + b\n```",
        "```python\nx = 1\n```\n```python\ndef add(a, b:\n```",
        "```python\n\0\n```",
    ],
)
def test_program_that_python_cannot_read_is_wrong(answer: str) -> None:
    verdict = code.score(answer, Asked(options={**TESTS, "entry_point": "add"}))
    assert verdict[:2] == (False, "scored")
    assert re.match(r"exception: (Syntax|Indentation|Value)Error: ", verdict.reason)


@contained
@pytest.mark.parametrize("draft", ["def add(a, b) -> int", "add(1, 2)\n>>> 3"])
def test_block_that_python_can_read_is_preferred(draft: str) -> None:
    answer = f"```python\n{ADD}```\nThat is:\n```python\n{draft}\n```"
    assert code.score(answer, Asked(options={**TESTS, "entry_point": "add"})).correct


@contained
@pytest.mark.parametrize("entry_point", ["add", None])
@pytest.mark.parametrize(
    "blocks",
    [
        ("import math", "def add(a, b):\n    return math.floor(a + b)"),
        ("def add(a, b):\n    return plus(a, b)", "def plus(a, b):\n    return a + b"),
        ("add = lambda a, b: a + b", "assert add(1, 2) == 3"),
        (ADD, "result = add(1, 2)\nassert result == 3"),
        (
            "from functools import cache\nZERO = 0",
            "@cache\ndef plus(a, b):\n    return a + b + ZERO",
            "from __future__ import annotations\ndef add(a: X, b: X):\n    return plus(a, b)",
        ),
    ],
)
def test_program_has_what_it_uses_of_other_blocks(
    blocks: tuple[str, ...], entry_point: str | None
) -> None:
    answer = "\n".join(f"```python\n{block}\n```" for block in blocks)
    options = {**TESTS, "entry_point": entry_point}
    assert code.score(answer, Asked(options=options))[:3] == (True, "scored", "")


@contained
def test_example_beside_the_program_is_not_run() -> None:
    answer = f"```python\n{ADD}```\n```python\nx = add(1)\nassert add(1, 1) == 3\n```"
    assert code.score(answer, Asked(options={**TESTS, "entry_point": "add"})).correct


@contained
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_preamble_is_there_for_program_and_tests(future: str) -> None:
    preamble = "from math import *\n\ndef twice(x):\n    return 2 * x\n"
    options = {"preamble": preamble, "entry_point": "f", "tests": ["assert f(2) == twice(1)"]}
    answer = f"```python\n{future}def f(x):\n    return floor(twice(x) / 2)\n```"
    assert code.score(answer, Asked(options=options))[:3] == (True, "scored", "")


@given(st.text(alphabet="adef():=1\n `@,.'\\\0"))
def test_any_answer_has_a_program_or_none(text: str) -> None:
    blocks = code._blocks(f"```python\n{text}\n```", "f")
    program = code._chosen(blocks, "f")
    assert (program is None) is not bool(blocks)
    if program is not None:
        assert code._joined(program, blocks, "assert f()", "")


def test_code_is_unavailable_without_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox._filter, "MACHINES", ())
    verdict = code.score(ADD, Asked(options=TESTS))
    assert verdict[:2] == (None, "unavailable")
    assert verdict.reason.startswith("generated code cannot be run safely on this machine")


@given(st.integers(0, 8), st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_pass(n: int, data: st.DataObject) -> None:
    passed = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, 9))
    draws = [any(one < passed for one in draw) for draw in combinations(range(n), k)]
    wanted = sum(draws) / len(draws) if draws else None
    assert code.pass_at_k(n, passed, k) == (None if wanted is None else pytest.approx(wanted))
