"""One fixed load for a long time: whether the server stays as it began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.load.step import CLIENTS, RATE, Step

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pytest_llamaburn.load.records import Record
    from pytest_llamaburn.load.stress import Baseline

LENGTH_S = 15 * 60.0
CLIENTS_UNASKED = 4
SHARE_OF_BASELINE = 0.5  # of what one client gets done: a rate that any server can keep up


def plan(settings: Any, baseline: Baseline) -> Generator[Step, Sequence[Record], dict[str, Any]]:
    """Ask for the one load."""
    seconds = settings.duration or LENGTH_S
    if settings.arrival:
        rate = settings.rate or SHARE_OF_BASELINE / baseline.total_s
        yield Step(rate, RATE, seconds=seconds, tells=False)
    else:
        clients = settings.concurrency or CLIENTS_UNASKED
        yield Step(clients, CLIENTS, seconds=seconds, tells=False)
    return {"stop_reason": "the time was over"}
