"""Starts the command as a process of its own, without paying for its imports each time.

On Linux a fork server that has imported everything forks the process (see `fork_server.py`). It is
a child of this process like any other: its pid, signals, exit code and streams are its own. Where
the interpreter's own start matters (variables that it reads, what it may not import), and on other
systems, a new interpreter is started instead.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, AnyStr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ADOPTING = 36  # PR_SET_CHILD_SUBREAPER: orphans below this process become its children
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "COVERAGE_")
_lock = threading.Lock()


class Process(subprocess.Popen[AnyStr]):
    """`subprocess.Popen`, whose process is a fork wherever that makes no difference."""

    def _execute_child(self, *given: Any) -> None:
        """Start the process; the arguments are those of `subprocess.Popen._execute_child`."""
        argv, _, before, _, _, cwd, env, _, _, _, *rest = given
        pipes, session = rest[:6], rest[11]
        stdin, _, _, stdout, _, stderr = pipes
        if before is not None or not forkable(argv, env):
            super()._execute_child(*given)  # type: ignore[misc]
            return
        ends = [end if end >= 0 else number for number, end in enumerate((stdin, stdout, stderr))]
        asked = {
            "words": argv[3:],
            "cwd": str(Path(cwd or ".").absolute()),
            "env": dict(os.environ if env is None else env),
            "session": session,
        }
        try:
            self.pid = forked(asked, ends)
            self._child_created = True
        finally:
            self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def run_process(argv: Sequence[str], **about: Any) -> subprocess.CompletedProcess[Any]:
    """Return the ended process with its output, as `subprocess.run` does."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Process(argv, **{**pipes, **about}) as running:
        try:
            stdout, stderr = running.communicate(timeout=300)
        except BaseException:
            running.kill()
            raise
    return subprocess.CompletedProcess(argv, running.returncode, stdout, stderr)


def forkable(argv: Sequence[str], env: Mapping[str, str] | None) -> bool:
    """Return whether a fork of the server does the same as a new interpreter."""
    ours = [*argv[:3]] == [sys.executable, "-m", "pytest_llamaburn"] and sys.platform == "linux"
    return ours and start_of(os.environ if env is None else env) == _AT_START


def start_of(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that only the start of an interpreter reads."""
    return {name: value for name, value in env.items() if name.startswith(_READ_AT_START)}


def forked(asked: Mapping[str, Any], descriptors: list[int]) -> int:
    """Return the pid of a new child of this process that the fork server made."""
    prctl = ctypes.CDLL(None).prctl
    with _lock:
        line = server()
        prctl(_ADOPTING, 1, 0, 0, 0)
        try:
            socket.send_fds(line, [json.dumps(asked).encode()], descriptors)
            return int(line.recv(32))
        finally:
            prctl(_ADOPTING, 0, 0, 0, 0)


@cache
def server() -> socket.socket:
    """Return the line to a new fork server, which ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = Path(__file__).with_name("fork_server.py")
    env = {**os.environ, **_AT_START, "OPENBLAS_NUM_THREADS": "1"}  # no fork has its threads
    running = subprocess.Popen(
        [sys.executable, str(path), str(theirs.fileno())], env=env, pass_fds=[theirs.fileno()]
    )
    theirs.close()

    def end() -> None:
        ours.close()
        running.wait()

    atexit.register(end)
    return ours


_AT_START = start_of(os.environ)  # what the server is started with, whatever a test sets later
