"""The degradation point is found, and exactly 2× is no coin to toss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_server import VirtualServer, clients, drive

from pytest_llamaburn.load import degradation
from pytest_llamaburn.load.degradation import Bend, Latency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.load.records import Record

TOTAL, TTFT = "total_generation_ms", "time_to_first_token_ms"


def true_point(slots: int, service: str, metric: str = TOTAL, statistic: str = "p50") -> float:
    """Return the crossing over every level, each of a very long run."""
    rows = []
    for level in range(1, 3 * slots + 3):
        seen = VirtualServer(slots, service, 1e9).seed(1).closed(level, 10_000)[level:]
        ms = degradation.latencies(metric, statistic, seen)
        rows.append(Latency(level, ms, len(seen)))
    found = degradation.point(metric, statistic, rows, rows[0].ms).estimate
    assert found is not None
    return found


@pytest.mark.parametrize("slots", [1, 3, 5, 8])
@pytest.mark.parametrize("service", ["constant", "lognormal", "bimodal"])
def test_the_degradation_point_is_found(slots: int, service: str) -> None:
    truth, off = true_point(slots, service), []
    for seed in range(20):
        server = VirtualServer(slots, service, 1e9).seed(seed)
        found, sent = drive(degradation.search(Bend(200)), clients(server))
        assert sent <= 750
        assert found.estimate is not None
        off.append(abs(found.estimate / truth - 1))
    assert sum(e <= 0.10 for e in off) >= 16
    assert max(off) <= 0.25


def test_a_maximum_below_the_point_says_so() -> None:
    found, _ = drive(degradation.search(Bend(4)), clients(VirtualServer(8).seed(1)))
    assert (found.reached, found.estimate, found.failing, found.passing) == (False, None, None, 4)
    assert found.reason == "up to 4 it stays below 2×"


def test_exactly_twice_the_baseline_is_neither_good_nor_bad() -> None:
    levels: dict[float, Sequence[Record]] = {
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
    levels: dict[float, Sequence[Record]] = {n: server.closed(n, 50 + n)[n:] for n in (1, 2, 5)}
    found = degradation.points(levels, levels[1])
    assert {p.failing for p in found if p.metric == TOTAL} == {5}


@pytest.mark.parametrize("base", [0.0, float("nan"), float("inf")])
def test_a_baseline_that_is_no_latency_has_no_point(base: float) -> None:
    found = degradation.point(TOTAL, "p50", [Latency(1, 5.0, 9)], base)
    assert not found.reached
    assert "the baseline's p50 is" in (found.reason or "")


def test_without_levels_there_is_no_point() -> None:
    found = degradation.points({2: []}, [])
    assert {p.reason for p in found} == {"no level was measured"}


def test_the_first_level_can_be_too_slow() -> None:
    found = degradation.point(TOTAL, "p95", [Latency(4, 50.0, 9)], 10.0)
    assert (found.estimate, found.failing, found.passing) == (4, 4, None)


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 99)), min_size=1, max_size=30))
def test_the_fit_rises_and_keeps_the_mean(pairs: list[tuple[float, int]]) -> None:
    rows = [Latency(i, 1.0, n) for i, (_, n) in enumerate(pairs)]
    fitted = degradation.rising([y for y, _ in pairs], rows)
    assert fitted == sorted(fitted)
    total = sum(y * n for y, n in pairs)
    assert sum(y * r.n for y, r in zip(fitted, rows, strict=True)) == pytest.approx(total, abs=1e-6)
