"""One measurement at a time on a machine: the lock, and who holds it.

The holder writes its name beside the lock, so that others can say what they wait for. The kernel
releases the lock when its process ends.
"""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAME = "llamaburn-measuring"
_LONGEST = 80  # characters of another process's words


class Holder(NamedTuple):
    """Who measures: the process, its run and model if known, and since when."""

    pid: int
    since: str
    run_id: str | None = None
    model: str | None = None


@contextmanager
def alone(holder: Holder, tell: Callable[[str], object]) -> Iterator[None]:
    """Hold the machine-wide lock; if it has to wait, `tell` gets a sentence that says for what.

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
            "or measure without it: --allow-parallel"
        ) from None
    try:
        _sign(holder)
        yield
    finally:
        with suppress(OSError):
            _place(".json").unlink()
        lock.release()


def waiting() -> str:
    """Return a sentence for those who wait: which process measures, what, and since when."""
    words = "waiting: another LlamaBurn measurement runs on this machine"
    try:
        found = Holder(**json.loads(_place(".json").read_text(encoding="utf-8")))
        parts = [f"process {int(found.pid)} ({_command(found.pid)})"]
    except (OSError, ValueError, TypeError, LookupError):
        return words
    if found.run_id:
        parts.append(f"run {found.run_id}" + (f" of {found.model}" if found.model else ""))
    told = ", ".join([*parts, f"since {found.since}"])
    return f"{words}: {_plain(told, 4 * _LONGEST)}; Ctrl-C ends the wait"


def _command(pid: int) -> str:
    """Return the command line of a process; raises LookupError if it cannot be read."""
    import psutil

    try:
        return _plain(shlex.join(psutil.Process(pid).cmdline()), _LONGEST)
    except psutil.Error as err:
        raise LookupError(pid) from err


def _sign(holder: Holder) -> None:
    """Write who holds the lock, atomically; the file of another user is left alone."""
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


def _plain(text: Any, most: int) -> str:
    """Return a text of another process as one line without control characters."""
    shown = "".join(c if c.isprintable() else " " for c in str(text))
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
