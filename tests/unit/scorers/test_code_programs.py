"""Whole programs as answers: which block counts, what is compared, what no trick can forge."""
# ruff: noqa: E501 - programs, a case a line

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.containment import contained, needs
from support.questions import Asked

from pytest_llamaburn import sandbox
from pytest_llamaburn.scorers import code

CASES = [{"input": "1 2\n", "output": "3\n"}, {"input": "-4 4\n", "output": "0\n"}]
RIGHT = {
    "python": "a, b = map(int, input().split())\nprint(a + b)",
    "javascript": "const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number);\nconsole.log(a + b);",
    "c": '#include <stdio.h>\nint main(void) { int a, b; scanf("%d %d", &a, &b); printf("%d\\n", a + b); return 0; }',
}
WRONG = {name: program.replace("a + b", "a - b") for name, program in RIGHT.items()}
LANGUAGES = [
    "python",
    pytest.param("javascript", marks=needs("javascript")),
    pytest.param("c", marks=needs("c")),
]
FORGED = '{"state": "finished", "message": "", "runtime_ms": 1.0}\n'


def asked(language: str, **options: Any) -> Asked:
    return Asked(options={"language": language, "cases": CASES, "timeout_s": 10, **options})


def answer(program: str, tag: str) -> str:
    return f"Here it is:\n```{tag}\n{program}\n```\nIt prints:\n```\n3\n```\n"


@contained
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_that_prints_what_the_cases_expect_is_right(language: str) -> None:
    found = code.score(answer(RIGHT[language], language), asked(language))
    assert (found.correct, found.state, found.reason) == (True, "scored", "")
    details = found.details
    assert (details["language"], details["cases"], details["passed"]) == (language, 2, 2)
    assert details["runtime_ms"] > 0
    assert details["peak_memory_mb"] > 0.5


@contained
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_that_prints_something_else_is_wrong(language: str) -> None:
    found = code.score(answer(WRONG[language], language), asked(language))
    assert (found.correct, found.state) == (False, "scored")
    assert found.reason == "assertion: case 1: line 1 is '-1', not '3'"
    assert (found.details["passed"], found.details["runtime_ms"]) == (0, None)


@pytest.mark.parametrize("wanted", sandbox.LANGUAGES)
@pytest.mark.parametrize("given", sandbox.LANGUAGES)
def test_an_answer_in_another_language_is_wrong(wanted: str, given: str) -> None:
    if wanted == given:
        return
    found = code.score(answer(RIGHT[given], given), asked(wanted))
    names = sandbox.LANGUAGES
    assert (found.correct, found.state) == (False, "unparsable")
    assert (
        found.reason
        == f"no {names[wanted]} program in the answer: its program is in {names[given]}"
    )


@contained
@needs("javascript")
@needs("c")
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("javascript", f"```js\n{RIGHT['javascript']}\n```"),
        ("javascript", f"```\n{RIGHT['javascript']}\n```"),
        ("javascript", RIGHT["javascript"]),
        (
            "javascript",
            f"<think>```js\nconsole.log(0)\n```</think>\n```js\n{RIGHT['javascript']}\n```",
        ),
        ("javascript", f"```js\nconsole.log(0);\n```\nBetter:\n```js\n{RIGHT['javascript']}\n```"),
        ("javascript", f"```js\n{RIGHT['javascript']}\n```\nNo packages:\n```js\nlet unused;\n```"),
        ("javascript", f"```js\n{RIGHT['javascript']}\n```\nRun it:\n```bash\nnode a.js\n```"),
        ("c", RIGHT["c"]),
        ("c", f"```C\n{RIGHT['c']}\n```\n```\n3\n```"),
        ("c", f"```c\n{RIGHT['c']}\n```\nIts heart:\n```c\na + b;\n```"),
        ("python", RIGHT["python"]),
        ("python", "```python\nprint(sum(map(int, input().split())))\n```"),
        ("python", "```python\nprint(sum(map(int, input().split())))\n```\n```python\nsum\n```"),
        (
            "python",
            "```py\ndef add(a, b): return a + b\n```\n```py\na, b = map(int, input().split())\nprint(add(a, b))\n```",
        ),
    ],
)
def test_the_program_is_found(language: str, text: str) -> None:
    assert code.score(text, asked(language)).correct is True


@pytest.mark.parametrize("language", sandbox.LANGUAGES)
@pytest.mark.parametrize(
    "text", ["I cannot do that.", "I cannot print (that).", "```\n3\n```", "```bash\nls\n```"]
)
def test_text_without_a_program_is_unparsable(language: str, text: str) -> None:
    found = code.score(text, asked(language))
    assert (found.correct, found.state) == (False, "unparsable")
    assert found.reason == f"no {sandbox.LANGUAGES[language]} program in the answer"


