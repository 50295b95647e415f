"""The languages of programs: what starts them, and what their processes may do."""

from __future__ import annotations

import os
import platform
import shutil
import struct
import sys
import sysconfig
from pathlib import Path
from typing import Final, NamedTuple

from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.sandbox import _filter

_OPEN_FILES = 32
_MORE_FILES = 64  # Node opens some for itself, a compiler its headers
_MOST_COMPILED = 64 << 20  # bytes of any file that a compiler writes
_COMPILER_MEMORY = 2 << 30
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")
_OF_COMPILERS = (*_SYSTEM, "/bin", "/usr/bin", "/usr/include", "/usr/libexec", "/usr/local")
_LOADER = 3  # the type of the ELF header that names the program's loader


class Limits(NamedTuple):
    """The limits of a program; `wall_s` counts from its first line."""

    wall_s: float = 10.0
    cpu_s: int = 10
    memory_mb: int = 512
    output_bytes: int = 65536


class Tool(NamedTuple):
    """The program that a language needs: its names on PATH, and how to install it."""

    commands: tuple[str, ...]
    noun: str
    install: str


NAMES: Final = {"python": "Python", "javascript": "JavaScript", "c": "C"}
TOOLS: Final = {
    "javascript": Tool(("node", "nodejs"), "Node.js", "apt install nodejs, or https://nodejs.org"),
    "c": Tool(("cc", "gcc", "clang"), "a C compiler", "apt install gcc libc6-dev"),
}


class Rights(NamedTuple):
    """What a confined process may do: its filter, its files as (right, path), and its limits.

    With a `command` the process becomes that program.
    """

    profile: str
    files: list[tuple[str, str]]
    bounds: dict[str, tuple[int, int]]
    command: tuple[str, ...] = ()
    environment: dict[str, str] = {}  # noqa: RUF012 - never changed


def tool(language: str) -> str:
    """Return the path of what runs or compiles a language.

    Raises UsageError if it is not on PATH, with how to install it.
    """
    if language == "python":
        return sys.executable
    needed, place = TOOLS[language], found(language)
    if place is None:
        raise UsageError(
            f"programs in {NAMES[language]} need {needed.noun}, and none of "
            f"{', '.join(needed.commands)} is on PATH: install it ({needed.install}), or leave out "
            f"the questions in {NAMES[language]}"
        )
    return str(Path(place).resolve())


def found(language: str) -> str | None:
    """Return what is on PATH of a language's programs, or None."""
    return next(filter(None, map(shutil.which, TOOLS[language].commands)), None)


def python(folder: str, limits: Limits) -> Rights:
    """Return the rights of a program in Python."""
    extensions = sysconfig.get_config_var("DESTSHARED")
    own = (f"{sys.base_prefix}/lib", str(Path(os.__file__).parent), str(extensions))
    files = [("read", path) for path in (folder, *own, *_SYSTEM)]
    return Rights("python", files, _bounds(limits, AS=limits.memory_mb << 20))


def javascript(folder: str, program: str, limits: Limits) -> Rights:
    """Return the rights of a program that Node runs.

    Node reserves far more addresses than it uses, so the limit is on its data. It starts threads,
    which the limit bounds too, because each has a stack.
    """
    node = tool("javascript")
    bounds = _bounds(limits, DATA=limits.memory_mb << 20, NOFILE=_MORE_FILES)
    del bounds["RLIMIT_NPROC"]  # which counts threads
    heap = f"--max-old-space-size={max(16, limits.memory_mb * 3 // 4)}"
    files = [("read", path) for path in (folder, "/usr/share/nodejs", *_SYSTEM)]
    files += [("execute", path) for path in (node, *_loader(node))]
    environment = {"OPENSSL_CONF": f"{folder}/none"}  # that of the system is out of reach
    return Rights("threads", files, bounds, (node, heap, "--no-addons", program), environment)


def compiled(folder: str, limits: Limits) -> Rights:
    """Return the rights of the program `answer` that the compiler made."""
    program = f"{folder}/answer"
    files = [("read", path) for path in (folder, *_SYSTEM)]
    files += [("execute", path) for path in (program, *_loader(program))]
    bounds = _bounds(limits, AS=limits.memory_mb << 20)
    return Rights("program", files, bounds, (program,))


def compiler(folder: str, limits: Limits) -> Rights:
    """Return the rights of a compiler: it reads what is installed, and writes to one folder.

    It makes `answer` of `answer.c`.
    """
    command = tool("c")
    bounds = _bounds(limits, AS=_COMPILER_MEMORY, NOFILE=_MORE_FILES, FSIZE=_MOST_COMPILED)
    del bounds["RLIMIT_NPROC"]  # it starts its own parts
    files = [("execute", path) for path in _OF_COMPILERS]
    files += [("write", folder), ("read", "/dev/null")]
    answer = f"{folder}/answer"
    words = (command, "-std=gnu17", "-O2", "-w", "-o", answer, f"{answer}.c", "-lm")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": folder, "LC_ALL": "C"}
    return Rights("compiler", files, bounds, words, environment)


def _bounds(limits: Limits, **more: int) -> dict[str, tuple[int, int]]:
    nothing = ("FSIZE", "MEMLOCK", "MSGQUEUE", "NPROC")
    values = {**dict.fromkeys(nothing, 0), "NOFILE": _OPEN_FILES, **more}
    return {
        **{f"RLIMIT_{name}": (value, value) for name, value in values.items()},
        "RLIMIT_CORE": (1, 1),  # no core file, and none for a program that collects them either
        "RLIMIT_CPU": (limits.cpu_s, limits.cpu_s + 1),  # SIGXCPU first, then SIGKILL
    }


def _loader(program: str) -> list[str]:
    """Return the path of the loader that a program of the system names, if it names one."""
    with Path(program).open("rb") as file:
        begin = file.read(64)
        is_program = len(begin) == 64 and begin[:5] == b"\x7fELF\x02"
        table, size, count = struct.unpack("=32xQ14xHH6x", begin) if is_program else (0, 0, 0)
        for number in range(count):
            file.seek(table + number * size)
            kind, at, length = struct.unpack("=I4xQ16xQ", file.read(40))
            if kind == _LOADER:
                file.seek(at)
                return [os.fsdecode(file.read(length).rstrip(b"\0"))]
    return []


def rules(rights: Rights, pid: int) -> dict[str, object]:
    """Return the rights of the process `pid` as its plan has them."""
    machine = platform.machine()
    return {
        "limits": rights.bounds,
        "files": rights.files,
        "command": rights.command,
        "environment": rights.environment,
        "filter": _filter.program(machine, rights.profile, pid).hex(),
        "end_watch": _filter.end_watch(machine).hex(),
    }
