"""How a load goes right now, as progress is told."""

from __future__ import annotations

from collections import Counter

import pytest

from pytest_llamaburn.load.status import RECENT_S, LoadStatus
from pytest_llamaburn.load.step import CLIENTS, RATE, Step
from pytest_llamaburn.progress import words

STEP = Step(8, CLIENTS)


def counted(done: int, failed: int = 0, each: int = 10) -> Counter[str]:
    return Counter(in_flight=8, done=done, tokens=each * done, failed=failed)


def test_a_load_tells_its_rates_and_latencies_and_its_failures_since_it_began() -> None:
    status = LoadStatus(STEP, 100.0, counted(40, failed=3), "baseline")
    now = status.now(102.0, counted(60, failed=5), [10.0] * 94 + [400.0] * 6)
    assert now.stage == "baseline"
    assert (now.clients, now.rate_per_sec, now.in_flight) == (8, None, 8)
    assert (now.done, now.failed, now.state) == (22, 2, "failing")
    assert (now.requests_per_sec, now.tokens_per_sec) == (10, 100)
    assert (now.total_p50_ms, now.total_p95_ms) == (10.0, 400.0)
    assert words(now) == (
        "8 clients: 8 in flight, 10 requests/s, 100 tokens/s, p95 now 400 ms, 2 failed"
    )


def test_rates_are_of_the_last_seconds_and_forget_how_it_began() -> None:
    status = LoadStatus(STEP, 0.0, counted(0))
    events = [status.now(0.5 * n, counted(min(50 * n, 1000)), []) for n in range(1, 60)]
    assert events[10].requests_per_sec == pytest.approx(100)
    assert events[-1].requests_per_sec == 0
    assert len(status._seen) <= 2 + RECENT_S / 0.5


def test_a_pause_of_ours_longer_than_that_is_no_division_by_nothing() -> None:
    status = LoadStatus(STEP, 0.0, counted(0))
    status.now(1.0, counted(1), [])
    assert status.now(61.0, counted(61), []).requests_per_sec == pytest.approx(1)


def test_what_is_unknown_is_none() -> None:
    now = LoadStatus(STEP, 0.0, counted(0)).now(1.0, counted(4, each=0), [])
    assert (now.tokens_per_sec, now.total_p50_ms, now.total_p95_ms, now.eta_s) == (None,) * 4
    assert LoadStatus(STEP, 0.0, counted(0)).now(1.0, counted(0), []).state is None
    assert words(now) == "8 clients: 8 in flight, 4 requests/s, 0 failed"


@pytest.mark.parametrize(
    ("step", "eta_s"),
    [
        (Step(2.5, RATE, requests=100), 40.0),
        (Step(2.5, RATE, seconds=30.0), 20.0),
        (Step(2.5, RATE, seconds=5.0), 0.0),
        (Step(2.5, RATE, requests=10), 0.0),
    ],
)
def test_the_time_left_is_that_of_the_step(step: Step, eta_s: float) -> None:
    now = LoadStatus(step, 0.0, counted(0)).now(10.0, counted(20), [])
    assert (now.rate_per_sec, now.clients) == (2.5, None)
    assert now.eta_s == pytest.approx(eta_s)
