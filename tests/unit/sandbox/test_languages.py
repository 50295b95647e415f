"""Whole programs in three languages: what they may do, what is told of them, what is measured."""
# ruff: noqa: E501 - programs, a case a line

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support.containment import contained, needs, where_a_filter_refuses

from pytest_llamaburn import sandbox
from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.sandbox import Limits, Outcome

if TYPE_CHECKING:
    from pathlib import Path

STDIO = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <time.h>\n"


def only(program: str, language: str, given: str = "", **limits: float) -> Outcome:
    (found,) = sandbox.outcomes(program, [given], language, Limits(**limits))  # type: ignore[arg-type]
    return found


# What honest programs do.

PROGRAMS = {
    "all at once": ("javascript", "console.log(require('fs').readFileSync(0, 'utf8').length)", "6"),
    "by its name": (
        *("javascript", "console.log(require('fs').readFileSync('/dev/stdin', 'utf8').length)"),
        "6",
    ),
    "as a stream": ("javascript", "process.stdin.on('data', (d) => console.log(d.length))", "6"),
    "line by line": (
        "javascript",
        (
            "require('readline').createInterface({ input: process.stdin })"
            ".on('line', (line) => console.log(line))"
        ),
        "a b\nc",
    ),
    "as a module": (
        "javascript",
        (
            "import { createInterface } from 'node:readline';\n"
            "for await (const line of createInterface({ input: process.stdin })) console.log(line);"
        ),
        "a b\nc",
    ),
    "with a thread": (
        "javascript",
        (
            "const { Worker } = require('worker_threads');"
            "new Worker('require(\"worker_threads\").parentPort.postMessage(7)', { eval: true })"
            ".on('message', (m) => console.log(m))"
        ),
        "7",
    ),
    "with WebAssembly": (
        "javascript",
        "console.log(new WebAssembly.Memory({ initial: 10 }).buffer.byteLength)",
        "655360",
    ),
    "with a pool of threads": (
        "javascript",
        "require('zlib').gzip('a', (e, b) => require('fs').readFile(__filename, () => console.log(b.length)))",
        "21",
    ),
    "with large numbers": (
        "javascript",
        "console.log(String(2n ** 70n))",
        "1180591620717411303424",
    ),
    "ends by itself": ("javascript", "console.log(1); process.exit(0)", "1"),
    "by getchar": (
        "c",
        f'{STDIO}int main(void) {{ int n = 0; while (getchar() != EOF) n++; printf("%d\\n", n); }}',
        "6",
    ),
    "by scanf": (
        "c",
        f'{STDIO}int main(void) {{ char a[9]; while (scanf("%8s", a) == 1) puts(a); return 0; }}',
        "a\nb\nc",
    ),
    "by getline": (
        "c",
        f"#define _GNU_SOURCE\n{STDIO}int main(void) {{ char *a = 0; size_t n = 0; getline(&a, &n, stdin); fputs(a, stdout); }}",
        "a b",
    ),
    "with mathematics": (
        *("c", f'#include <math.h>\n{STDIO}int main(void) {{ printf("%.3f\\n", sqrt(2.0)); }}'),
        "1.414",
    ),
    "Python reads all": ("python", "import sys\nprint(len(sys.stdin.read()))", "6"),
    "Python asks": ("python", "print(input())\nprint(input())", "a b\nc"),
    "Python opens it": ("python", "print(len(open(0).read()))", "6"),
    "Python opens it by its name": ("python", "print(len(open('/dev/stdin').read()))", "6"),
    "Python reads bytes": ("python", "import sys\nprint(sys.stdin.buffer.read())", "b'a b\\nc\\n'"),
    "Python has a main": (
        *("python", "def main():\n  print(1)\nif __name__ == '__main__': main()"),
        "1",
    ),
    "Python exits": ("python", "import sys\nprint(1)\nsys.exit()", "1"),
    "Python has classes": (
        "python",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n  x: 'int'\nprint(A(1))",
        "A(x=1)",
    ),
}


@contained
@needs("javascript")
@needs("c")
@pytest.mark.parametrize("case", PROGRAMS)
def test_a_program_reads_its_input_and_prints(case: str) -> None:
    language, program, printed = PROGRAMS[case]
    found = only(program, language, "a b\nc\n")
    assert (found.state, found.message) == ("finished", "")
    assert found.stdout.strip() == printed


@contained
@pytest.mark.parametrize("language", [pytest.param("c", marks=needs("c")), "python"])
def test_a_program_runs_anew_for_each_input_until_one_fails(language: str) -> None:
    programs = {
        "c": f"{STDIO}int main(void) {{ static int n; int c = getchar(); putchar(c); n++; return c == 'x' ? 3 : n - 1; }}",
        "python": "print(end=input()) if (n := globals().get('n', 0)) == 0 else None\nn += 1\nassert 0",
    }
    runs = [*sandbox.outcomes(programs[language], ["a", "b", "x", "c"], language)]
    ended = {"c": ["finished", "finished", "exit"], "python": ["assertion"]}
    assert [one.state for one in runs] == ended[language]
    assert [one.stdout for one in runs] == ["a", "b", "x"][: len(runs)]


