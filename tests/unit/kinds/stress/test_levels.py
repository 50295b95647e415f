"""What a level of a load comes to, from rows whose times are made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stress_documents import (
    HEALTHY,
    MS,
    baseline,
    closed_loop,
    failed_row,
    open_loop,
    row,
    stress_document,
)

from pytest_llamaburn.capacity import measuring_window
from pytest_llamaburn.kinds.stress import levels
from pytest_llamaburn.kinds.stress.levels import Excluded, Visit
from pytest_llamaburn.kinds.stress.plan import Window
from pytest_llamaburn.load.step import CLIENTS, RATE, Step, StepHealth

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.load.rows import Row

NOTHING = Excluded(Window(), Window())


def summary(
    level: float, unit: str, *visits: list[Row], excluded: Excluded = NOTHING, **options: Any
) -> dict[str, Any]:
    health = StepHealth(**{**HEALTHY, **options.pop("health", {})})
    made = [Visit(Step(level, unit), rows, 0, health) for rows in visits]
    return levels.summarize(made, excluded, **options)


@pytest.mark.parametrize(("clients", "slots"), [(1, 1), (2, 1), (4, 4), (8, 4), (16, 4), (3, 8)])
def test_the_steady_rate_is_the_servers_whatever_the_ramp_and_the_drain(
    clients: int, slots: int
) -> None:
    level = summary(clients, CLIENTS, closed_loop(clients, 20, 100, slots))
    rate = min(clients, slots) * 10
    assert level["requests_per_sec"] == pytest.approx(rate, rel=0.06)
    assert level["output_tokens_per_sec"] == pytest.approx(10 * rate, rel=0.06)
    assert level["requests"] == 20 * clients
    assert level["concurrency"] == clients


@pytest.mark.parametrize("each", [1, 2])
def test_clients_of_a_round_or_two_are_counted_from_end_to_end_and_that_is_said(each: int) -> None:
    level = summary(4, CLIENTS, closed_loop(4, each, 100, 2))
    assert level["requests_per_sec"] == pytest.approx(20)
    assert "ramp-up and drain" in level["rate_reason"]


def test_refusals_that_end_a_level_at_once_leave_it_the_rate_of_what_was_served() -> None:
    served = [row(0, 50 * n) for n in (1, 1, 2, 2, 3, 3)]
    refused = [failed_row(0.1 * n, 0.1, "queue_full") for n in range(60)]
    level = summary(13, CLIENTS, served + refused)
    assert level["duration_s"] == pytest.approx(0.15)
    assert level["requests_per_sec"] == pytest.approx(40)
    assert level["output_tokens_per_sec"] == pytest.approx(400)
    assert "ramp-up and drain" in level["rate_reason"]


def test_a_visit_that_was_cut_short_does_not_blur_one_whose_load_was_whole() -> None:
    whole, short = closed_loop(4, 20, 100, 4), closed_loop(4, 1, 100, 4)
    level = summary(4, CLIENTS, short, whole)
    assert level["requests_per_sec"] == pytest.approx(40)
    assert level["rate_reason"] is None


def test_clients_that_are_only_refused_succeed_at_a_rate_of_nothing() -> None:
    rows = [failed_row(5 * n, 5, "queue_full") for n in range(20)]
    level = summary(1, CLIENTS, rows)
    assert (level["requests_per_sec"], level["rate_reason"]) == (0, None)


def test_an_open_loops_rate_is_over_the_schedule_not_over_the_wait_for_the_last() -> None:
    rows = [row(100 * i, 50) for i in range(20)]
    rows[-1] = row(1900, 5000)
    level = summary(10, RATE, rows)
    assert (level["rate"], level["duration_s"]) == (10, pytest.approx(1.8))
    assert level["requests_per_sec"] == pytest.approx(10)


@pytest.mark.parametrize("rate", [1, 8, 32])
@pytest.mark.parametrize("lasts_s", [8, 12.3])
def test_a_schedule_that_nobody_waits_in_has_its_own_rate_however_long_an_answer_takes(
    rate: float, lasts_s: float
) -> None:
    rows = open_loop(rate, lasts_s, service_ms=1000)
    level = summary(rate, RATE, rows)
    assert level["requests_per_sec"] == pytest.approx(rate)
    assert level["output_tokens_per_sec"] == pytest.approx(10 * rate)
    assert level["rate_reason"] is None


@pytest.mark.parametrize("rate", [5, 20, 80])
def test_a_schedule_above_capacity_has_the_servers_rate(rate: float) -> None:
    rows = open_loop(rate, 8, service_ms=1000, slots=4)
    level = summary(rate, RATE, rows)
    assert level["requests_per_sec"] == pytest.approx(4, rel=0.02)


def test_a_schedule_over_before_anything_ended_has_no_rate_and_says_why() -> None:
    level = summary(32, RATE, open_loop(32, 0.5, service_ms=1000))
    assert (level["requests_per_sec"], level["output_tokens_per_sec"]) == (None, None)
    assert "ended too soon" in level["rate_reason"]


def test_refusals_do_not_hide_that_nothing_was_answered_yet() -> None:
    rows = open_loop(32, 1.5, service_ms=1000)
    rows[1::2] = [failed_row(one.sent_ns / MS, 1, "queue_full") for one in rows[1::2]]
    assert summary(32, RATE, rows)["requests_per_sec"] is None


def test_a_schedule_that_is_refused_throughout_succeeds_at_a_rate_of_nothing() -> None:
    rows = [failed_row(100 * i, 5, "queue_full") for i in range(20)]
    assert summary(10, RATE, rows)["requests_per_sec"] == 0


def test_what_is_left_out_of_a_schedule_holds_the_ramp_up() -> None:
    excluded = Excluded(Window(seconds=5), Window())
    rows = open_loop(10, 12, service_ms=1000)
    level = summary(10, RATE, rows, excluded=excluded)
    assert level["duration_s"] == pytest.approx(6.9)
    assert level["requests_per_sec"] == pytest.approx(10)


def test_failures_are_counted_by_kind_and_never_enter_a_latency() -> None:
    rows = [row(0, 100), failed_row(0, 9000), failed_row(10, 9000, "queue_full"), row(20, 100)]
    level = summary(4, CLIENTS, rows)
    assert (level["failed"], level["error_rate"]) == (2, 0.5)
    assert level["errors"] == {"timeout_total": 1, "queue_full": 1}
    assert level["total_generation_ms"]["max"] == 100
    assert level["total_generation_ms"]["n"] == 2


def test_what_a_window_leaves_out_is_counted_and_kept_out_of_the_statistics() -> None:
    rows = [row(0, 900), *(row(1000 + 100 * i, 100) for i in range(8)), row(1900, 900)]
    both = Excluded(Window(seconds=0.5), Window(requests=1))
    level = summary(1, CLIENTS, rows, excluded=both)
    assert (level["requests"], level["excluded"]) == (10, 2)
    assert level["total_generation_ms"]["max"] == 100


def test_latency_from_schedule_holds_what_the_client_was_late() -> None:
    late = row(50, 100)
    late.scheduled_ns = 0
    level = summary(10, RATE, [late])
    assert level["total_generation_ms"]["p50"] == 100
    assert level["total_generation_from_schedule_ms"]["p50"] == 150
    assert level["time_to_first_token_from_schedule_ms"]["p50"] == 60


@pytest.mark.parametrize(
    ("health", "limited"),
    [
        ({}, False),
        ({"loop_lag_p99_ms": 30.0}, True),
        ({"cpu_share": 0.97}, True),
        ({"cpu_share": None, "loop_lag_p99_ms": None}, False),
    ],
)
def test_a_client_that_cannot_keep_up_is_said_to_be_the_limit(
    health: dict[str, Any], limited: bool
) -> None:
    found = summary(1, CLIENTS, [row(0, 100)], health=health)
    assert found["client_health"]["client_limited"] is limited
    assert bool(found["client_health"]["reasons"]) is limited


def test_lateness_of_the_schedule_is_the_clients_limit_too() -> None:
    rows = [row(100 * i, 100) for i in range(10)]
    for one in rows:
        one.scheduled_ns -= 40 * MS
    health = summary(10, RATE, rows)["client_health"]
    assert health["schedule_lateness_p50_ms"] == 40
    assert health["client_limited"]
    assert "schedule_lateness_p99_ms is 40 ms" in health["reasons"][0]


def test_what_we_had_no_open_file_for_is_our_limit_and_no_failure_of_the_server() -> None:
    rows = [row(0, 100), row(10, 100), failed_row(20, 1, "client_files"), failed_row(30, 9, "oom")]
    level = summary(4, CLIENTS, rows)
    assert (level["requests"], level["excluded"], level["failed"]) == (4, 1, 1)
    assert level["errors"] == {"oom": 1}
    health = level["client_health"]
    assert health["client_limited"]
    assert health["reasons"] == ["it had too few open files to send 1 request: raise ulimit -n"]


def test_a_level_without_requests_has_no_numbers_and_no_zeros() -> None:
    level = summary(1, CLIENTS, [])
    assert (level["requests_per_sec"], level["error_rate"]) == (None, None)
    assert level["rate_reason"] == "no request was sent"
    assert level["total_generation_ms"]["p50"] is None
    assert level["client_health"]["chunks_per_read"] is None


def test_pieces_that_came_in_one_read_show_in_chunks_per_read() -> None:
    health = summary(1, CLIENTS, [row(0, 100)])["client_health"]
    assert health["chunks_per_read"] == pytest.approx(3 / 2)


spans = st.tuples(st.floats(0, 5000), st.floats(1, 3000))


@given(st.lists(spans, min_size=1, max_size=20), st.integers(0, 19))
def test_the_timeline_loses_no_request_and_no_token(
    times: list[tuple[float, float]], bad: int
) -> None:
    rows = [row(*span) for span in times]
    if bad < len(rows):
        rows[bad] = failed_row(*times[bad])
    line = levels.timeline(rows, 0)
    good = [r for r in rows if r.error is None]
    assert sum(second.completed for second in line) == len(good)
    assert sum(sum(second.failed.values()) for second in line) == len(rows) - len(good)
    assert sum(s.tokens or 0 for s in line) == pytest.approx(10 * len(good), abs=0.06 * len(line))
    assert line[-1].in_flight == 0
    assert all(second.in_flight >= 0 for second in line)


def test_the_timeline_counts_what_is_in_flight_at_the_end_of_each_second() -> None:
    line = levels.timeline([row(0, 2500), row(1200, 500)], 0)
    assert [second.in_flight for second in line] == [1, 1, 0]
    assert [second.completed for second in line] == [0, 1, 1]


def test_no_rows_have_no_timeline() -> None:
    assert levels.timeline([], 0) == []


def test_goodput_is_the_share_that_keeps_all_bounds_and_its_rate() -> None:
    rows = [row(100 * i, 50 if i % 2 else 90) for i in range(20)]
    level = summary(10, RATE, rows, objective="ttft_ms<6")
    assert (level["goodput"]["share"], level["goodput"]["slo"]) == (0.5, "ttft_ms<6")
    assert level["goodput"]["requests_per_sec"] == pytest.approx(level["requests_per_sec"] / 2)


def test_goodput_is_unknown_where_a_number_for_a_bound_cannot_be_believed() -> None:
    rows = [row(100 * i, 50) for i in range(20)]
    rows[3].doubts = {"time_to_first_token_ms": "not_streamed"}
    found = summary(10, RATE, rows, objective="ttft_ms<6")["goodput"]
    assert (found["share"], found["wilson95"], found["requests_per_sec"]) == (None, None, None)
    assert found["reason"].startswith("1 of 20 answers have no number")
    of_another = summary(10, RATE, rows, objective="e2e_ms<600")["goodput"]
    assert of_another["share"] == 1.0


def test_goodput_of_failures_alone_has_no_rate() -> None:
    level = summary(10, RATE, [failed_row(0, 50)], objective="ttft_ms<6")
    assert (level["goodput"]["share"], level["goodput"]["requests_per_sec"]) == (0.0, None)


def uncounted(rows: list[Row]) -> list[Row]:
    """Return rows whose server told no token counts."""
    for one in rows:
        one.values["output_sequence_length"] = None
    return rows


def test_tokens_that_nobody_counted_are_null_with_a_reason_and_never_nothing() -> None:
    rows = uncounted(closed_loop(2, 20, 100, 2))
    level = summary(2, CLIENTS, rows)
    assert level["requests_per_sec"] == pytest.approx(20)
    assert level["output_tokens_per_sec"] is None
    assert (
        level["tokens_reason"] == "the server sent no token counts, or 0 although there were tokens"
    )
    assert {second.tokens for second in levels.timeline(rows, 0)} == {None}


def test_a_number_that_no_answer_has_gives_the_reason_of_the_answers() -> None:
    rows = uncounted(closed_loop(1, 3, 100, 1))
    assert levels.distributions(rows, 0)["output_sequence_length"]["reason"] == "not_reported"
    rows[1].doubts = {"output_sequence_length": "implausible"}
    assert levels.distributions(rows, 0)["output_sequence_length"]["reason"] == "implausible"


def test_answers_of_which_only_some_are_counted_leave_a_note_beside_their_tokens() -> None:
    rows = closed_loop(1, 20, 100, 1)
    uncounted(rows[::2])
    level = summary(1, CLIENTS, rows)
    assert level["output_tokens_per_sec"] == pytest.approx(50, rel=0.15)
    assert level["tokens_reason"] == "only 10 of 20 answers came with a token count"


def test_tokens_whose_times_are_one_instant_count_where_it_lies() -> None:
    at_once = row(500, 100)
    at_once.first_ns = at_once.last_ns
    assert levels.timeline([at_once], 0)[0].tokens == 10


@pytest.mark.parametrize("requests", [1, 2])
def test_a_schedule_of_which_nothing_is_due_while_its_load_is_whole_has_no_rate(
    requests: int, tmp_path: Path
) -> None:
    taken = [baseline(), (Step(1, RATE, requests), open_loop(1, requests, 20))]
    found = stress_document(tmp_path, taken, arrival="static")
    (level,) = found["results"]["levels"]
    assert level["requests_per_sec"] is None
    assert level["rate_reason"] == measuring_window.TOO_SHORT
