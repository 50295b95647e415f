"""Levels at which our own process was the limit: measured again, and never a server's number."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.stress_documents import baseline, closed_loop, level, saved_stress, stress_document
from support.virtual_server import (
    DEADLINE_S,
    SECOND,
    VirtualServer,
    clients,
    drive,
    schedules,
    true_failure_point,
)

from pytest_llamaburn.capacity import loops, measuring_window, open_loop
from pytest_llamaburn.capacity.search import FailurePoint, Limits
from pytest_llamaburn.kinds.stress import levels
from pytest_llamaburn.kinds.stress.run import StressRun as Load
from pytest_llamaburn.load.rows import Rows
from pytest_llamaburn.load.sender import RequestRange
from pytest_llamaburn.load.step import CLIENTS, Step, StepHealth
from pytest_llamaburn.reports import table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.stress_documents import Taken

    from pytest_llamaburn.load.rows import Request
from pytest_llamaburn.load.step import Probe

LIMITS = Limits(1, 1000, round(DEADLINE_S * SECOND), budget=740)


class Busy:
    """What sends; of some visits, by level and how many came before, our side is the limit."""

    def __init__(
        self, send: Callable[[Probe], list[Request]], when: Callable[[float, int], bool]
    ) -> None:
        self.send, self.when = send, when
        self.visits: dict[float, int] = {}

    def __call__(self, probe: Probe) -> list[Request]:
        seen = self.send(probe)
        self.visits[probe.level] = self.visits.get(probe.level, 0) + probe.from_idle
        if not self.when(probe.level, self.visits[probe.level] - 1):
            return seen
        return [one._replace(failure="timeout_total", limited=True) for one in seen]


def ramp(busy: Busy, alone_seen: list[Request]) -> FailurePoint:
    return drive(loops.search(LIMITS._replace(baseline=alone_seen)), busy)[0]


def test_a_level_that_our_side_limited_once_is_measured_again() -> None:
    server = VirtualServer(3, "lognormal")
    truth = true_failure_point(server, "closed", 5000)
    for seed in range(4):
        busy = Busy(clients(server.seed(seed)), lambda at, before: at > 2 and not before)
        found = ramp(busy, server.closed(1, 10))
        assert found.estimate == pytest.approx(truth, rel=0.15)
        assert found.passing is not None
        assert busy.visits[found.passing] >= 2


def test_a_rate_that_our_side_limited_once_is_measured_again() -> None:
    server = VirtualServer(3, "lognormal").seed(2)
    idle = open_loop.idle(server.closed(1, 20))
    busy = Busy(schedules(server, "poisson", 2), lambda at, before: at < 2.5 and not before)
    found, _ = drive(loops.search(LIMITS._replace(start=0.5, alone=idle)), busy)
    assert found.estimate == pytest.approx(true_failure_point(server, "poisson", 5000), rel=0.1)
    assert busy.visits[0.5] == 2


@pytest.mark.parametrize("rates", [False, True])
def test_where_our_side_stays_the_limit_the_search_ends_and_says_so(*, rates: bool) -> None:
    server = VirtualServer(3, "lognormal").seed(1)
    seen = server.closed(1, 20)
    send = schedules(server, "poisson", 1) if rates else clients(server)
    limits = LIMITS._replace(alone=open_loop.idle(seen) if rates else None, baseline=seen)
    busy = Busy(send, lambda at, _: at > 1)
    found, sent = drive(loops.search(limits), busy)
    assert (found.reached, found.estimate, found.reason) == (False, None, "client_limited")
    assert (found.passing, found.failing) == (1, None)
    assert max(count for at, count in busy.visits.items() if at > 1) == 3
    assert sent < 500


def test_between_levels_that_our_side_limits_a_point_is_a_bracket() -> None:
    server = VirtualServer(3, "lognormal").seed(1)
    busy = Busy(clients(server), lambda at, _: 12 < at < 60)
    limits = LIMITS._replace(start=12, maximum=64, budget=2000)
    kind = loops.ClosedLoop(limits)
    for at in (12, 60, 60):
        drive(kind.send(at, 4 * at, burst=at, fresh=True), busy)
    kind.reached = True
    drive(kind.narrow(), busy)
    found = kind.found()
    assert (found.estimate, found.estimator, found.bracket) == (None, "bracket", (12, 60))
    assert found.reason == "client_limited"
    assert max(busy.visits.values()) == 3


def test_a_rate_beside_the_point_that_our_side_limits_ends_the_search() -> None:
    server = VirtualServer(3, "lognormal").seed(2)
    idle = open_loop.idle(server.closed(1, 20))
    busy = Busy(schedules(server, "poisson", 2), lambda at, _: at not in (0.5, 1, 2, 4))
    found, _ = drive(loops.search(LIMITS._replace(start=0.5, alone=idle)), busy)
    assert found.reason == "client_limited"
    assert max(busy.visits.values()) == 3


HEALTHY = StepHealth(cpu_share=0.1, loop_lag_p99_ms=0.5)


@pytest.mark.parametrize(
    ("health", "late_ms", "limited"),
    [
        (HEALTHY, 0, False),
        (HEALTHY._replace(loop_lag_p99_ms=11), 0, True),  # over a tenth of a TTFT of 100 ms
        (HEALTHY._replace(cpu_share=0.95), 0, True),
        (HEALTHY, 30, True),
    ],
)
def test_a_visit_was_limited_by_the_same_rules_as_its_level(
    health: StepHealth, late_ms: int, limited: bool
) -> None:
    seen = [
        one._replace(scheduled_ns=one.sent_ns - late_ms * 1_000_000)
        for one in VirtualServer(4, "constant").closed(4, 40)
    ]
    assert levels.client_limited(seen, measuring_window.Load(4), health) is limited


def test_what_is_told_of_a_visit_says_whether_our_side_was_the_limit_in_it_so_far() -> None:
    seen = dict(enumerate(VirtualServer(4, "constant").closed(4, 40)))
    asked = SimpleNamespace(_sender=None, think_time=None)
    run: Any = SimpleNamespace(
        _sender=None, _worst=StepHealth(), _seen={(3, 0): seen}, settings=asked
    )
    step, place = Step(4, CLIENTS, 40, hold_open=True), RequestRange(3)
    assert not Load._limited(run, step, place, HEALTHY)
    assert Load._limited(run, step, place, HEALTHY._replace(cpu_share=0.95))
    assert Load._limited(run, step, place, HEALTHY), "the visit stays limited"
    assert not Load._limited(run, step, RequestRange(4), HEALTHY), "of another nothing was told"


def test_a_run_that_goes_on_is_told_the_same_marks(tmp_path: Path) -> None:
    file = Rows(tmp_path, "main")
    for number, one in enumerate(closed_loop(2, 3, 100, 2)):
        one.number = number
        file.write(one)
    file.close()
    about = {"step": 1, "attempt": 0, "visit": 1}
    load = Step(2, CLIENTS, 6)._asdict()
    said = [{**about, "load": load, "first": 0}, {**about, "ended_ns": 1, "limited": True}]
    run: Any = SimpleNamespace(_sender=None, folder=tmp_path, _reader=None, _seen={}, _finished={})
    run._requests = lambda *args: Load._requests(run, *args)
    Load.take_over(run, SimpleNamespace(_sender=None, others={"step": said}))  # type: ignore[arg-type]
    assert [one.limited for one in run._finished[1]] == [True] * 6


def late(step: Step, each: int = 12) -> Taken:
    """Return a visit whose requests our side sent 200 ms after they were due."""
    rows = closed_loop(int(step.level), each, 100, 2)
    for one in rows:
        one.scheduled_ns -= 200_000_000
    return step, rows


def test_a_level_counts_the_visits_in_which_our_side_kept_up(tmp_path: Path) -> None:
    again = [late(Step(8, CLIENTS, 96)), level(8)]
    path = saved_stress(tmp_path, [baseline(), level(1), *again])
    last = json.loads(path.read_text())["results"]["levels"][-1]
    assert (last["requests"], last["excluded"]) == (192, 96)
    assert last["client_health"]["client_limited"] is False
    assert last["client_health"]["not_counted"] == 96
    assert "8 clients: 96 requests do not count" in table.render([path])


def test_a_point_in_a_gap_that_our_side_left_says_so(tmp_path: Path) -> None:
    taken = [baseline(), level(1), late(Step(4, CLIENTS, 48)), level(8)]
    point = stress_document(tmp_path, taken)["results"]["degradation_point"]
    assert (point["concurrency"], point["bracket"]) == (None, (1, 8))
    assert point["reason"].endswith("; at 4 the client was too slow")
