"""The degradation point is found, and exactly 2× is no coin to toss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.virtual_server import Outside, VirtualServer, ramp, true_degradation_point

from pytest_llamaburn.capacity import degradation
from pytest_llamaburn.capacity.degradation import Latency
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.load.rows import Request

TTFT, TOTAL = degradation.WAITS


def at(level: float, ms: float, n: int = 9) -> Latency:
    return Latency(level, ms, n, (ms, ms))


@pytest.mark.parametrize("slots", [1, 3, 8])
@pytest.mark.parametrize("service", ["constant", "lognormal", "bimodal"])
def test_a_ramp_brackets_the_degradation_point_too(slots: int, service: str) -> None:
    truth = true_degradation_point(VirtualServer(slots, service), 3000)
    for seed in range(3):
        found = ramp(VirtualServer(slots, service), "closed", seed).degradation
        assert found is not None
        low, high = found.bracket or (None, 0)
        assert low is not None
        assert high / low <= 1.15 or high - low == 1
        assert found.estimate == pytest.approx(truth, rel=0.15)


def test_a_ramp_brackets_it_among_disturbed_levels() -> None:
    server, off = VirtualServer(3, "lognormal", outside=Outside(0.05)), []
    truth = true_degradation_point(server, 3000)
    for seed in range(12):
        found = ramp(server, "closed", seed).degradation
        off.append(found is None or found.estimate != pytest.approx(truth, rel=0.15))
    assert sum(off) <= 1


def test_a_gap_between_two_levels_is_no_number() -> None:
    rows = [at(1, 10), at(3, 12), at(16, 90)]
    found = degradation.point(TOTAL, "p50", rows, at(1, 10))
    assert (found.estimate, found.bracket, found.interval) == (None, (3, 16), (3, 16))
    assert (found.reached, found.estimator) == (True, "bracket")
    assert "between 3 and 16" in (found.reason or "")


def test_neighbours_have_no_level_between_them_and_rates_always_have() -> None:
    assert not degradation.wide(1, 2, whole=True)
    assert degradation.wide(1, 2, whole=False)
    assert not degradation.wide(10, 14, whole=True)


def test_among_points_the_lowest_is_the_servers_be_it_a_bracket() -> None:
    near = degradation.point(TOTAL, "p50", [at(1, 10), at(8, 15), at(9, 40)], at(1, 10))
    gap = degradation.point(TTFT, "p50", [at(1, 10), at(4, 12), at(8, 90)], at(1, 10))
    none = degradation.point(TTFT, "p95", [at(1, 10)], at(1, 10))
    assert degradation.lowest([near, gap, none]) == gap
    assert degradation.lowest([none]) is None


def test_exactly_twice_the_baseline_is_neither_good_nor_bad() -> None:
    levels: dict[float, Sequence[Request]] = {
        n: VirtualServer(1, "constant", 1e9).closed(n, 50 + n)[n:] for n in (1, 2, 3)
    }
    found = {(p.metric, p.statistic): p for p in degradation.points(levels, levels[1])}
    for statistic in ("p50", "p95"):
        point = found[TOTAL, statistic]
        assert (point.passing, point.failing) == (1, 3)
        assert point.estimate == pytest.approx(2)
    assert found[TTFT, "p50"].failing == 2
    assert len(found) == 4


def test_failures_are_infinitely_slow() -> None:
    server = VirtualServer(1, "constant", 2.5)
    levels: dict[float, Sequence[Request]] = {n: server.closed(n, 50 + n)[n:] for n in (1, 2, 5)}
    found = degradation.points(levels, levels[1])
    assert {p.failing for p in found if p.metric == TOTAL} == {5}


@pytest.mark.parametrize("base", [0.0, float("nan"), float("inf")])
def test_a_baseline_that_is_no_latency_has_no_point(base: float) -> None:
    found = degradation.point(TOTAL, "p50", [at(1, 5.0)], at(1, base))
    assert not found.reached
    assert "the baseline's p50 is" in (found.reason or "")


def test_without_levels_there_is_no_point() -> None:
    found = degradation.points({2: []}, [])
    assert {p.reason for p in found} == {"no level was measured"}


def test_below_the_first_level_that_is_too_slow_nothing_is_known() -> None:
    found = degradation.point(TOTAL, "p95", [at(4, 50.0)], at(1, 10.0))
    assert (found.estimate, found.failing, found.bracket) == (None, 4, (None, 4))
    assert (found.reached, found.estimator) == (True, "bracket")


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 99)), min_size=1, max_size=30))
def test_the_fit_rises_and_keeps_the_mean(pairs: list[tuple[float, int]]) -> None:
    values, weights = [y for y, _ in pairs], [n for _, n in pairs]
    fitted = samples.rising(values, weights)
    assert fitted == sorted(fitted)
    total = sum(y * n for y, n in pairs)
    again = sum(y * n for y, n in zip(fitted, weights, strict=True))
    assert again == pytest.approx(total, abs=1e-6)


def test_a_search_asks_for_nothing_below_its_first_level_or_above_its_last() -> None:
    slow = VirtualServer(1, "constant", 1e9).closed(4, 60)
    alone = VirtualServer(1, "constant", 1e9).closed(1, 20)
    assert degradation.wanted({1: alone}, alone, 2.0, 1) is None
    assert degradation.wanted({1: alone}, alone, 2.0, 64) == (4, 12)
    assert degradation.wanted({1: alone, 4: slow}, alone, 2.0, 64) == (2, 12)
