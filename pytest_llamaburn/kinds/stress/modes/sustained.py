"""One fixed load for a long time: whether the server stays as it began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.load.step import CLIENTS, RATE, Step

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pytest_llamaburn.kinds.stress.run import Baseline
    from pytest_llamaburn.load.rows import Request

LENGTH_S = 15 * 60.0
CLIENTS_UNASKED = 4
SHARE_OF_BASELINE = 0.5  # of what one client gets done: a rate that any server can keep up


def plan(settings: Any, baseline: Baseline) -> Generator[Step, Sequence[Request], dict[str, Any]]:
    """Ask for the one load."""
    (step,) = steps(settings, baseline.total_s)
    yield step
    return {"stop_reason": "the time was over"}


def steps(settings: Any, total_s: float) -> list[Step]:
    """Return the one load that is sent where one client's requests take so long."""
    seconds = settings.duration or LENGTH_S
    if settings.arrival:
        rate = settings.rate or SHARE_OF_BASELINE / total_s
        return [Step(rate, RATE, seconds=seconds, keep_records=False)]
    clients = settings.concurrency or CLIENTS_UNASKED
    return [Step(clients, CLIENTS, seconds=seconds, keep_records=False)]
