"""Capacity, backlog and knee: the pieces that the searches stand on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.virtual_server import SECOND, Faults, VirtualServer

from pytest_llamaburn.capacity import crossing, open_loop
from pytest_llamaburn.load import arrivals
from pytest_llamaburn.load.rows import Request
from pytest_llamaburn.stats import clustered

ALONE = open_loop.Idle(0.1e9, 0.25)
NONE = open_loop.Backlog(0.0, 0.0, grows=False)


def served(slots: int, rate: float, count: int = 400, pattern: str = "poisson") -> list[Request]:
    times = arrivals.schedule(pattern, rate, count=count, seed=3).tolist()
    return VirtualServer(slots, "lognormal", 1e9).seed(2).open(times)


@pytest.mark.parametrize("slots", [1, 4, 8])
@pytest.mark.parametrize("over", [1.2, 2.0])
def test_capacity_is_measured_where_requests_wait(slots: int, over: float) -> None:
    run = served(slots, over * slots, 2000)
    assert open_loop.capacity([run], ALONE) == pytest.approx(slots, rel=0.05)
    assert open_loop.precision([run], ALONE) < 0.04


def test_capacity_is_unknown_where_nobody_waits() -> None:
    assert open_loop.capacity([served(8, 2.0)], ALONE) is None
    assert open_loop.precision([served(8, 2.0)], ALONE) == 1.0


def test_a_backlog_grows_above_capacity_and_not_below() -> None:
    above = open_loop.backlog(served(4, 6.0), 6.0, ALONE)
    below = open_loop.backlog(served(4, 3.2), 3.2, ALONE)
    assert above.grows
    assert above.per_sec == pytest.approx(2, abs=0.5)
    assert above.share == pytest.approx(1 / 3, abs=0.08)
    assert not below.grows


def test_chance_is_no_backlog() -> None:
    calm = 0
    for seed in range(100):
        times = arrivals.schedule("poisson", 3.6, count=150, seed=seed).tolist()
        run = VirtualServer(4, "lognormal", 1e9).seed(seed).open(times)
        calm += not open_loop.backlog(run, 3.6, ALONE).grows
    assert calm >= 98


def test_a_backlog_of_one_moment_is_none() -> None:
    assert open_loop.backlog([Request(0, 0, None, 9)], 1.0, ALONE) == NONE


def constant(rate: float, count: int, slots: int) -> list[Request]:
    times = [number / rate for number in range(count)]
    return VirtualServer(slots, "constant", 1e9).seed(2).open(times)


STEADY = open_loop.Idle(0.1e9, 0.0, 1e9)


@pytest.mark.parametrize("rate", [1.0, 7.0, 30.0])
def test_a_server_that_fills_up_has_no_backlog_however_even_the_schedule(rate: float) -> None:
    for lasts_s in (0.4, 1.5, 3.0, 20.0):
        run = constant(rate, round(rate * lasts_s) + 2, 999)
        assert not open_loop.backlog(run, rate, STEADY).grows, lasts_s


def test_a_schedule_that_ends_before_the_first_answer_says_nothing_of_a_backlog() -> None:
    assert open_loop.backlog(constant(100, 90, 2), 100, STEADY) == NONE


def test_an_even_schedule_above_capacity_has_a_backlog_within_a_few_latencies() -> None:
    assert open_loop.backlog(constant(8, 40, 4), 8, STEADY).grows


def test_arrivals_vary_as_their_pattern_does() -> None:
    poisson, static = (served(1, 0.5, 400, name) for name in ("poisson", "static"))
    assert open_loop.arrival_cv2([poisson]) == pytest.approx(1, abs=0.3)
    assert open_loop.arrival_cv2([static]) == pytest.approx(0, abs=1e-9)
    assert open_loop.arrival_cv2([static[:2]]) == 1.0


def test_what_one_client_sees_is_the_idle_server() -> None:
    alone = open_loop.idle(VirtualServer(4, "lognormal").seed(1).closed(1, 400))
    assert alone.cv2 == pytest.approx(0.25, abs=0.07)
    assert alone.ttft_ns == pytest.approx(0.09 * SECOND, rel=0.1)
    assert alone.total_ns == pytest.approx(0.9 * SECOND, rel=0.1)
    assert open_loop.idle([Request(0, 0, None, 9)]).ttft_ns == 9


def test_a_baseline_without_success_is_refused() -> None:
    with pytest.raises(ValueError, match="no successful request"):
        open_loop.idle([Request(0, 0, None, 9, "reset")])


def test_the_share_lost_rises_with_the_rate() -> None:
    lost = open_loop.lost(4.0, 10 * SECOND, 1.25, 0.25)
    shares = [lost(rate) for rate in (0.1, 2.0, 3.9, 4.0, 4.1, 8.0, 400.0)]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(0, abs=1e-9)
    assert shares[-1] == 1.0
    assert lost(4.0) == pytest.approx(lost(4.0001), rel=0.01)


def test_independent_failures_count_each() -> None:
    flags = np.random.default_rng(1).random(2000) < 0.1
    assert clustered.design_effect([flags]) == pytest.approx(1, abs=0.15)
    assert clustered.design_effect([np.zeros(9, bool)]) == 1.0


@pytest.mark.parametrize("length", [2.0, 4.0])
def test_a_cluster_counts_about_once(length: float) -> None:
    server = VirtualServer(1, "constant", 1e9, Faults(0.1, length)).seed(4)
    flags = np.array([r.failure is not None for r in server.closed(1, 20_000)])
    memory = 1 - 1 / length - 0.1 / (0.9 * length)
    expected = (1 + memory) / (1 - memory)
    assert clustered.design_effect([flags[:9000], flags[9000:]]) == pytest.approx(
        expected, rel=0.15
    )


def test_an_interval_holds_its_share() -> None:
    low, high = clustered.interval(0.05, 100)
    assert 0 < low < 0.05 < high < 0.2
    assert clustered.interval(0.0, 100)[0] == 0.0


def test_a_logistic_curve_is_recovered_from_counts() -> None:
    counts = []
    for level in (4, 8, 16, 32):
        share = 1 / (1 + math.exp(8 - 3 * math.log(level)))
        counts.append((float(level), round(20_000 * share), 20_000))
    a, b, gain = crossing.logistic(counts)
    assert a == pytest.approx(-8, abs=0.1)
    assert b == pytest.approx(3, abs=0.05)
    assert gain > 1000


def test_where_nothing_fails_and_nothing_is_late_there_is_no_crossing() -> None:
    records = [Request(0, 0, None, 5, "reset") for _ in range(40)]
    sample = crossing.sample(2, records)
    assert crossing.beyond([sample], 9)(2) == 0.0
    assert crossing.solve(lambda _: 0.0, 0.05, 1, 9) is None
    late = open_loop.late([], ALONE, 9)
    assert crossing.crossing([crossing.sample(1, [Request(0, 0, 1, 5)])], late, 0.05) is None
