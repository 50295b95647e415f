"""The line that tells how a load goes right now."""

from __future__ import annotations

from collections import Counter

from pytest_llamaburn.load.status_line import RECENT_S, Pulse
from pytest_llamaburn.load.step import CLIENTS, Step

STEP = Step(8, CLIENTS)


def counted(done: int, failed: int = 0, each: int = 10) -> Counter[str]:
    return Counter(in_flight=8, done=done, tokens=each * done, failed=failed)


def test_a_load_tells_its_rates_and_p95_and_its_failures_since_it_began() -> None:
    pulse = Pulse(STEP, 100.0, counted(40, failed=3))
    said = pulse.line(102.0, counted(60, failed=5), [10.0] * 94 + [400.0] * 6)
    wanted = "8 in flight, 10 requests/s, 100 tokens/s, p95 now 400 ms, 2 failed"
    assert said == f"8 clients: {wanted}"


def test_rates_are_of_the_last_seconds_and_forget_how_it_began() -> None:
    pulse = Pulse(STEP, 0.0, counted(0))
    lines = [pulse.line(0.5 * n, counted(min(50 * n, 1000)), []) for n in range(1, 60)]
    assert "100 requests/s" in lines[10]
    assert "0 requests/s" in lines[-1]
    assert len(pulse._seen) <= 2 + RECENT_S / 0.5


def test_a_pause_of_ours_longer_than_that_is_no_division_by_nothing() -> None:
    pulse = Pulse(STEP, 0.0, counted(0))
    pulse.line(1.0, counted(1), [])
    assert "1 requests/s" in pulse.line(61.0, counted(61), [])


def test_what_nobody_counted_and_nothing_ended_of_is_left_out() -> None:
    assert Pulse(STEP, 0.0, counted(0)).line(1.0, counted(4, each=0), []) == (
        "8 clients: 8 in flight, 4 requests/s, 0 failed"
    )
