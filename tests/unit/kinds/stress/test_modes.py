"""What each mode asks for, told a baseline of 100 ms a request."""

from __future__ import annotations

from typing import Any, cast

import pytest
from support.stress_documents import baseline, closed_loop

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.stress import plan
from pytest_llamaburn.kinds.stress.modes import ramp, spike, sustained, sweep, twin
from pytest_llamaburn.kinds.stress.plan import Ending
from pytest_llamaburn.kinds.stress.run import Baseline
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.load.rows import request_of
from pytest_llamaburn.load.step import CLIENTS, RATE, Burst, Step
from pytest_llamaburn.option import model_of

BASELINE = Baseline(0.1, 0.01, 10.0, [request_of(row) for row in baseline(60)[1]])


def stress_settings(**values: Any) -> Stress:
    return cast("Stress", model_of(Stress)(**values))


def steps(mode: Any, **values: Any) -> tuple[list[Step], Ending]:
    """Return all that a mode asks for if told nothing, and what it found."""
    plan = mode.plan(stress_settings(**values), BASELINE)
    asked = [next(plan)]
    while True:
        try:
            asked.append(plan.send([]))
        except StopIteration as end:
            return asked, end.value


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ({"max_concurrency": 8}, [1, 2, 4, 8]),
        ({"max_concurrency": 6}, [1, 2, 4, 6]),
        ({"max_concurrency": 1}, [1]),
        ({"levels": "1,3,5"}, [1, 3, 5]),
        ({"arrival": "static", "max_concurrency": 4}, [10, 20, 40]),
        ({"arrival": "static", "rate": 3, "max_rate": 7}, [3, 6, 7]),
        ({"arrival": "static", "rate": 3, "max_rate": 12.1}, [3, 6, 12.1]),
    ],
)
def test_a_sweep_doubles_up_to_its_maximum_or_takes_the_levels_named(
    values: dict[str, Any], levels: list[float]
) -> None:
    asked, found = steps(sweep, **values)
    assert [step.level for step in asked] == levels
    assert {step.unit for step in asked} == {RATE if "arrival" in values else CLIENTS}
    assert found == Ending("all levels were measured")


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ({}, [(12, None), (24, None)]),
        ({"level_requests": 7}, [(7, None), (7, None)]),
        ({"level_duration": 5}, [(None, 5), (None, 5)]),
        ({"arrival": "poisson"}, [(12, None), (12, None)]),
        ({"arrival": "poisson", "levels": "20,100"}, [(16, None), (80, None)]),  # 8 · 0.1 s
        ({"arrival": "poisson", "levels": "20,9000"}, [(16, None), (4000, None)]),
    ],
)
def test_a_level_ends_by_its_own_rule(values: dict[str, Any], ends: list[Any]) -> None:
    asked, _ = steps(sweep, **{"levels": "1,4", **values})
    assert [(step.requests, step.seconds) for step in asked] == ends


@pytest.mark.parametrize(
    ("values", "load"),
    [
        ({}, (4, CLIENTS, 900)),
        ({"concurrency": 9, "duration": 60}, (9, CLIENTS, 60)),
        ({"arrival": "poisson"}, (5, RATE, 900)),
        ({"arrival": "poisson", "rate": 2}, (2, RATE, 900)),
    ],
)
def test_sustained_is_one_load_whose_records_are_not_held(
    values: dict[str, Any], load: tuple[float, str, float]
) -> None:
    ((step,), found) = steps(sustained, **values)
    assert (step.level, step.unit, step.seconds) == load
    assert not step.keep_records
    assert found == Ending("the time was over")


def test_spikes_come_apart_upon_one_load_that_is_known_before_the_first() -> None:
    (step,), _ = steps(spike, spikes=2, spike_duration=5)
    assert (step.level, step.unit) == (4, RATE)  # 0.4 of what one client gets done
    steady_s = step.bursts[0].start_s
    assert step.bursts == (Burst(20, 5, 40, RATE), Burst(55, 5, 40, RATE))
    assert step.seconds == steady_s + 2 * 35


