"""Runs a program nobody vouches for, in a child process that can do no harm; or refuses to.

The child computes and reads Python's own library. It cannot reach a network, read or write another
file, start a process or thread, or signal anybody; its memory, time and output are bounded. Nothing
needs root or namespaces: Landlock closes the files, a seccomp filter refuses the system calls, both
for good before the program's first line. Where one of them is missing nothing runs.

Not hidden are the names and sizes of files, and the program could forge its own ending: the sandbox
contains harm, it is no witness against a program written for it.
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
from contextlib import suppress
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


class _Start(msgspec.Struct):
    """The child's first line: the version of Landlock that holds it, or why nothing does."""

    ready: int = 0
    refused: str = ""


class _End(msgspec.Struct):
    """The child's second line, which the program may have invented."""

    state: Literal["finished", "assertion", "exception", "memory", "exit"]
    message: str
    runtime_ms: float


class _Heard(NamedTuple):
    """What a child printed and reported, what stopped it if anything did, and its exit code."""

    output: bytes
    report: list[bytes]
    stopped: str
    code: int


def run(program: str, *, limits: Limits = _DEFAULT) -> Outcome:
    """Return how a Python program ended that had only its limits to use.

    Raises UsageError where the platform cannot contain it; then nothing has run.
    """
    heard = _contained(program, limits)
    state, message, runtime_ms = _end(heard)
    output = heard.output[: limits.output_bytes].decode("utf-8", "replace")
    return Outcome(state, message, output, runtime_ms)


def limits_of_platform() -> dict[str, str]:
    """Return what bounds a program on this machine, by what is bounded, after trying it.

    Raises UsageError where the platform cannot contain a program.
    """
    version = _start(_contained("", _DEFAULT)).ready
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


def _contained(program: str, limits: Limits) -> _Heard:
    """Return what was heard of a program that ran confined. Raises UsageError if it could not."""
    if sys.platform != "linux" or platform.machine() not in _filter.MACHINES:
        raise _refusal(f"{platform.system()} on {platform.machine()} is not supported")
    with tempfile.TemporaryDirectory(prefix="llamaburn-") as place:
        os.chmod(place, 0o500)  # noqa: PTH101 - nothing is written there
        heard = _started(program, place, limits)
    start = _start(heard)
    if not start.ready:
        said = heard.output.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise _refusal(start.refused or said or f"Python ended with code {heard.code}")
    return heard


def _start(heard: _Heard) -> _Start:
    return msgspec.json.decode(heard.report[0], type=_Start) if heard.report else _Start()


def _refusal(reason: str) -> UsageError:
    return UsageError(
        f"answers that are code cannot be run safely here ({reason}): use a Linux machine "
        f"({' or '.join(_filter.MACHINES)}) with Landlock and seccomp, or leave out the questions "
        "whose scorer is code"
    )


def _started(program: str, place: str, limits: Limits) -> _Heard:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as report:
        with os.fdopen(writer, "wb", buffering=0):  # the child alone holds it from then on
            child = _spawned(place, writer)
        with child:
            try:
                _hand_over(child, _plan(place, writer, limits), program)
                return _listen(child, report, limits)
            finally:
                if child.returncode is None:
                    os.killpg(child.pid, signal.SIGKILL)


def _spawned(place: str, report: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", str(_CHILD)]
    try:
        return subprocess.Popen(  # noqa: S603 - our own script
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=place,
            env={},
            pass_fds=[report],
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


def _listen(child: subprocess.Popen[bytes], report: BinaryIO, limits: Limits) -> _Heard:
    """Return what was heard until the child ended, its time was over or it printed too much."""
    printed, reported = bytearray(), bytearray()
    deadline = time.monotonic() + _START_S
    stopped = ""
    with selectors.DefaultSelector() as watch:
        watch.register(cast("BinaryIO", child.stdout), selectors.EVENT_READ, printed)
        watch.register(report, selectors.EVENT_READ, reported)
        while watch.get_map() and not stopped:
            ready = bool(reported)
            _take(watch, deadline)
            if reported and not ready:  # its first word: the program's clock starts
                deadline = time.monotonic() + limits.wall_s
            full = len(printed) > limits.output_bytes or len(reported) > _REPORT_BYTES
            stopped = "output" if full else _late(deadline)
    stopped = stopped or _wait(child, deadline)
    return _Heard(bytes(printed), bytes(reported).splitlines(), stopped, child.returncode or 0)


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
        end = msgspec.json.decode(heard.report[1], type=_End)
    except (IndexError, msgspec.DecodeError):
        return *_silent_end(heard.code), None
    return end.state, end.message, end.runtime_ms


def _silent_end(code: int) -> tuple[str, str]:
    if code >= 0:
        return "exit", f"it ended its own process with code {code}"
    name = signal.Signals(-code).name
    return ("timeout", "its CPU time was used up") if name == "SIGXCPU" else ("crash", name)
