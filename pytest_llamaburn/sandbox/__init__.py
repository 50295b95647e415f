"""Run an untrusted Python program in a confined child process, or refuse to run it.

The child can compute and read Python's own library. It cannot use the network, read or write other
files, start a process or thread, or send signals; its memory, time and output are limited. This
needs neither root nor namespaces: Landlock restricts the files and a seccomp filter the system
calls, both irrevocably before the program's first line. If one of them is missing, nothing runs.

The names and sizes of files stay visible. A program that runs alone could forge its own result.
Tests of a program therefore always run in a second process. The program can only answer the calls
of that process, which alone reports how the tests ended (docs/decisions/0008 and 0030).
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
_START_S = 60.0  # time for the interpreter to start on a busy machine
_STOPPED = {"timeout": "it exceeded its time limit", "output": "it printed too much"}


class Limits(NamedTuple):
    """The limits of a program; `wall_s` counts from its first line."""

    wall_s: float = 10.0
    cpu_s: int = 10
    memory_mb: int = 512
    output_bytes: int = 65536


_DEFAULT = Limits()


class Outcome(NamedTuple):
    """How a program ended, the start of its output, and its run time if it could report one.

    state: `finished` (its last line was reached), `assertion`, `exception`, `memory`, `exit` (it
    ended itself), `timeout`, `output` (too much of it) or `crash`.
    """

    state: str
    message: str
    output: str
    runtime_ms: float | None


class Tests(NamedTuple):
    """Tests of a program: statements that run after `preamble` in a process of their own.

    `wanted` are the names of the program that the tests use. Of these, tests change the data of
    `held` in place, and read the data of `live` as it is at that moment. `common` are classes of
    the preamble that the program also defines.
    """

    text: str
    preamble: str = ""
    wanted: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    common: tuple[str, ...] = ()


class _Start(msgspec.Struct):
    """The child's first line: the Landlock version that confines it, or why it is not confined."""

    ready: int = 0
    refused: str = ""


class _End(msgspec.Struct):
    """The child's second line; a program that runs alone could forge it.

    `gone` and `broken` mean that the tests lost the connection to the program.
    """

    state: Literal["finished", "assertion", "exception", "memory", "exit", "gone", "broken"]
    message: str
    runtime_ms: float


class _Part(NamedTuple):
    """Source code to run in a process of its own, its plan, and the pipes it may use."""

    text: str
    plan: dict[str, Any]
    pipes: tuple[FileIO, ...] = ()


class _Record(NamedTuple):
    """The children's output, the reports of each, what stopped them, and their exit codes.

    Only the first child's report is trusted.
    """

    output: bytes
    reports: list[list[bytes]]
    stopped: str
    codes: list[int]


def run(program: str, *, tests: Tests | None = None, limits: Limits = _DEFAULT) -> Outcome:
    """Run a Python program, or its tests, within its limits, and return how it ended.

    Raises UsageError if the platform cannot confine it; then nothing has run.
    """
    if tests is None:
        record = _contained([_Part(program, {"part": "alone"})], limits)
    else:
        record = _tested(program, tests, limits)
    state, message, runtime_ms = _end(record)
    output = record.output[: limits.output_bytes].decode("utf-8", "replace")
    return Outcome(state, message, output, runtime_ms)


def limits_of_platform() -> dict[str, str]:
    """Return the mechanism of each restriction on this machine, after a trial run.

    Raises UsageError if the platform cannot confine a program.
    """
    record = _contained([_Part("", {"part": "alone"})], _DEFAULT)
    version = _start(record.reports[0]).ready
    return {
        "network": "seccomp: no sockets to other processes",
        "files": f"Landlock {version} and seccomp: reads only Python's library, writes nothing",
        "processes": "seccomp: no new processes or threads",
        "signals": "seccomp: no signals",
        "memory": "RLIMIT_AS",
        "cpu_time": "RLIMIT_CPU",
        "wall_time": "a deadline, then SIGKILL",
        "output": "read up to its limit, then SIGKILL",
    }


def _tested(program: str, tests: Tests, limits: Limits) -> _Record:
    """Run tests and the program that they call; return their record."""
    questions, answers = _pipe(), _pipe()
    plan = {name: value for name, value in tests._asdict().items() if name != "text"}
    shared = {"common": tests.common, "part": "program"}
    parts = [
        _Part(tests.text, {**plan, "part": "tests"}, (answers[0], questions[1])),
        _Part(program, shared, (questions[0], answers[1])),
    ]
    try:
        return _contained(parts, limits)
    finally:
        for pipe in (*questions, *answers):
            pipe.close()


def _contained(parts: list[_Part], limits: Limits) -> _Record:
    """Run programs confined; return their record. Raises UsageError if they cannot be confined."""
    if sys.platform != "linux" or platform.machine() not in _filter.MACHINES:
        raise _refusal(f"{platform.system()} on {platform.machine()} is not supported")
    with tempfile.TemporaryDirectory(prefix="llamaburn-") as folder:
        os.chmod(folder, 0o500)  # noqa: PTH101 - nothing is written there
        record = _started(parts, folder, limits)
    for report, code in zip(record.reports, record.codes, strict=True):
        start = _start(report)
        if not start.ready:
            last_line = record.output.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise _refusal(start.refused or last_line or f"Python ended with code {code}")
    return record


def _start(report: list[bytes]) -> _Start:
    return msgspec.json.decode(report[0], type=_Start) if report else _Start()


def _pipe() -> tuple[FileIO, FileIO]:
    """Return the read end and the write end of a pipe; closing an end twice is harmless."""
    reader, writer = os.pipe()
    return FileIO(reader, "rb"), FileIO(writer, "wb")


