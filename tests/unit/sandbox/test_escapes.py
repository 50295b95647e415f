"""Ways out of the sandbox for programs in JavaScript and C, each tried and shut."""
# ruff: noqa: E501 - programs, a case a line

from __future__ import annotations

import os
import platform
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support import escapes
from support.containment import contained, needs

from pytest_llamaburn import sandbox
from pytest_llamaburn.sandbox import Limits, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED = {
    *("EPERM", "EACCES", "EAI_AGAIN", "ECONNREFUSED", "fetch failed", "no inspector", "none"),
    *("ERR_DLOPEN_DISABLED", "ENOSYS"),
    *("Operation not permitted", "Permission denied", "Function not implemented"),
}


def only(program: str, language: str, given: str = "", **limits: Any) -> Outcome:
    (found,) = sandbox.outcomes(program, [given], language, Limits(**limits))
    return found


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, socket.socket]]:
    """A file and a listener that must stay as they are, and no signal may arrive."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret").write_text("kept")
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    facts = (folder / "secret").stat()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield folder, server
        with pytest.raises(BlockingIOError):
            server.accept()
    signal.signal(signal.SIGUSR1, before)
    assert not heard
    assert [one.name for one in folder.iterdir()] == ["secret"]
    assert (folder / "secret").read_text() == "kept"
    now = (folder / "secret").stat()
    assert (now.st_mode, now.st_mtime, now.st_uid) == (facts.st_mode, facts.st_mtime, facts.st_uid)


def told(outcome: Outcome) -> dict[str, str]:
    assert outcome.state == "finished", outcome
    return dict(line.split("\t") for line in outcome.stdout.splitlines())


@pytest.fixture(scope="module")
def in_javascript(target: tuple[Path, socket.socket]) -> dict[str, str]:
    folder, server = target
    port = server.getsockname()[1]
    return told(only(escapes.javascript(f"{folder}/secret", str(folder), port), "javascript"))


@pytest.fixture(scope="module")
def in_c(target: tuple[Path, socket.socket]) -> dict[str, str]:
    folder, _ = target
    return told(only(escapes.c(f"{folder}/secret", str(folder)), "c"))


@contained
@needs("javascript")
@pytest.mark.parametrize("attempt", escapes.JAVASCRIPT)
def test_javascript_does_not(attempt: str, in_javascript: dict[str, str]) -> None:
    assert in_javascript[attempt] in REFUSED


@contained
@needs("c")
@pytest.mark.parametrize("attempt", escapes.C)
def test_c_does_not(attempt: str, in_c: dict[str, str]) -> None:
    assert in_c[attempt] in REFUSED


# What does not end, takes too much or crashes.

BRIEF: dict[str, Any] = {"wall_s": 0.4}
TIGHT: dict[str, Any] = {"memory_mb": 128}
INCLUDES = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n"
LIMITED: dict[str, tuple[str, str, dict[str, Any], str | None]] = {
    "it never ends": ("javascript", "for (;;);", BRIEF, "timeout"),
    "it waits": ("javascript", "setTimeout(() => {}, 1e8)", BRIEF, "timeout"),
    "promises never end": (
        *("javascript", "(async () => { for (;;) await null; })()"),
        *(BRIEF, "timeout"),
    ),
    "a thread never ends": (
        "javascript",
        "new (require('worker_threads').Worker)('for (;;);', { eval: true })",
        {"wall_s": 20, "cpu_s": 1},
        "timeout",
    ),
    "it prints without an end": (
        *("javascript", "for (;;) require('fs').writeSync(1, 'x'.repeat(1000))"),
        *({"output_bytes": 5000}, "output"),
    ),
    "it complains without an end": (
        *("javascript", "for (;;) require('fs').writeSync(2, 'x'.repeat(1000))"),
        *({"output_bytes": 5000}, "output"),
    ),
    "objects fill the memory": (
        *("javascript", "const a = []; for (;;) a.push(new Array(1e5).fill(1.5))"),
        *(TIGHT, "memory"),
    ),
    "buffers fill the memory": (
        *("javascript", "const a = []; for (;;) a.push(new Uint8Array(1 << 24).fill(1))"),
        *(TIGHT, "memory"),
    ),
    "a raised limit of the heap fills the memory": (
        "javascript",
        (
            "require('v8').setFlagsFromString('--max-old-space-size=9000');"
            "const a = []; for (;;) a.push(new Array(1e5).fill(1.5))"
        ),
        TIGHT,
        "memory",
    ),
    "WebAssembly fills the memory": (
        "javascript",
        (
            "const m = new WebAssembly.Memory({ initial: 1 });"
            "for (;;) { m.grow(100); new Uint8Array(m.buffer).fill(1); }"
        ),
        TIGHT,
        "exception",
    ),
    "shared memory fills the memory": (
        *("javascript", "new Uint8Array(new SharedArrayBuffer(1 << 30)).fill(1)"),
        *(TIGHT, "memory"),
    ),
    "threads without an end": (
        "javascript",
        (
            "const { Worker } = require('worker_threads');"
            "for (;;) new Worker('setTimeout(() => {}, 1e8)', { eval: true })"
        ),
        TIGHT,
        None,
    ),
    "it aborts": ("javascript", "process.abort()", {}, "crash"),
    "it says goodbye": ("javascript", "process.exit(3)", {}, "exit"),
    "a loop in C": ("c", "int main(void) { for (;;); }", BRIEF, "timeout"),
    "it closes all and waits": (
        *("c", INCLUDES + "int main(void) { for (int n = 0; n < 99; n++) close(n); pause(); }"),
        *(BRIEF, "timeout"),
    ),
    "forks without an end": (
        *(
            "c",
            INCLUDES
            + "int main(void) { for (int n = 0; n < 99999; n++) if (fork() == 0) pause(); }",
        ),
        *({}, "finished"),
    ),
    "C prints without an end": (
        *("c", INCLUDES + 'int main(void) { for (;;) puts("xxxxxxxxxxxxxxxx"); }'),
        *({"output_bytes": 5000}, "output"),
    ),
    "C fills the memory": (
        "c",
        INCLUDES + "int main(void) { for (;;) { char *a = malloc(1 << 20); if (!a) return 9; "
        "memset(a, 1, 1 << 20); } }",
        TIGHT,
        "exit",
    ),
    "it shares memory with itself": (
        "c",
        (
            "#include <sys/mman.h>\n#include <string.h>\nint main(void) { for (;;) { char *a = mmap(0, "
            "1 << 24, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0); if (a == MAP_FAILED) return 9; "
            "memset(a, 1, 1 << 24); } }"
        ),
        TIGHT,
        "exit",
    ),
    "it points nowhere": ("c", "int main(void) { *(volatile int *)0 = 1; }", {}, "crash"),
    "it fails an assertion": (
        *("c", "#include <assert.h>\nint main(void) { assert(1 == 2); }"),
        *({}, "crash"),
    ),
    "it is no program": ("c", "int main(", {}, "uncompiled"),
    "it has no main": ("c", "int add(int a, int b) { return a + b; }", {}, "uncompiled"),
    "it includes the passwords": (
        *("c", '#include "/etc/passwd"\nint main(void) { return 0; }'),
        *({}, "uncompiled"),
    ),
    "the assembler includes the passwords": (
        *("c", '__asm__(".incbin \\"/etc/passwd\\"");\nint main(void) { return 0; }'),
        *({}, "uncompiled"),
    ),
    "it includes a device": (
        *("c", '#include "/dev/zero"\nint main(void) { return 0; }'),
        *({}, "uncompiled"),
    ),
    "it includes itself": ("c", "#include __FILE__\n", {}, "uncompiled"),
    "it is too large": (
        *("c", "char a[1 << 29] = {1};\nint main(void) { return 0; }"),
        *({}, "uncompiled"),
    ),
}


@contained
@needs("javascript")
@needs("c")
@pytest.mark.parametrize("case", LIMITED)
def test_limits_hold(case: str, tmp_path: Path) -> None:
    language, program, limits, state = LIMITED[case]
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    found = only(program, language, **limits)
    assert found.state == state if state else found.state != "finished"
    assert "root:" not in found.output + found.message
    assert {one.pid for one in psutil.Process().children(recursive=True)} <= before
    if found.state in ("timeout", "output"):
        assert (found.runtime_ms, found.peak_memory_mb) == (None, None)
        assert found.memory_reason


@contained
@needs("c")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="other machines have one table")
@pytest.mark.parametrize(
    ("call", "what"),
    [
        ('__asm__ volatile("int $0x80" : : "a"(20))', "crash"),  # the table of 32 bits
        ("return syscall(0x40000000 + 41, 2, 1, 0) < 0 ? 7 : 0", "exit"),  # that of x32
    ],
)
def test_other_tables_of_calls_are_shut(call: str, what: str) -> None:
    program = f"{INCLUDES}int main(void) {{ {call}; return 0; }}"
    assert only(program, "c").state == what


@contained
@needs("c")
def test_a_crash_leaves_no_core(tmp_path: Path) -> None:
    before = {*Path(os.curdir).glob("core*")}
    assert only("int main(void) { __builtin_trap(); }", "c").state == "crash"
    assert {*Path(os.curdir).glob("core*")} == before
    limits = "#include <sys/resource.h>\nint main(void) { struct rlimit l; getrlimit(RLIMIT_CORE, &l); return l.rlim_max != 1; }"
    assert only(limits, "c").state == "finished"
