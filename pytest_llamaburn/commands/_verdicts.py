"""What the actions of `llamaburn judge` share: verdicts that were paid for are not lost."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_llamaburn.judges._kept import KeptJudging
    from pytest_llamaburn.progress import Progress


@contextmanager
def keeping(work: KeptJudging, action: str) -> Iterator[None]:
    """Keep the verdicts until the report is printed; say how to go on if that does not happen."""
    again = f"continue with llamaburn judge {action} --resume {work.id}"
    try:
        with _ending_as_ctrl_c():
            yield
    except BaseException as err:
        if work.kept:
            cut = "interrupted: " if isinstance(err, KeyboardInterrupt) else ""
            say(f"{cut}{counted(len(work.kept), 'verdict')} kept: {again}")
        raise
    if work.unfinished:
        why = "because the time was over" if work.left else "after failed calls"
        say(f"{counted(work.unfinished, 'verdict')} missing {why}: {again}")
    work.finish()


@contextmanager
def _ending_as_ctrl_c() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end the command as Ctrl-C does."""
    names = ("SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {n: signal.signal(n, lambda *_: signal.raise_signal(signal.SIGINT)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def shown(word: str, unit: str, planned: int, known: int) -> Iterator[Callable[[str], None]]:
    """Show the progress of some verdicts; the function takes the state of each new one."""
    from pytest_llamaburn.progress import Event

    progress = progress_of(word)
    progress.plan(planned)
    progress.resume(known)

    def step(state: str) -> None:
        failure = None if state == "scored" else state
        progress.step(Event(stage="judging", unit=unit, failure=failure))

    try:
        yield step
    finally:
        progress.close()


def progress_of(word: str) -> Progress:
    """Return how to show progress on standard error; nothing if that is not a file."""
    from pytest_llamaburn import progress

    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError):
        descriptor = None
    return progress.make(word, descriptor)


def say(sentence: str) -> None:
    """Print a sentence to standard error."""
    print(f"llamaburn: {sentence}", file=sys.stderr, flush=True)
