"""A short load that shows how a server works, then the users whose latencies are predicted."""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING

from pytest_llamaburn.capacity import queue_replay
from pytest_llamaburn.kinds.stress.modes.sweep import doubling
from pytest_llamaburn.kinds.stress.plan import BASELINE_REQUESTS, Ending, named_levels
from pytest_llamaburn.load.step import CLIENTS, Step
from pytest_llamaburn.load.think import mean_think_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.kinds.stress.plan import Plan
    from pytest_llamaburn.kinds.stress.run import Baseline
    from pytest_llamaburn.kinds.stress.settings import Stress
    from pytest_llamaburn.load.rows import Request

FEWEST_LEVELS = 2  # that show how speed depends on the load
FEWEST = 24  # minimum number of requests of a level
ROUNDS = 8  # requests of each client of a level
USERS_REQUESTS = 200  # of all users: three times as many as certify a p95
USERS_ROUNDS = 4  # requests of each user, at least


def plan(settings: Stress, baseline: Baseline) -> Plan:
    """Yield levels until requests wait for a slot, then the load of the users.

    The levels take at most half of --budget, but there are always two; the users get the rest.
    """
    clock = _Clock(settings.budget, BASELINE_REQUESTS * baseline.total_s)
    *levels, of_users = steps(settings)
    runs: list[Sequence[Request]] = []
    rate = 1 / baseline.total_s
    for step in levels:
        requests = step.requests or 0
        if len(runs) >= FEWEST_LEVELS and clock.left_s() - requests / rate < clock.half_s:
            break
        began = perf_counter()
        runs.append((yield step))
        rate = requests / (perf_counter() - began)
        if not settings.levels and _filled(runs, step.level):
            break
    last = levels[len(runs) - 1].level
    longest_s = clock.left_s() - _slowest_s(runs[-1]) * max(1.0, of_users.level / last)
    if longest_s <= 0:
        return Ending("--budget was over before the load of the users")
    yield _within(of_users, longest_s, _users_s(settings, baseline.total_s, rate))
    return Ending("the load of the users was sent")


class _Clock:
    """The time that is left of a budget, of which a part is spent already."""

    def __init__(self, budget_s: float | None, spent_s: float) -> None:
        self._end_s = perf_counter() - spent_s + (budget_s or math.inf)
        self.half_s = budget_s / 2 if budget_s else 0.0

    def left_s(self) -> float:
        return self._end_s - perf_counter()


def _slowest_s(run: Sequence[Request]) -> float:
    return max(((request.end_ns - request.sent_ns) / 1e9 for request in run), default=0.0)


def _within(step: Step, longest_s: float, needed_s: float) -> Step:
    """Return the load of the users, no longer than this."""
    if step.seconds is not None:
        return step._replace(seconds=min(step.seconds, longest_s))
    if needed_s <= longest_s:
        return step
    return step._replace(requests=None, seconds=longest_s)


def _users_s(settings: Stress, total_s: float, rate: float) -> float:
    """Return about how long the load of the users takes on a server with this highest rate."""
    of_users = steps(settings)[-1]
    if of_users.seconds is not None:
        return of_users.seconds
    pause_s = mean_think_ns(settings.think_time) / 1e9
    return (of_users.requests or 0) * max(1 / rate, (pause_s + total_s) / of_users.level)


def seconds(settings: Stress, total_s: float, slots: int) -> float:
    """Return about how long the load takes on a server that answers so many requests at once."""
    rate = slots / total_s
    needed_s = BASELINE_REQUESTS * total_s
    for step in steps(settings)[:-1]:
        needed_s += (step.requests or 0) / min(rate, step.level / total_s)
        if not settings.levels and step.level >= 2 * slots:
            break
    return min(needed_s + _users_s(settings, total_s, rate), settings.budget or math.inf)


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
