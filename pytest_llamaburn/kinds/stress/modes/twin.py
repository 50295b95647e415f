"""A short load that shows how a server works, then the users whose latencies are predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.capacity import queue_replay
from pytest_llamaburn.kinds.stress.modes.sweep import doubling
from pytest_llamaburn.kinds.stress.plan import Ending, named_levels
from pytest_llamaburn.load.step import CLIENTS, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.kinds.stress.plan import Plan
    from pytest_llamaburn.kinds.stress.run import Baseline
    from pytest_llamaburn.kinds.stress.settings import Stress
    from pytest_llamaburn.load.rows import Request

FEWEST = 24  # minimum number of requests of a level
ROUNDS = 8  # requests of each client of a level
USERS_REQUESTS = 200  # of all users: three times as many as certify a p95
USERS_ROUNDS = 4  # requests of each user, at least


def plan(settings: Stress, baseline: Baseline) -> Plan:  # noqa: ARG001 - every mode has it
    """Yield levels until requests wait for a slot, then the load of the users."""
    *levels, of_users = steps(settings)
    runs: list[Sequence[Request]] = []
    for step in levels:
        runs.append((yield step))
        if not settings.levels and _filled(runs, step.level):
            break
    yield of_users
    return Ending("the load of the users was sent")


def steps(settings: Stress, total_s: float = 0.0) -> list[Step]:  # noqa: ARG001 - every mode has it
    """Return all levels, without pauses, and the load of the users."""
    if settings.levels:
        levels = named_levels(settings.levels)
    else:
        levels = doubling(1, settings.max_concurrency)
    users = settings.users or 1
    requests = None if settings.duration else max(USERS_REQUESTS, USERS_ROUNDS * users)
    of_users = Step(users, CLIENTS, requests, settings.duration)
    return [*(_level(settings, level) for level in levels), of_users]


def _level(settings: Stress, level: float) -> Step:
    requests = settings.level_requests or max(FEWEST, round(ROUNDS * level))
    return Step(level, CLIENTS, requests, pauses=False)


def _filled(runs: Sequence[Sequence[Request]], clients: float) -> bool:
    """Return whether half of the clients, or more, waited for a slot."""
    ordered = [sorted(run, key=lambda request: request.sent_ns) for run in runs]
    queue = queue_replay.seen(ordered, clients)
    return queue is not None and 2 * queue.slots <= clients
