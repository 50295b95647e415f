"""Confined processes: they are started, watched until they end, and ended.

The memory of a program is read from the kernel when the program ends itself: a second seccomp
filter lets us look at the process just before. The usual way, the resource usage that `wait4` tells
of a child, includes the memory of the process that started it.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import platform
import re
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self, cast

import msgspec

from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.sandbox import _filter
from pytest_llamaburn.sandbox._languages import Limits, Rights, rules

if TYPE_CHECKING:
    from collections.abc import Callable

_CHILD = Path(__file__).parent / "_child.py"
_BECOME = Path(__file__).parent / "_become.py"
_CHUNK = 65536
_REPORT_BYTES = 16384
_START_S = 60.0  # time for the interpreter to start on a busy machine
_RECEIVE, _SEND, _NOTICE_BYTES = 0xC0502100, 0xC0182101, 80  # ioctl of struct seccomp_notif
_CONTINUE = 1
_UNSEEN = "it did not end by itself"


class Start(msgspec.Struct):
    """The child's first line: the Landlock version that confines it, or why it is not confined.

    `began_s` is on the clock of `time.monotonic`.
    """

    ready: int = 0
    refused: str = ""
    began_s: float = 0.0


class Part(NamedTuple):
    """Source code to run in a process of its own, its plan and rights, and the pipes it may use."""

    text: str
    plan: dict[str, Any]
    rights: Rights
    pipes: tuple[FileIO, ...] = ()


class Peak(NamedTuple):
    """The largest resident memory of a process in bytes, or why it is not known."""

    size: int | None = None
    reason: str = _UNSEEN


class Record(NamedTuple):
    """What was printed, the reports of each child, what stopped them, and their exit codes.

    Only the first child's report is trusted. `peak` is of the last child, which is the program;
    `ended_s` is when the first ended, on the clock of `time.monotonic`.
    """

    output: bytes
    stdout: bytes
    stderr: bytes
    reports: list[list[bytes]]
    stopped: str
    codes: list[int]
    peak: Peak
    ended_s: float

    @property
    def began_s(self) -> float:
        """When the program of the first child began."""
        return start(self.reports[0]).began_s


def contained(parts: list[Part], folder: str, limits: Limits) -> Record:
    """Run programs confined; return their record. Raises UsageError if they cannot be confined."""
    if sys.platform != "linux" or platform.machine() not in _filter.MACHINES:
        raise refusal(f"{platform.system()} on {platform.machine()} is not supported")
    record = _started(parts, folder, limits)
    for report, code in zip(record.reports, record.codes, strict=True):
        first = start(report)
        if not first.ready:
            last_line = record.output.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise refusal(first.refused or last_line or f"Python ended with code {code}")
    return record


def start(report: list[bytes]) -> Start:
    """Return the first line of a child's report."""
    return msgspec.json.decode(report[0], type=Start) if report else Start()


def pipe() -> tuple[FileIO, FileIO]:
    """Return the read end and the write end of a pipe; closing an end twice is harmless."""
    reader, writer = os.pipe()
    return FileIO(reader, "rb"), FileIO(writer, "wb")


def refusal(reason: str) -> UsageError:
    """Return the error of a machine that cannot confine a program."""
    return UsageError(
        f"generated code cannot be run safely on this machine ({reason}): use a Linux machine "
        f"({' or '.join(_filter.MACHINES)}) with Landlock and seccomp, or leave out the questions "
        "with the scorer code"
    )