@contained
@needs("javascript")
@needs("c")
@pytest.mark.parametrize(
    ("language", "program", "state", "message"),
    [
        ("javascript", "let x = 1;\nx.y.z", "exception", "TypeError: Cannot read properties of"),
        ("javascript", "let x = ;", "exception", "SyntaxError: Unexpected token"),
        ("javascript", "process.exit(3)", "exit", "it exited with code 3"),
        ("javascript", "require('left-pad')", "exception", "Error: Cannot find module 'left-pad'"),
        ("c", "int main(void) { return 3; }", "exit", "it exited with code 3"),
        ("c", "int main(void) { retrun 3; }", "uncompiled", "answer.c:1:18: error: "),
        ("c", "int f(void);\nint main(void) { return f(); }", "uncompiled", "undefined reference"),
        ("c", f"{STDIO}int main(void) {{ abort(); }}", "crash", "SIGABRT"),
        ("c", "int main(void) { return *(volatile int *)0; }", "crash", "SIGSEGV"),
        ("python", "import sys\nsys.exit(3)", "exit", "SystemExit: 3"),
    ],
)
def test_the_end_of_a_program_is_told(
    language: str, program: str, state: str, message: str
) -> None:
    found = only(program, language)
    assert found.state == state
    assert message in found.message
    assert "llamaburn-" not in found.output + found.message  # its folder is ours


@contained
@needs("c")
def test_only_the_standard_output_is_compared() -> None:
    found = only(f'{STDIO}int main(void) {{ puts("out"); fputs("err\\n", stderr); }}', "c")
    assert found.stdout == "out\n"
    assert sorted(found.output.split()) == ["err", "out"]


# What is measured.

HELD = {
    "python": "x = bytearray(100_000_000)\nfor at in range(0, len(x), 4096): x[at] = 1",
    "javascript": "const x = Buffer.alloc(100e6, 1); console.log(x[5])",
    "c": f'{STDIO}int main(void) {{ char *x = malloc(100000000); memset(x, 1, 100000000); return x[atoi("7")] - 1; }}',
}
SPENT = {
    "python": "import time\nwhile time.process_time() < 0.3: pass",
    "javascript": "while (process.cpuUsage().user + process.cpuUsage().system < 3e5);",
    "c": f"{STDIO}int main(void) {{ while (clock() < 0.3 * CLOCKS_PER_SEC); }}",
}
# Resident memory in MB of a program that does nothing: a wide range that no other unit fits.
BARE = {"python": (5, 25), "javascript": (25, 90), "c": (0.5, 4)}
NOTHING = {"python": "", "javascript": "", "c": "int main(void) { return 0; }"}


@contained
@needs("javascript")
@needs("c")
@pytest.mark.parametrize("language", sandbox.LANGUAGES)
def test_the_largest_memory_of_a_program_is_measured(language: str) -> None:
    ours = bytearray(300_000_000)  # of this process, which is none of the program's memory
    ours[::4096] = b"1" * len(ours[::4096])
    bare, full = only(NOTHING[language], language), only(HELD[language], language)
    assert bare.peak_memory_mb is not None
    assert full.peak_memory_mb is not None
    assert BARE[language][0] < bare.peak_memory_mb < BARE[language][1]
    assert 97 < full.peak_memory_mb - bare.peak_memory_mb < 112
    assert bare.memory_reason == full.memory_reason == ""
    del ours


@contained
def test_the_memory_of_a_program_with_tests_is_that_of_the_program() -> None:
    tests = sandbox.Tests("ours = bytearray(200_000_000)\nassert f() == 1", wanted=("f",))
    program = "def f():\n  x = bytearray(100_000_000)\n  return x[0] + 1"
    found = sandbox.run(program, tests=tests)
    assert found.state == "finished"
    assert found.peak_memory_mb is not None
    assert 100 < found.peak_memory_mb < 130  # the tests' own 200 MB are not in it


@contained
@needs("javascript")
@needs("c")
@pytest.mark.parametrize("language", sandbox.LANGUAGES)
def test_the_run_time_of_a_program_is_measured(language: str) -> None:
    began = time.monotonic()
    found = only(SPENT[language], language)
    passed_ms = (time.monotonic() - began) * 1000
    assert found.state == "finished"
    assert found.runtime_ms is not None
    assert 250 < found.runtime_ms < passed_ms  # of 300 ms, some may pass before it begins


@contained
def test_a_kernel_that_tells_no_end_leaves_the_memory_unknown_and_says_why() -> None:
    said = where_a_filter_refuses(
        {"x86_64": 317, "aarch64": 277},
        "(found,) = sandbox.outcomes('print(1)', [''])\nprint(found)",
    )
    assert "state='finished'" in said
    assert "peak_memory_mb=None, memory_reason='seccomp: Function not implemented'" in said


# Refusing.


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("javascript", "programs in JavaScript need Node.js, and none of node, nodejs is on PATH"),
        ("c", "programs in C need a C compiler, and none of cc, gcc, clang is on PATH: install it"),
    ],
)
def test_what_runs_a_language_is_asked_for(
    language: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match=words):
        sandbox.ready(language)
    assert sandbox.tool("python")


@contained
@pytest.mark.parametrize(("language", "name"), [("javascript", "node"), ("c", "cc")])
def test_what_cannot_run_a_language_in_the_sandbox_is_refused(
    language: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_text("#!/bin/sh\necho 42\n")
    (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=f"{tmp_path}/{name} fails in the sandbox"):
        sandbox.ready(language)


@contained
@needs("javascript")
@needs("c")
def test_the_languages_of_this_machine_are_ready() -> None:
    for language in sandbox.LANGUAGES:
        sandbox.ready(language)