def test_a_spike_takes_clients_or_a_rate_and_waits_as_long_as_it_is_told() -> None:
    (step,), _ = steps(spike, spikes=1, rate=20, spike_concurrency=8, duration=100)
    assert step.bursts == (Burst(20, 10, 8, CLIENTS),)
    assert step.seconds == 20 + 10 + 100
    (step,), _ = steps(spike, spikes=1, rate=20, spike_rate=90)
    assert step.bursts == (Burst(20, 10, 90, RATE),)


def test_a_spike_below_the_load_that_it_comes_upon_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"--spike-rate 3 is refused: .* steady load of 4 requests/s"
    ):
        steps(spike, spike_rate=3)


def test_a_wait_too_short_for_the_windows_of_a_slow_load_is_refused() -> None:
    assert steps(spike, spikes=1, rate=0.5, duration=80)
    with pytest.raises(SettingsError, match=r"--duration 79s is refused: .* takes 80s"):
        steps(spike, spikes=1, rate=0.5, duration=79)


def ramped(slots: int, **values: Any) -> tuple[list[Step], Ending]:
    """Return what a ramp asks a server for that refuses all beyond its slots."""
    plan = ramp.plan(stress_settings(**values), BASELINE)
    step, asked = next(plan), []
    while True:
        asked.append(step)
        rows = closed_loop(int(step.level), 1, 100, int(step.level)) * int(step.requests or 0)
        rows = rows[: step.requests]
        for number, row in enumerate(rows):
            if number % int(step.level) >= slots:
                row.error = {"kind": "queue_full", "phase": "stream", "status": None, "message": ""}
        try:
            step = plan.send([request_of(row) for row in rows])
        except StopIteration as end:
            return asked, end.value


def test_a_ramp_of_clients_stays_at_its_levels_and_brackets_the_failure_point() -> None:
    asked, found = ramped(3, max_concurrency=16)
    assert asked[0].level == 1
    assert all(step.hold_open and step.unit == CLIENTS for step in asked)
    assert found.failure_point is not None
    assert (found.failure_point.passing, found.failure_point.failing) == (3, 4)
    assert found.stop_reason == found.failure_point.reason


def test_a_ramp_that_nothing_stops_ends_at_its_maximum() -> None:
    asked, found = ramped(99, max_concurrency=4, concurrency=2, level_requests=100)
    assert (asked[0].level, max(step.level for step in asked)) == (2, 4)
    assert found.failure_point is not None
    assert not found.failure_point.reached


@pytest.mark.parametrize(
    ("values", "start"), [({}, 10), ({"rate": 5.0}, 5), ({"rate": 5.0, "max_rate": 5.0}, 5)]
)
def test_a_ramp_of_rates_begins_at_the_rate_or_at_what_one_client_gets_done(
    values: dict[str, Any], start: float
) -> None:
    plan = ramp.plan(stress_settings(arrival="poisson", **values), BASELINE)
    step = next(plan)
    assert (step.level, step.unit, step.hold_open) == (start, RATE, False)


