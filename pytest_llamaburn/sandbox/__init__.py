"""Runs a program nobody vouches for, in a child process that can do no harm; or refuses to.

The child computes and reads Python's own library. It cannot reach a network, read or write another
file, start a process or thread, or signal anybody; its memory, time and output are bounded. Nothing
needs root or namespaces: Landlock closes the files, a seccomp filter refuses the system calls, both
for good before the program's first line. Where one of them is missing nothing runs.

Not hidden are the names and sizes of files. A program that runs alone could forge its own ending.
Tests of a program run in a process of their own. The program reaches that process only by answering
its calls, and how the tests ended is for that process alone to say (docs/decisions/0008).
"""

from __future__ import annotations

import json
import os
import platform
import selectors
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import ExitStack, suppress
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast

import msgspec

from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.sandbox import _filter

_CHILD = Path(__file__).parent / "_child.py"
_CHUNK = 65536
_OPEN_FILES = 32
_REPORT_BYTES = 16384
_START_S = 60.0  # for the interpreter to start on a machine that is busy
_STOPPED = {"timeout": "its time was over", "output": "it printed too much"}


class Limits(NamedTuple):
    """What a program may use; `wall_s` counts from its first line."""

    wall_s: float = 10.0
    cpu_s: int = 10
    memory_mb: int = 512
    output_bytes: int = 65536


_DEFAULT = Limits()


class Outcome(NamedTuple):
    """How a program ended, what it printed first, and how long it ran if it lived to tell.

    state: `finished` (its last line was reached), `assertion`, `exception`, `memory`, `exit` (it
    ended itself), `timeout`, `output` (too much of it) or `crash`.
    """

    state: str
    message: str
    output: str
    runtime_ms: float | None


class Tests(NamedTuple):
    """Tests of a program: statements that run after `preamble` in a process of their own.

    Of the program's names they use `wanted`; `common` are classes of the preamble that the program
    has as well.
    """

    text: str
    preamble: str = ""
    wanted: tuple[str, ...] = ()
    common: tuple[str, ...] = ()


class _Start(msgspec.Struct):
    """The child's first line: the version of Landlock that holds it, or why nothing does."""

    ready: int = 0
    refused: str = ""


class _End(msgspec.Struct):
    """The child's second line, which a program that is alone may have invented.

    `gone` and `broken` tell of a program that its tests could no longer talk to.
    """

    state: Literal["finished", "assertion", "exception", "memory", "exit", "gone", "broken"]
    message: str
    runtime_ms: float


class _Part(NamedTuple):
    """A text to run in a process of its own, what that is told, and the pipes it may use."""

    text: str
    about: dict[str, Any]
    pipes: tuple[FileIO, ...] = ()


class _Heard(NamedTuple):
    """What children printed and each reported, what stopped them, and their exit codes.

    The first is the one whose word counts.
    """

    output: bytes
    reports: list[list[bytes]]
    stopped: str
    codes: list[int]


def run(program: str, *, tests: Tests | None = None, limits: Limits = _DEFAULT) -> Outcome:
    """Return how a Python program, or its tests, ended that had only its limits to use.

    Raises UsageError where the platform cannot contain it; then nothing has run.
    """
    if tests is None:
        heard = _contained([_Part(program, {"part": "alone"})], limits)
    else:
        heard = _tested(program, tests, limits)
    state, message, runtime_ms = _end(heard)
    output = heard.output[: limits.output_bytes].decode("utf-8", "replace")
    return Outcome(state, message, output, runtime_ms)


def limits_of_platform() -> dict[str, str]:
    """Return what bounds a program on this machine, by what is bounded, after trying it.

    Raises UsageError where the platform cannot contain a program.
    """
    heard = _contained([_Part("", {"part": "alone"})], _DEFAULT)
    version = _start(heard.reports[0]).ready
    return {
        "network": "seccomp: no socket leads out of the process",
        "files": f"Landlock {version} and seccomp: Python's library is read, nothing is written",
        "processes": "seccomp: none is started, nor a thread",
        "signals": "seccomp: none is sent",
        "memory": "RLIMIT_AS",
        "cpu_time": "RLIMIT_CPU",
        "wall_time": "a deadline, then SIGKILL",
        "output": "read up to its limit, then SIGKILL",
    }


def _tested(program: str, tests: Tests, limits: Limits) -> _Heard:
    """Return what was heard of tests and of the program that they call."""
    questions, answers = _pipe(), _pipe()
    about = {"common": tests.common, "wanted": tests.wanted, "preamble": tests.preamble}
    parts = [
        _Part(tests.text, {**about, "part": "tests"}, (answers[0], questions[1])),
        _Part(program, {**about, "part": "program"}, (questions[0], answers[1])),
    ]
    try:
        return _contained(parts, limits)
    finally:
        for pipe in (*questions, *answers):
            pipe.close()


def _contained(parts: list[_Part], limits: Limits) -> _Heard:
    """Return what was heard of programs that ran confined. Raises UsageError if they could not."""
    if sys.platform != "linux" or platform.machine() not in _filter.MACHINES:
        raise _refusal(f"{platform.system()} on {platform.machine()} is not supported")
    with tempfile.TemporaryDirectory(prefix="llamaburn-") as place:
        os.chmod(place, 0o500)  # noqa: PTH101 - nothing is written there
        heard = _started(parts, place, limits)
    for report, code in zip(heard.reports, heard.codes, strict=True):
        start = _start(report)
        if not start.ready:
            said = heard.output.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise _refusal(start.refused or said or f"Python ended with code {code}")
    return heard


def _start(report: list[bytes]) -> _Start:
    return msgspec.json.decode(report[0], type=_Start) if report else _Start()