def _refusal(reason: str) -> UsageError:
    return UsageError(
        f"generated code cannot be run safely on this machine ({reason}): use a Linux machine "
        f"({' or '.join(_filter.MACHINES)}) with Landlock and seccomp, or leave out the questions "
        "with the scorer code"
    )


def _started(parts: list[_Part], folder: str, limits: Limits) -> _Record:
    children: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        output, printing = map(stack.enter_context, _pipe())
        reports: list[FileIO] = []
        for part in parts:
            reader, writer = map(stack.enter_context, _pipe())
            reports.append(reader)
            child = _spawned(folder, printing, (writer, *part.pipes))
            children.append(child)
            stack.callback(_end_child, child)
            plan = {**_plan(folder, writer.fileno(), limits), **part.plan}
            line = [pipe.fileno() for pipe in part.pipes]
            _hand_over(child, {**plan, "line": line}, part.text)
            for pipe in (writer, *part.pipes):  # only the child keeps them open
                pipe.close()
        printing.close()
        return _listen(children, output, reports, limits)


def _end_child(child: subprocess.Popen[bytes]) -> None:
    with child:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)


def _spawned(folder: str, output: FileIO, passed: tuple[FileIO, ...]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", str(_CHILD)]
    try:
        return subprocess.Popen(  # noqa: S603 - our own script
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=folder,
            env={},
            pass_fds=[pipe.fileno() for pipe in passed],
            start_new_session=True,
        )
    except OSError as err:
        raise _refusal(f"{sys.executable or 'Python'} does not start: {err.strerror}") from err


def _plan(folder: str, report: int, limits: Limits) -> dict[str, Any]:
    memory = limits.memory_mb * 1024 * 1024
    nothing = ("CORE", "FSIZE", "MEMLOCK", "MSGQUEUE", "NPROC")
    bounds = {f"RLIMIT_{name}": (0, 0) for name in nothing} | {
        "RLIMIT_AS": (memory, memory),
        "RLIMIT_CPU": (limits.cpu_s, limits.cpu_s + 1),  # SIGXCPU first, then SIGKILL
        "RLIMIT_NOFILE": (_OPEN_FILES, _OPEN_FILES),
    }
    return {
        "report": report,
        "parent": os.getpid(),
        "limits": bounds,
        "readable": [folder, *_library()],
        "filter": _filter.program(platform.machine()).hex(),
    }


def _library() -> list[str]:
    """Return the paths of Python's own modules and of the system libraries that they load."""
    system = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")
    extensions = sysconfig.get_config_var("DESTSHARED")
    return [f"{sys.base_prefix}/lib", str(Path(os.__file__).parent), str(extensions), *system]


def _hand_over(child: subprocess.Popen[bytes], plan: dict[str, Any], program: str) -> None:
    with suppress(BrokenPipeError), cast("BinaryIO", child.stdin) as pipe:
        pipe.write(json.dumps(plan).encode() + b"\n" + program.encode("utf-8", "replace"))


def _listen(
    children: list[subprocess.Popen[bytes]], output: FileIO, reports: list[FileIO], limits: Limits
) -> _Record:
    """Read pipes until the first child ends, time is over or too much is printed; return all."""
    printed, *reported = (bytearray() for _ in (output, *reports))
    streams = [(output, printed, limits.output_bytes)]
    streams += [(*one, _REPORT_BYTES) for one in zip(reports, reported, strict=True)]
    deadline = time.monotonic() + _START_S
    stopped, running = "", False
    with selectors.DefaultSelector() as watch:
        for source, sink, _ in streams:
            watch.register(source, selectors.EVENT_READ, sink)
        while watch.get_map() and not stopped:
            _take(watch, deadline)
            if not running and all(reported):  # all children are ready: the program's time starts
                running, deadline = True, time.monotonic() + limits.wall_s
            if reports[0] not in watch.get_map():  # the tests are over, so end the program
                for child in children[1:]:
                    _end_child(child)
            full = [source for source, sink, most in streams if len(sink) > most]
            for source in full:  # who writes to it waits until all children are ready
                if source in watch.get_map():
                    watch.unregister(source)
            late = time.monotonic() >= deadline
            stopped = "output" if full and running else "timeout" if late else ""
    stopped = stopped or _wait(children[0], deadline)
    codes = [child.returncode or 0 for child in children]
    reports_read = [bytes(report).splitlines() for report in reported]
    return _Record(bytes(printed), reports_read, stopped, codes)


def _take(watch: selectors.BaseSelector, deadline: float) -> None:
    """Read the available data; wait for some until the deadline."""
    for key, _ in watch.select(max(0.0, deadline - time.monotonic())):
        chunk = os.read(key.fd, _CHUNK)
        key.data.extend(chunk)
        if not chunk:
            watch.unregister(key.fileobj)


def _wait(child: subprocess.Popen[bytes], deadline: float) -> str:
    """Return "timeout" if a child that has closed its streams does not end in time, else ""."""
    try:
        child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "timeout"
    return ""


def _end(record: _Record) -> tuple[str, str, float | None]:
    """Return state, message and run time in ms."""
    if record.stopped:
        return record.stopped, _STOPPED[record.stopped], None
    try:
        end = msgspec.json.decode(record.reports[0][1], type=_End)
    except (IndexError, msgspec.DecodeError):
        return *_silent_end(record.codes[0]), None
    if end.state == "gone":
        return *_silent_end(record.codes[-1]), None
    state = "exception" if end.state == "broken" else end.state
    return state, end.message, end.runtime_ms


def _silent_end(code: int) -> tuple[str, str]:
    if code >= 0:
        return "exit", f"it exited with code {code}"
    name = signal.Signals(-code).name
    return ("timeout", "its CPU time was used up") if name == "SIGXCPU" else ("crash", name)
