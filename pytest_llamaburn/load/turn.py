"""A machine-wide lock: one measurement at a time on a machine.

The holder writes its process, run and model to a file next to the lock, so that waiting processes
can show them. The kernel releases the lock when its process ends.
"""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAME = "llamaburn-measuring"
_LONGEST = 80  # most characters shown of another process's command line


class Holder(NamedTuple):
    """The holder of the lock: the process, its run and model if known, and the start time."""

    pid: int
    since: str
    run_id: str | None = None
    model: str | None = None


@contextmanager
def alone(holder: Holder, tell: Callable[[str], object]) -> Iterator[None]:
    """Hold the machine-wide lock; call `tell` with a sentence if it has to wait.

    Raises SettingsError if the lock file cannot be used.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(_place(".lock"), mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell(waiting())
        lock.acquire()
    except OSError as err:
        raise SettingsError(
            f"the lock file {lock.lock_file} cannot be used: {err.strerror or err}; remove it, "
            "or measure without a lock: --allow-parallel"
        ) from None
    try:
        _sign(holder)
        yield
    finally:
        with suppress(OSError):
            _place(".json").unlink()
        lock.release()


def waiting() -> str:
    """Return the sentence about the running measurement: its process, run, model and start."""
    words = "waiting: another LlamaBurn measurement runs on this machine"
    try:
        holder = Holder(**json.loads(_place(".json").read_text(encoding="utf-8")))
        parts = [f"process {int(holder.pid)} ({_command(holder.pid)})"]
    except (OSError, ValueError, TypeError, LookupError):
        return words
    if holder.run_id:
        parts.append(f"run {holder.run_id}" + (f" of {holder.model}" if holder.model else ""))
    description = ", ".join([*parts, f"since {holder.since}"])
    return f"{words}: {_plain(description, 4 * _LONGEST)}"


def _command(pid: int) -> str:
    """Return the command line of a process; raises LookupError if it cannot be read."""
    import psutil

    try:
        return _plain(shlex.join(psutil.Process(pid).cmdline()), _LONGEST)
    except psutil.Error as err:
        raise LookupError(pid) from err


def _sign(holder: Holder) -> None:
    """Write the holder's file atomically; another user's file stays unchanged."""
    with suppress(OSError):
        number, name = tempfile.mkstemp(prefix=f"{_NAME}-", dir=tempfile.gettempdir())
        with os.fdopen(number, "w", encoding="utf-8") as file:
            os.fchmod(number, 0o644)
            json.dump(holder._asdict(), file)
        try:
            Path(name).replace(_place(".json"))
        except OSError:
            Path(name).unlink()


def _place(suffix: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{_NAME}{suffix}"


def _plain(text: object, limit: int) -> str:
    """Return another process's text as one shortened line without control characters."""
    shown = "".join(c if c.isprintable() else " " for c in str(text))
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
