"""Whether a long load stays as it began, and what bursts on it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.stress_documents import MS, SECOND, open_loop, row

from pytest_llamaburn.capacity import sustained
from pytest_llamaburn.kinds.stress import levels
from pytest_llamaburn.load.rows import request_of
from pytest_llamaburn.load.step import RATE, Burst

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.load.rows import Request


def sustained_findings(seconds: int, total_ms: Callable[[float], float]) -> dict[str, Any]:
    """Return what a load of ten requests/s comes to, whose latency is a function of the time."""
    rows = [row(100 * i, total_ms(i / 10)) for i in range(10 * seconds)]
    line = levels.timeline(rows, 0)
    return sustained.sustained(line, [request_of(one) for one in rows])


def test_a_server_that_stays_the_same_neither_drifts_nor_shifts_and_is_steady() -> None:
    found = sustained_findings(120, lambda s: 100 + s % 3)
    for name in ("tokens_per_sec", "total_p50_ms"):
        assert not found[name]["trend"]["drifts"]
        assert not found[name]["shift"]["shifts"]
        assert found[name]["reason"] is None
    assert found["total_p50_ms"]["steady"]["mean"] == pytest.approx(101, abs=1)
    assert found["batch_s"] == 3


def test_latency_that_creeps_up_drifts_and_has_no_plateau() -> None:
    found = sustained_findings(120, lambda s: 100 + s)["total_p50_ms"]
    assert found["trend"]["drifts"]
    assert found["trend"]["share"] > 0.5
    assert found["steady"] is None


def test_a_step_in_latency_is_a_shift_where_it_happened() -> None:
    found = sustained_findings(120, lambda s: 100 if s < 60 else 200)["total_p50_ms"]
    assert found["shift"]["shifts"]
    assert found["shift"]["at"] == pytest.approx(found["batches"] / 2, abs=2)
    assert found["steady"]["end"] == found["shift"]["at"]


def test_a_short_load_is_not_judged_and_says_why() -> None:
    found = sustained_findings(6, lambda _: 100)["tokens_per_sec"]
    assert (found["trend"], found["shift"], found["steady"]) == (None, None, None)
    assert found["reason"] == "fewer than 8 batches"


def test_tokens_that_nobody_counted_are_not_judged_and_the_reason_is_the_server() -> None:
    rows = [row(100 * i, 100) for i in range(200)]
    for one in rows:
        one.values["output_sequence_length"] = None
    line = levels.timeline(rows, 0)
    found = sustained.sustained(line, [request_of(one) for one in rows])
    assert (
        found["tokens_per_sec"]["reason"]
        == "the server sent no token counts, or 0 although there were tokens"
    )
    assert found["tokens_per_sec"]["steady"] is None
    assert found["per_minute"][0]["tokens_per_sec"] is None
    assert found["total_p50_ms"]["reason"] is None


def test_each_minute_has_its_throughput_and_the_last_its_own_length() -> None:
    minutes = sustained_findings(90, lambda _: 100)["per_minute"]
    assert [minute["minute"] for minute in minutes] == [0, 1]
    assert [minute["seconds"] for minute in minutes] == [60, 31]
    assert sum(minute["completed"] for minute in minutes) == 900
    assert minutes[0]["tokens_per_sec"] == pytest.approx(100, rel=0.05)


def test_each_minute_has_the_median_memory_of_the_server_and_of_ours() -> None:
    samples: list[Any] = [
        {"t_ms": 1000.0 * s, "server_rss_mb": 500.0 + s, "client_rss_mb": 80.0} for s in range(90)
    ]
    rows = [row(100 * i, 100) for i in range(890)]
    found = sustained.sustained(levels.timeline(rows, 0), [], samples)
    memory = [[one["server_rss_mb"], one["client_rss_mb"]] for one in found["per_minute"]]
    assert memory == [[529.5, 80], [574.5, 80]]
    assert found["memory_reason"] is None


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ([], "the machine was not profiled during the load"),
        (
            [{"t_ms": 5.0, "server_rss_mb": None, "client_rss_mb": 80.0}],
            "no server process was found",
        ),
    ],
)
def test_memory_that_was_not_read_is_null_with_a_reason(samples: list[Any], reason: str) -> None:
    found = sustained.sustained(levels.timeline([row(0, 100)], 0), [], samples)
    assert found["per_minute"][0]["server_rss_mb"] is None
    assert found["memory_reason"] == reason


def test_failures_are_no_latency_and_no_load_has_none() -> None:
    rows = [row(100 * i, 100) for i in range(200)]
    for one in rows[::2]:
        one.error = {"kind": "oom", "phase": "stream", "status": None, "message": ""}
        one.end_ns += 9 * SECOND
    records = [request_of(one) for one in rows]
    assert set(sustained.batch_medians(records, 1, 10)) == {100}
    assert sustained.batch_medians([], 1, 10) == []


BURSTS = (Burst(20, 10, 50, RATE), Burst(60, 10, 50, RATE))


def load(slow: Callable[[float], bool]) -> list[Request]:
    """Return the records of ten requests/s for 100 s, slow at some times."""
    found = open_loop(10, 100)
    for i, one in enumerate(found):
        if slow(one.scheduled_ns / SECOND):
            found[i] = row(one.scheduled_ns / MS, 2000)
    return [request_of(one) for one in found]


def test_recovery_is_the_median_of_the_bursts_with_their_range() -> None:
    records = load(lambda s: 20 <= s < 35 or 60 <= s < 80)
    found = sustained.recoveries(records, BURSTS, 0, 10)
    assert found["range_ms"] == (5000, 10_000)
    assert found["recovery_time_ms"] == 7500
    assert (found["unrecovered"], found["reason"], found["resolution_ms"]) == (0, None, 5000)
    assert found["lower_bound_ms"] is None  # the time itself is known


def test_a_slow_recovery_does_not_excuse_the_next() -> None:
    records = load(lambda s: 20 <= s < 58 or 60 <= s < 85)
    spikes = sustained.recoveries(records, BURSTS, 0, 10)["spikes"]
    assert [spike["recovery_ms"] for spike in spikes] == [None, 15_000]


def test_a_load_that_failed_before_the_burst_has_nothing_to_come_back_to() -> None:
    records = [r._replace(first_ns=None, failure="oom") for r in load(lambda _: False)]
    found = sustained.recoveries(records, BURSTS, 0, 10)
    assert (found["recovery_time_ms"], found["lower_bound_ms"]) == (None, None)
    assert found["reason"] == "fewer than 3 windows before the spike had successful requests"


def test_a_burst_that_nobody_felt_is_recovered_from_at_once() -> None:
    assert sustained.recoveries(load(lambda _: False), BURSTS, 0, 10)["recovery_time_ms"] == 0


def test_a_server_that_never_comes_back_has_no_time_but_a_lower_bound_and_a_reason() -> None:
    found = sustained.recoveries(load(lambda s: s >= 20), BURSTS[:1], 0, 10)
    assert (found["recovery_time_ms"], found["range_ms"], found["unrecovered"]) == (None, None, 1)
    assert found["spikes"][0]["lower_bound_ms"] >= 60_000
    assert found["lower_bound_ms"] == found["spikes"][0]["lower_bound_ms"]
    assert "did not return" in found["reason"]


def test_a_run_cut_before_its_first_burst_has_no_recovery() -> None:
    assert sustained.recoveries([], BURSTS, 0, 10)["reason"] == "no burst was sent"


def sample(phase: str = "mixed", *, active: int = 2, rss_mb: float | None = 500.0) -> Any:
    read = {"cpu_pct": 10.0, "ram_used_mb": None, "server_rss_mb": rss_mb}
    return {"phase": phase, "active": active, **read, "gpus": []}


def test_idle_is_what_the_machine_did_before_the_first_request() -> None:
    before = [sample("idle", active=0, rss_mb=mb) for mb in (100, 300, 200)]
    found = sustained.idle([*before, sample(), sample("idle", active=0, rss_mb=900)])
    wanted = {"samples": 3, "cpu_pct": 10.0, "ram_used_mb": None, "server_rss_mb": 200}
    assert found == {**wanted, "gpus": []}
    assert sustained.idle([sample()]) is None


def test_each_gpu_has_its_own_idle_load_and_memory() -> None:
    before = [sample("idle", active=0) for _ in range(3)]
    for one, share in zip(before, (1.0, 5.0, None), strict=True):
        read = {"util_pct": share, "vram_used_mb": None}
        one["gpus"] = [{"id": "a", **read}, {"id": "b", "util_pct": 90.0, "vram_used_mb": 512.0}]
    found = sustained.idle(before)
    assert found is not None
    assert found["gpus"] == [
        {"id": "a", "util_pct": 3.0, "vram_used_mb": None},
        {"id": "b", "util_pct": 90.0, "vram_used_mb": 512.0},
    ]