def _pipe() -> tuple[FileIO, FileIO]:
    """Return the end to read from and the end to write to; closing one twice does no harm."""
    reader, writer = os.pipe()
    return FileIO(reader, "rb"), FileIO(writer, "wb")


def _refusal(reason: str) -> UsageError:
    return UsageError(
        f"answers that are code cannot be run safely here ({reason}): use a Linux machine "
        f"({' or '.join(_filter.MACHINES)}) with Landlock and seccomp, or leave out the questions "
        "whose scorer is code"
    )


def _started(parts: list[_Part], place: str, limits: Limits) -> _Heard:
    children: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        output, printing = map(stack.enter_context, _pipe())
        reports: list[FileIO] = []
        for part in parts:
            reader, writer = map(stack.enter_context, _pipe())
            reports.append(reader)
            child = _spawned(place, printing, (writer, *part.pipes))
            children.append(child)
            stack.callback(_end_child, child)
            plan = {**_plan(place, writer.fileno(), limits), **part.about}
            line = [pipe.fileno() for pipe in part.pipes]
            _hand_over(child, {**plan, "line": line}, part.text)
            for pipe in (writer, *part.pipes):  # the child alone holds them from then on
                pipe.close()
        printing.close()
        return _listen(children, output, reports, limits)


def _end_child(child: subprocess.Popen[bytes]) -> None:
    with child:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)


def _spawned(place: str, output: FileIO, passed: tuple[FileIO, ...]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", str(_CHILD)]
    try:
        return subprocess.Popen(  # noqa: S603 - our own script
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=place,
            env={},
            pass_fds=[pipe.fileno() for pipe in passed],
            start_new_session=True,
        )
    except OSError as err:
        raise _refusal(f"{sys.executable or 'Python'} does not start: {err.strerror}") from err


def _plan(place: str, report: int, limits: Limits) -> dict[str, Any]:
    memory = limits.memory_mb * 1024 * 1024
    nothing = ("CORE", "FSIZE", "MEMLOCK", "MSGQUEUE", "NPROC")
    bounds = {f"RLIMIT_{name}": (0, 0) for name in nothing} | {
        "RLIMIT_AS": (memory, memory),
        "RLIMIT_CPU": (limits.cpu_s, limits.cpu_s + 1),  # a signal that tells, then one that kills
        "RLIMIT_NOFILE": (_OPEN_FILES, _OPEN_FILES),
    }
    return {
        "report": report,
        "parent": os.getpid(),
        "limits": bounds,
        "readable": [place, *_library()],
        "filter": _filter.program(platform.machine()).hex(),
    }


def _library() -> list[str]:
    """Return where Python's own modules, and the system's libraries they load, may lie."""
    system = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")
    extensions = sysconfig.get_config_var("DESTSHARED")
    return [f"{sys.base_prefix}/lib", str(Path(os.__file__).parent), str(extensions), *system]


def _hand_over(child: subprocess.Popen[bytes], plan: dict[str, Any], program: str) -> None:
    with suppress(BrokenPipeError), cast("BinaryIO", child.stdin) as pipe:
        pipe.write(json.dumps(plan).encode() + b"\n" + program.encode("utf-8", "replace"))


def _listen(
    children: list[subprocess.Popen[bytes]], output: FileIO, reports: list[FileIO], limits: Limits
) -> _Heard:
    """Return what was heard until the first child ended, time was over or too much was printed."""
    printed, *reported = (bytearray() for _ in (output, *reports))
    deadline = time.monotonic() + _START_S
    stopped, running = "", False
    with selectors.DefaultSelector() as watch:
        for source, sink in zip((output, *reports), (printed, *reported), strict=True):
            watch.register(source, selectors.EVENT_READ, sink)
        while watch.get_map() and not stopped:
            _take(watch, deadline)
            if not running and all(reported):  # their first words: the program's clock starts
                running, deadline = True, time.monotonic() + limits.wall_s
            if reports[0] not in watch.get_map():  # the tests are over, the program is not needed
                for child in children[1:]:
                    _end_child(child)
            full = len(printed) > limits.output_bytes or max(map(len, reported)) > _REPORT_BYTES
            stopped = "output" if full else _late(deadline)
    stopped = stopped or _wait(children[0], deadline)
    codes = [child.returncode or 0 for child in children]
    return _Heard(bytes(printed), [bytes(one).splitlines() for one in reported], stopped, codes)


def _take(watch: selectors.BaseSelector, deadline: float) -> None:
    """Read what has come by the deadline."""
    for key, _ in watch.select(max(0.0, deadline - time.monotonic())):
        chunk = os.read(key.fd, _CHUNK)
        key.data.extend(chunk)
        if not chunk:
            watch.unregister(key.fileobj)


def _late(deadline: float) -> str:
    return "timeout" if time.monotonic() >= deadline else ""


def _wait(child: subprocess.Popen[bytes], deadline: float) -> str:
    """Return "timeout" if a child that has closed its streams lives on, else ""."""
    try:
        child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "timeout"
    return ""


def _end(heard: _Heard) -> tuple[str, str, float | None]:
    """Return state, message and runtime."""
    if heard.stopped:
        return heard.stopped, _STOPPED[heard.stopped], None
    try:
        end = msgspec.json.decode(heard.reports[0][1], type=_End)
    except (IndexError, msgspec.DecodeError):
        return *_silent_end(heard.codes[0]), None
    if end.state == "gone":
        return *_silent_end(heard.codes[-1]), None
    state = "exception" if end.state == "broken" else end.state
    return state, end.message, end.runtime_ms


def _silent_end(code: int) -> tuple[str, str]:
    if code >= 0:
        return "exit", f"it ended its own process with code {code}"
    name = signal.Signals(-code).name
    return ("timeout", "its CPU time was used up") if name == "SIGXCPU" else ("crash", name)
