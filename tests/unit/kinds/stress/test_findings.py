"""What levels say together: states, points, other deadlines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.stress_documents import (
    BASELINE,
    HEALTHY,
    MS,
    baseline,
    closed_loop,
    failed_row,
    level,
    open_loop,
    row,
    search_facts,
    stress_document,
)

from pytest_llamaburn.capacity import degradation
from pytest_llamaburn.capacity.states import Level
from pytest_llamaburn.kinds.stress import findings
from pytest_llamaburn.load.rows import request_of
from pytest_llamaburn.load.step import CLIENTS, RATE, Step

if TYPE_CHECKING:
    from pathlib import Path

    from support.stress_documents import Taken


def stress_findings(folder: Path, *taken: Taken, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = stress_document(folder, [baseline(), *taken], **fields)
    return {**made["results"], "insights": made["insights"]}


def failing(clients: int, every: int, kind: str = "oom", slots: int | None = None) -> Taken:
    """Return a level of which every n-th request fails; by default each client has a slot."""
    rows = closed_loop(clients, 12, 100, slots or clients)
    for i in range(0, len(rows), every):
        rows[i] = failed_row(rows[i].sent_ns / 1e6, 100, kind)
    return Step(clients, CLIENTS, len(rows)), rows


def scheduled(rate: float, slots: int, seconds: float = 30) -> Taken:
    return Step(rate, RATE, round(rate * seconds)), open_loop(rate, seconds, 100, slots)


def states(results: dict[str, Any]) -> list[str]:
    return [one["state"] for one in results["levels"]]


def test_states_follow_from_latency_and_failures(tmp_path: Path) -> None:
    results = stress_findings(tmp_path, level(1), level(2), level(8), failing(16, 3))
    assert states(results) == ["optimal", "optimal", "degraded", "failure"]
    assert all(one["evidence"] for one in results["levels"])
    assert results["optimal"]["concurrency"] == 2


def test_a_level_that_our_side_limited_is_never_called_degraded(tmp_path: Path) -> None:
    rows = closed_loop(8, 12, 100, 2)
    for one in rows:
        one.scheduled_ns -= 200_000_000
    results = stress_findings(tmp_path, (Step(8, CLIENTS, 96), rows))
    assert results["levels"][0]["client_health"]["client_limited"]
    assert states(results) == ["optimal"]
    assert "client was too slow" in results["levels"][0]["evidence"]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, "maximum"),
        ({"findings": None}, "interrupted"),
        ({"findings": {"stop_reason": "the server is gone"}}, "server_gone"),
    ],
)
def test_a_point_beyond_a_run_that_was_cut_is_not_beyond_its_maximum(
    facts: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    point = stress_findings(tmp_path, level(1), level(2), facts=facts)["failure_point"]
    assert (point["reached"], point["passing"], point["reason"]) == (False, 2, reason)


def test_a_level_that_the_windows_leave_out_has_no_state_and_says_so(tmp_path: Path) -> None:
    results = stress_findings(tmp_path, level(1), level(4), warmup_window="12")
    first, second = results["levels"]
    assert (first["state"], first["requests"], first["excluded"]) == (None, 12, 12)
    assert first["evidence"] == "all of 12 requests left out by the windows"
    assert second["state"] == "degraded"
    assert results["failure_point"]["passing"] == 4


def test_a_run_whose_levels_were_left_out_passed_at_none(tmp_path: Path) -> None:
    results = stress_findings(tmp_path, level(1), level(2, each=6), warmup_window="20")
    point = results["failure_point"]
    assert (point["passing"], point["reason"]) == (None, "no level was measured")
    assert results["insights"] == []


def test_a_level_of_which_we_could_send_nothing_has_no_state(tmp_path: Path) -> None:
    rows = [failed_row(i, 1, "client_files") for i in range(9)]
    (one,) = stress_findings(tmp_path, (Step(9, CLIENTS, 9), rows))["levels"]
    assert (one["state"], one["evidence"]) == (None, "none of 9 requests could be sent")


def test_above_capacity_a_schedule_is_degraded_by_its_backlog(tmp_path: Path) -> None:
    results = stress_findings(tmp_path, scheduled(10, 2), scheduled(40, 2), arrival="static")
    assert states(results) == ["optimal", "degraded"]
    assert results["levels"][1]["evidence"] == "the backlog grows: more requests arrive than end"
    assert results["optimal"]["rate"] == 10


def test_rates_that_nobody_waits_at_are_optimal_and_throughput_grows_with_them(
    tmp_path: Path,
) -> None:
    taken = [scheduled(rate, 99, seconds=0.8) for rate in (10, 20, 40)]
    results = stress_findings(tmp_path, *taken, arrival="static")
    assert states(results) == ["optimal"] * 3
    assert results["optimal"]["rate"] == 40
    assert results["insights"] == []


def test_a_load_that_hardly_rose_does_not_show_that_throughput_no_longer_grows(
    tmp_path: Path,
) -> None:
    taken = [scheduled(rate, 99, seconds=4) for rate in (10, 20, 21)]
    assert stress_findings(tmp_path, *taken, arrival="static")["insights"] == []


def test_a_level_whose_throughput_is_unknown_is_no_level_of_none(tmp_path: Path) -> None:
    short = Step(40, RATE, 6), open_loop(40, 0.15, 100)
    results = stress_findings(
        tmp_path, scheduled(10, 99), scheduled(20, 99), short, arrival="static"
    )
    assert results["levels"][2]["requests_per_sec"] is None
    assert results["optimal"]["rate"] == 20
    assert "throughput_flat" not in {one["id"] for one in results["insights"]}


@pytest.mark.parametrize("kind", ["oom", "timeout_idle", "timeout_first_token"])
def test_levels_that_nobody_searched_bracket_the_failure_point(tmp_path: Path, kind: str) -> None:
    taken = failing(2, 99), failing(6, 60, kind), failing(8, 3, kind)
    point = stress_findings(tmp_path, *taken)["failure_point"]
    assert (point["passing"], point["failing"], point["reached"]) == (6, 8, True)
    assert 6 < point["concurrency"] < 7
    assert (point["proven"], point["interval"], point["reason"]) == (False, (6, 8), "levels")
    assert point["estimator"] == "crossing"


def test_levels_too_far_apart_bracket_a_point_and_give_it_no_number(tmp_path: Path) -> None:
    results = stress_findings(tmp_path, level(1), level(2), level(4), failing(8, 3, slots=2))
    failure, bends = results["failure_point"], results["degradation_point"]
    assert (failure["concurrency"], failure["bracket"], failure["reached"]) == (None, (4, 8), True)
    assert failure["interval"] == (4, 8)
    assert (bends["concurrency"], bends["bracket"], bends["interval"]) == (None, (2, 4), (2, 4))
    assert {failure["estimator"], bends["estimator"]} == {"bracket"}
    assert bends["reason"] == "no level was measured between 2 and 4"


def test_every_degradation_point_that_is_a_number_has_an_interval_that_holds_it(
    tmp_path: Path,
) -> None:
    points = stress_findings(tmp_path, *(level(n) for n in (1, 2, 3, 4, 5)))["degradation_points"]
    for point in points:
        low, high = point["interval"]
        assert low <= point["concurrency"] <= high
        assert point["estimator"] == "crossing"


def test_a_visit_that_another_of_its_level_shows_to_be_disturbed_bends_nothing(
    tmp_path: Path,
) -> None:
    slow = closed_loop(2, 12, 900, 2)
    taken = [level(1), (Step(2, CLIENTS, 24), slow), level(2), level(3), level(4)]
    points = stress_findings(tmp_path, *taken)["degradation_points"]
    assert {point["passing"] for point in points} == {2, 3}


def test_a_fit_that_misses_the_levels_it_is_held_between_is_no_point(tmp_path: Path) -> None:
    dead = Step(8, CLIENTS, 96), [failed_row(10 * i, 10, "connect_refused") for i in range(96)]
    point = stress_findings(tmp_path, level(2), level(4), dead)["failure_point"]
    assert (point["passing"], point["failing"], point["concurrency"]) == (4, 8, None)
    assert all(at is None or at <= 8 * 1.1 for at in point["at_deadline_s"].values())


def test_a_level_that_our_side_limited_decides_no_point_and_no_insight(tmp_path: Path) -> None:
    rows = closed_loop(8, 12, 100, 2)
    for one in rows:
        one.scheduled_ns -= 200_000_000
    results = stress_findings(tmp_path, level(1), level(2), (Step(8, CLIENTS, 96), rows))
    assert results["levels"][-1]["client_health"]["client_limited"]
    assert [point["failing"] for point in results["degradation_points"]] == [None] * 4
    assert results["insights"] == []


def test_where_nothing_succeeded_throughput_is_not_called_flat(tmp_path: Path) -> None:
    dead = [(Step(n, CLIENTS, 12), [failed_row(10 * i, 10) for i in range(12)]) for n in (1, 2)]
    assert stress_findings(tmp_path, *dead)["insights"] == []


def test_a_lower_level_that_fails_by_chance_is_where_passing_ends(tmp_path: Path) -> None:
    point = stress_findings(tmp_path, failing(2, 3), failing(4, 3))["failure_point"]
    assert (point["passing"], point["failing"]) == (None, 2)


def test_a_shorter_deadline_is_missed_earlier(tmp_path: Path) -> None:
    said = {"baseline": {**BASELINE, "deadline_s": 1.0}}
    taken = [level(n, slots=1, each=24) for n in (1, 2, 4, 8, 12)]
    point = stress_findings(tmp_path, *taken, facts=said)["failure_point"]
    others = point["at_deadline_s"]
    assert point["deadline_s"] == 1.0
    assert list(others) == ["0.5", "0.25"]
    assert others == {"0.5": pytest.approx(5.3, rel=0.05), "0.25": pytest.approx(2.15, rel=0.05)}


def test_one_failure_of_twelve_reaches_the_point_and_does_not_say_where(tmp_path: Path) -> None:
    point = stress_findings(tmp_path, failing(1, 12))["failure_point"]
    assert (point["reached"], point["failing"], point["concurrency"]) == (True, 1, None)


def test_a_rate_has_its_failure_point_in_rates(tmp_path: Path) -> None:
    refused = Step(40, RATE, 60), [failed_row(25 * i, 10, "queue_full") for i in range(60)]
    point = stress_findings(tmp_path, scheduled(10, 2), refused, arrival="static")["failure_point"]
    assert (point["passing"], point["failing"]) == (10, 40)
    assert (point["rate"], point["bracket"]) == (None, (10, 40))


def test_what_a_search_found_stands_and_is_named_after_the_axis(tmp_path: Path) -> None:
    point = stress_findings(tmp_path, failing(7, 99), failing(8, 3), facts=search_facts(7.5, 7, 8))[
        "failure_point"
    ]
    assert (point["concurrency"], point["interval"], point["proven"]) == (7.5, [7, 8], True)
    assert "estimate" not in point


def test_each_percentile_has_its_degradation_point_and_the_lowest_is_the_servers(
    tmp_path: Path,
) -> None:
    results = stress_findings(tmp_path, level(1), level(2), level(3), level(4))
    points = results["degradation_points"]
    assert {point["metric"] for point in points} == {
        f"{metric}.{statistic}" for metric in degradation.WAITS for statistic in ("p50", "p95")
    }
    reached = [point["concurrency"] for point in points if point["reached"]]
    assert results["degradation_point"]["concurrency"] == min(reached)


@pytest.mark.parametrize("wait", degradation.WAITS)
def test_a_degradation_point_is_about_the_measure_of_the_levels_that_it_names(
    tmp_path: Path, wait: str
) -> None:
    """Sent 3 ms late, and the stream ends 7 ms after the last token."""
    rows = [row(200 * i, 100) for i in range(40)]
    for one in rows:
        one.scheduled_ns -= 3 * MS
        one.end_ns += 7 * MS
    (made,) = stress_findings(tmp_path, (Step(1, CLIENTS, 40), rows))["levels"]
    records = [request_of(one) for one in rows]
    for statistic in degradation.QUANTILES:
        waited = degradation.latencies(wait, statistic, records)
        assert waited == pytest.approx(made[wait][statistic])


def test_p95_is_held_against_the_baseline_only_where_both_certify_it() -> None:
    rows = [row(200 * i, 100 if i % 10 else 900) for i in range(60)]
    requests = [request_of(one) for one in rows]
    baseline = [request_of(row(200 * i, 100)) for i in range(60)]
    assert findings.latency_ratio(requests, baseline) == pytest.approx(9)
    assert findings.latency_ratio(requests, baseline[:58]) == pytest.approx(1)
    assert findings.latency_ratio([], baseline) is None


def test_a_level_of_failures_alone_has_no_ratio(tmp_path: Path) -> None:
    results = stress_findings(tmp_path, failing(2, 1))
    assert states(results) == ["failure"]
    assert results["levels"][0]["time_to_first_token_ms"]["mean"] is None


def test_without_levels_there_is_no_point_and_a_sample_of_none_crosses_nothing(
    tmp_path: Path,
) -> None:
    results = stress_findings(tmp_path)
    assert (results["failure_point"], results["degradation_point"]) == (None, None)
    assert results["optimal"] is None
    empty = Level(2, 0, None, None, None)
    for unit in (CLIENTS, RATE):
        load = findings.Load([empty], [], {}, 10.0, unit)
        assert findings.crossed_at(load, 1.0, 0.05) is None


def test_our_sides_health_is_in_each_level(tmp_path: Path) -> None:
    (one,) = stress_findings(tmp_path, level(1))["levels"]
    assert one["client_health"]["cpu_share"] == HEALTHY["cpu_share"]