@contained
@needs("c")
@pytest.mark.parametrize(
    ("printed", "expected", "fault"),
    [
        ("a\\nb", "a\nb\n", ""),
        ("a  \\nb\\n\\n", "a\nb", ""),
        ("a b", "a  b", "line 1 is 'a b', not 'a  b'"),
        (" a", "a", "line 1 is ' a', not 'a'"),
        ("a\\nb", "a", "it printed 2 lines, not 1"),
        ("", "a", "it printed 0 lines, not 1"),
        ("A", "a", "line 1 is 'A', not 'a'"),
    ],
)
def test_outputs_are_the_same_but_for_spaces_at_ends(
    printed: str, expected: str, fault: str
) -> None:
    program = f'#include <stdio.h>\nint main(void) {{ printf("{printed}"); }}'
    cases = [{"input": "", "output": expected}]
    found = code.score(answer(program, "c"), asked("c", cases=cases))
    assert found.correct is (not fault)
    assert found.details["message"] == (f"case 1: {fault}" if fault else "")


TRICKS = {
    "it exits before": ("c", "int main(void) { return 0; }"),
    "it exits before main": (
        "c",
        "#include <unistd.h>\n__attribute__((constructor)) static void f(void) { _exit(0); }\nint main(void) { return 1; }",
    ),
    "every descriptor gets a report in C": (
        "c",
        f"#include <unistd.h>\n#include <string.h>\nint main(void) {{ const char *t = {json.dumps(FORGED)}; for (int n = 3; n < 999; n++) write(n, t, strlen(t)); }}",
    ),
    "the right answer is a complaint": (
        "c",
        '#include <stdio.h>\nint main(void) { fputs("3\\n", stderr); }',
    ),
    "the right answer and a failure": (
        "c",
        '#include <stdio.h>\nint main(void) { puts("3"); fflush(stdout); return 1; }',
    ),
    "the right answer and a crash": (
        "c",
        '#include <stdio.h>\nint main(void) { puts("3"); fflush(stdout); __builtin_trap(); }',
    ),
    "the compiler reads the cases": (
        "c",
        'const char a[] = {\n#include "input"\n}; int main(void) { return 0; }',
    ),
    "it exits with success": ("javascript", "process.exit(0)"),
    "every descriptor gets a report in JavaScript": (
        "javascript",
        f"for (let n = 3; n < 99; n++) try {{ require('fs').writeSync(n, {FORGED!r}); }} catch {{}}",
    ),
    "a worker exits": (
        "javascript",
        "new (require('worker_threads').Worker)('process.exit(0)', { eval: true })",
    ),
    "it leaves at a signal": (
        "javascript",
        "process.on('exit', () => process.reallyExit(0)); throw 1",
    ),
    "the output ends with an error": ("javascript", "console.log(3); throw new Error('x')"),
    "its folder is searched for the answers": (
        "javascript",
        "const fs = require('fs'); for (const n of fs.readdirSync(__dirname)) if (n !== 'here') console.log(fs.readFileSync(__dirname + '/' + n, 'utf8').match(/output[^3]*3/)?.[0]);",
    ),
    "every descriptor gets a report in Python": (
        "python",
        f"import os\nfor n in range(3, 999):\n  try: os.write(n, {FORGED.encode()!r})\n  except OSError: pass",
    ),
    "the state is patched": (
        "python",
        "import sys\nsys.modules['_child']._state = lambda e: 'finished'\nprint(4)",
    ),
    "the frames are searched for the answers": (
        "python",
        "import sys\nf = sys._getframe()\nwhile f:\n  if 'output' in repr(f.f_locals): print(3)\n  f = f.f_back",
    ),
    "it exits at once": ("python", "import os\nos._exit(0)"),
    "the input holds no answer": (
        "python",
        "import glob\nprint(open(0).read().strip(), glob.glob('../*'))",
    ),
}


@contained
@needs("javascript")
@needs("c")
@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_makes_a_wrong_program_pass(trick: str) -> None:
    language, program = TRICKS[trick]
    found = code.score(answer(program, language), asked(language))
    assert found.correct is False, found


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        ({"language": "c", "cases": CASES}, []),
        ({"cases": CASES}, []),
        (
            {"language": "ruby", "cases": CASES},
            [("language", "'ruby' is not one of python, javascript, c")],
        ),
        ({}, [("tests", "the scorer code needs it")]),
        (
            {"tests": ["assert f()"], "cases": CASES},
            [("cases", "are given with tests: leave out one of them")],
        ),
        (
            {"language": "c", "tests": ["assert f()"]},
            [("tests", "are in Python, but the answer is in C: use cases")],
        ),
        (
            {"cases": [{"input": ""}]},
            [("cases", 'are not a list of {"input": "...", "output": "..."} with texts')],
        ),
        (
            {"cases": []},
            [("cases", 'are not a list of {"input": "...", "output": "..."} with texts')],
        ),
        ({"cases": CASES, "timeout_s": -1}, [("timeout_s", "-1 is not a number from 0 on")]),
    ],
)
def test_faults_of_a_question_are_told(
    options: dict[str, Any], faults: list[tuple[str, str]]
) -> None:
    assert [*code.faults(Asked(options=options))] == faults


def test_programs_are_unavailable_without_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox._filter, "MACHINES", ())
    found = code.score(answer(RIGHT["python"], "python"), asked("python"))
    assert (found.correct, found.state) == (None, "unavailable")


@given(st.text(), st.sampled_from(["javascript", "c"]))
def test_any_text_has_a_program_or_none(text: str, language: str) -> None:
    from pytest_llamaburn.scorers import _programs

    found = _programs.chosen(text, language)
    assert found is None or isinstance(found, str)