def _started(parts: list[Part], folder: str, limits: Limits) -> Record:
    children: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        readers, printing = zip(*(map(stack.enter_context, pipe()) for _ in range(2)), strict=True)
        ours, theirs = map(stack.enter_context, socket.socketpair())
        reports: list[FileIO] = []
        for part in parts:
            reader, writer = map(stack.enter_context, pipe())
            reports.append(reader)
            line = [one.fileno() for one in part.pipes]
            watch = theirs.fileno() if part is parts[-1] else 0
            passed = (writer.fileno(), *line, *filter(None, [watch]))
            script = _BECOME if part.rights.command else _CHILD
            child = _spawned(script, folder, printing, passed)
            children.append(child)
            stack.callback(end, child)
            about = {"report": writer.fileno(), "parent": os.getpid(), "watch": watch}
            plan = {**about, "line": line, "input": "", **rules(part.rights, child.pid)}
            _hand_over(child, {**plan, **part.plan}, part.text)
            for one in (writer, *part.pipes):  # only the child keeps them open
                one.close()
        for one in (*printing, theirs):
            one.close()
        return stack.enter_context(_Watch(children, limits)).record(readers, reports, ours)


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a child and all that it started; until we wait for it, its group is surely its own."""
    with child:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)


def _spawned(
    script: Path, folder: str, printing: tuple[FileIO, ...], passed: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", str(script)]
    try:
        return subprocess.Popen(  # noqa: S603 - our own script
            command,
            stdin=subprocess.PIPE,
            stdout=printing[0],
            stderr=printing[1],
            cwd=folder,
            env={},
            pass_fds=passed,
            start_new_session=True,
        )
    except OSError as err:
        raise refusal(f"{sys.executable or 'Python'} does not start: {err.strerror}") from err


def _hand_over(child: subprocess.Popen[bytes], plan: dict[str, Any], program: str) -> None:
    with suppress(BrokenPipeError), cast("BinaryIO", child.stdin) as given:
        given.write(marshal.dumps(plan) + program.encode("utf-8", "replace"))


class _Stream(NamedTuple):
    """A pipe to read, where its content goes, and how many bytes the first place takes."""

    source: FileIO
    sinks: tuple[bytearray, ...]
    most: int

    @property
    def full(self) -> bool:
        return len(self.sinks[0]) > self.most


class _Watch:
    """Reads what children write until the first ends, time is over or too much is printed."""

    def __init__(self, children: list[subprocess.Popen[bytes]], limits: Limits) -> None:
        self._children, self._limits = children, limits
        self._selector = selectors.DefaultSelector()
        self._closing = ExitStack()
        self._closing.enter_context(self._selector)
        self._first = os.pidfd_open(children[0].pid)
        self._closing.callback(os.close, self._first)
        self._peak, self._ended_s = Peak(), 0.0
        self._deadline = time.monotonic() + _START_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def record(
        self, readers: tuple[FileIO, ...], reports: list[FileIO], watch: socket.socket
    ) -> Record:
        """Return what the children wrote, and how they ended."""
        output, *printed = (bytearray() for _ in (0, *readers))
        reported = [bytearray() for _ in reports]
        streams = [
            _Stream(reader, (output, own), self._limits.output_bytes)
            for reader, own in zip(readers, printed, strict=True)
        ]
        streams += [
            _Stream(reader, (sink,), _REPORT_BYTES)
            for reader, sink in zip(reports, reported, strict=True)
        ]
        self._listen(streams, watch)
        stopped = self._run(streams, reported, reports[0])
        for child in self._children:
            end(child)
        codes = [child.returncode or 0 for child in self._children]
        said = [bytes(report).splitlines() for report in reported]
        stdout, stderr = map(bytes, printed)
        ended = (codes, self._peak, self._ended_s)
        return Record(bytes(output), stdout, stderr, said, stopped, *ended)

    def _listen(self, streams: list[_Stream], watch: socket.socket) -> None:
        for stream in streams:
            self._on(stream.source, partial(self._take, stream))
        self._on(watch, partial(self._take_listener, watch))
        self._on(self._first, self._first_ended)

    def _run(self, streams: list[_Stream], reported: list[bytearray], report: FileIO) -> str:
        """Read until nothing is left to read; return what stopped the children, if anything did."""
        running = False
        awaited = [self._first, *(stream.source for stream in streams)]
        while any(map(self._reads, awaited)):
            for key, _ in self._selector.select(max(0.0, self._deadline - time.monotonic())):
                if self._reads(key.fileobj):  # another one may have removed it
                    key.data()
            if not running and all(reported):  # all children are ready: the program's time starts
                running, self._deadline = True, time.monotonic() + self._limits.wall_s
            if not self._reads(report):  # the tests are over, so end the program
                self._end_program()
            full = [stream for stream in streams if stream.full]
            for stream in full:  # who writes to it waits until all children are ready
                self._off(stream.source)
            if full and running:
                return "output"
            if time.monotonic() >= self._deadline:
                return "timeout"
        return ""

    def _on(self, source: Any, answer: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, answer)

    def _off(self, source: Any) -> None:
        if self._reads(source):
            self._selector.unregister(source)

    def _reads(self, source: object) -> bool:
        return source in self._selector.get_map()

    def _take(self, stream: _Stream) -> None:
        chunk = os.read(stream.source.fileno(), _CHUNK)
        for sink in stream.sinks:
            sink.extend(chunk)
        if not chunk:
            self._off(stream.source)

    def _take_listener(self, watch: socket.socket) -> None:
        """Take the listener that a child hands over, or its reason for having none."""
        said, descriptors, _, _ = socket.recv_fds(watch, 256, 1)
        self._off(watch)
        if not descriptors:
            self._peak = Peak(None, said.decode("utf-8", "replace") or _UNSEEN)
            return
        (listener,) = descriptors
        self._closing.callback(os.close, listener)
        self._on(listener, partial(self._before_end, listener))

    def _before_end(self, listener: int) -> None:
        """Look at a process that ends itself, and let it."""
        look = select.poll()
        look.register(listener, select.POLLIN)
        if not any(event & select.POLLIN for _, event in look.poll(0)):
            self._off(listener)  # it is gone, and reading would wait for ever
            return
        with suppress(OSError):  # it may be killed at any time
            notice = bytearray(_NOTICE_BYTES)
            fcntl.ioctl(listener, _RECEIVE, notice)
            self._ended_s = time.monotonic()
            self._peak = _peak(self._children[-1].pid)
            identity = notice[:8]
            fcntl.ioctl(listener, _SEND, identity + struct.pack("=qiI", 0, 0, _CONTINUE))

    def _first_ended(self) -> None:
        self._ended_s = self._ended_s or time.monotonic()
        self._off(self._first)

    def _end_program(self) -> None:
        for child in self._children[1:]:
            if child.returncode is None:
                self._peak = _peak(child.pid)
            end(child)


def _peak(pid: int) -> Peak:
    """Return the largest resident memory of a process so far, as the kernel counts it."""
    try:
        found = re.search(
            r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("utf-8"), re.MULTILINE
        )
    except OSError as err:
        return Peak(None, f"/proc/{pid}/status cannot be read: {err.strerror}")
    return Peak(int(found[1]) * 1024, "") if found else Peak()
