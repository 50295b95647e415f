"""Child processes that outlive their server: started with files as their streams, or adopted."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_BLOCK = 1 << 20


class Process:
    """A process with its children as one group; `code` is known of one that we started."""

    def __init__(self, pid: int, own: subprocess.Popen[bytes] | None = None) -> None:
        """Take a running process; raises psutil.Error where it is gone."""
        self.pid, self._own = pid, own
        self._seen = psutil.Process(pid)
        self.began = self._seen.create_time()
        self.code: int | None = None

    def over(self) -> bool:
        """Return whether it has ended."""
        if self._own is not None:
            self.code = self._own.poll()
            return self.code is not None
        with suppress(psutil.NoSuchProcess):
            return not self._seen.is_running() or self._seen.status() == psutil.STATUS_ZOMBIE
        return True

    def interrupt(self) -> None:
        """Have it finish what it has and end, as Ctrl-C does."""
        self._send(signal.SIGINT)

    def terminate(self) -> None:
        """Have it end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its children."""
        if not self.over():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if not self.over():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def started(words: Sequence[str], said: Path, env: Mapping[str, str] | None) -> Process:
    """Start a process in a group of its own, whose standard error is a file; raises OSError."""
    with said.open("ab") as stderr:
        own = subprocess.Popen(  # noqa: S603 - our own program, with words that were checked
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=env,
            start_new_session=True,
        )
    return Process(own.pid, own)


def adopted(pid: int | None, began: float | None) -> Process | None:
    """Return the process with this number that began at this time, None where it has ended."""
    with suppress(psutil.Error):
        found = Process(pid or 0)
        if found.began == began and not found.over():
            return found
    return None


class Tail:
    """The lines of a file that grows, each given once."""

    def __init__(self, path: Path) -> None:
        """Read a file from its begin; one that is not there has no lines."""
        self._rest = b""
        try:
            self._fd = os.open(path, os.O_RDONLY)
        except OSError:
            self._fd = os.open(os.devnull, os.O_RDONLY)

    def __enter__(self) -> Self:
        """Keep the file open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        os.close(self._fd)

    def lines(self) -> list[str]:
        """Return the whole lines that were added."""
        data = self._rest
        while block := os.read(self._fd, _BLOCK):
            data += block
        *whole, self._rest = data.split(b"\n")
        return [line.decode(errors="replace") for line in whole]