def twinned(slots: int, **values: Any) -> tuple[list[Step], Ending]:
    """Return what a twin asks a server for whose slots all take 100 ms a request."""
    plan = twin.plan(stress_settings(users=20, **values), BASELINE)
    step, asked = next(plan), []
    while True:
        asked.append(step)
        each = -(-(step.requests or 0) // int(step.level))
        rows = closed_loop(int(step.level), each, 100, slots)
        try:
            step = plan.send([request_of(row) for row in rows])
        except StopIteration as end:
            return asked, end.value


@pytest.mark.parametrize(
    ("slots", "values", "levels"),
    [
        (1, {}, [1, 2]),
        (2, {}, [1, 2, 4]),
        (4, {}, [1, 2, 4, 8]),
        (9, {"max_concurrency": 6}, [1, 2, 4, 6]),
        (1, {"levels": "1,3,5"}, [1, 3, 5]),
    ],
)
def test_a_twin_raises_the_load_until_requests_wait_and_then_sends_its_users(
    slots: int, values: dict[str, Any], levels: list[float]
) -> None:
    asked, found = twinned(slots, **values)
    assert [step.level for step in asked] == [*levels, 20]
    assert [step.pauses for step in asked] == [False] * len(levels) + [True]
    assert (asked[-1].requests, asked[-1].seconds) == (200, None)
    assert found == Ending("the load of the users was sent")


def test_the_load_of_users_lasts_as_long_as_it_is_told() -> None:
    asked, _ = twinned(1, duration=90.0)
    assert (asked[-1].requests, asked[-1].seconds) == (None, 90)


def clocked(budget: float | None, monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Return what a twin asks of one slot that takes 100 ms a request, as time passes."""
    now = [0.0]
    monkeypatch.setattr(twin, "perf_counter", lambda: now[0])
    plan = twin.plan(stress_settings(users=20, levels="1,2,4,8", budget=budget), BASELINE)
    step, asked = next(plan), []
    while True:
        asked.append(step)
        requests = step.requests or round((step.seconds or 0) / 0.1)
        rows = closed_loop(int(step.level), -(-requests // int(step.level)), 100, 1)
        now[0] += 0.1 * requests
        try:
            step = plan.send([request_of(row) for row in rows])
        except StopIteration:
            return asked


def test_a_budget_of_a_twin_ends_its_levels_at_half_and_its_users_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = clocked(None, monkeypatch)
    assert [step.level for step in whole] == [1, 2, 4, 8, 20]
    assert (whole[-1].requests, whole[-1].seconds) == (200, None)  # all: 1 + 17.6 + 20 s
    cut = clocked(20.0, monkeypatch)
    assert [step.level for step in cut] == [1, 2, 4, 20]  # 2.4 + 2.4 + 3.2 s, then 6.4 s more
    assert cut[-1].requests is None
    assert cut[-1].seconds is not None
    slowest = 0.4 * 20 / 4  # a client of four waits 0.4 s, so a user of 20 waits 2 s
    assert cut[-1].seconds == pytest.approx(20 - 1 - 8 - slowest)
    least = clocked(1.0, monkeypatch)
    assert [step.level for step in least] == [1, 2]  # fewer levels show nothing


@pytest.mark.parametrize(
    ("slots", "levels_s"),
    [(1, 24 * 0.1 + 24 * 0.1), (2, 24 * 0.1 + 12 * 0.1 + 32 / 2 * 0.1)],
)
def test_time_of_a_twin_is_estimated_from_slots_and_a_lone_request(
    slots: int, levels_s: float
) -> None:
    asked = stress_settings(mode="twin", users=20)
    expected = 10 * 0.1 + levels_s + 200 * 0.1 / slots
    assert twin.seconds(asked, 0.1, slots) == pytest.approx(expected)
    words = plan.estimate(asked, 0.1, slots)
    assert words == f"the levels and 20 users: about {expected:.0f} s"
    pausing = stress_settings(mode="twin", users=20, think_time="1.9s")
    assert twin.seconds(pausing, 0.1, slots) == pytest.approx(expected - 20 / slots + 10 * 2)


def test_a_twin_on_a_server_of_unknown_slots_takes_a_range_within_its_budget() -> None:
    asked = stress_settings(mode="twin", users=20)
    words = plan.estimate(asked, 0.1, None)
    assert words is not None
    assert " to 26 s, by how many requests the server answers at once" in words
    short = stress_settings(mode="twin", users=20, budget=3.0)
    assert plan.estimate(short, 0.1, None) == "the levels and 20 users: about 3 s"
