"""States, slots and plateaus follow from the levels' numbers."""

from __future__ import annotations

from typing import Any

import pytest
from support.virtual_server import SECOND, VirtualServer

from pytest_llamaburn.capacity import states
from pytest_llamaburn.capacity.states import Level


def level(value: float, **fields: Any) -> Level:
    usual = {"requests": 100, "error_rate": 0.0, "requests_per_sec": 4.0, "latency_ratio": 1.0}
    return Level(value, **{**usual, **fields})


@pytest.mark.parametrize(
    ("fields", "state", "words"),
    [
        ({"requests": 0}, "idle", "no request"),
        ({"error_rate": 0.06}, "failure", "6.0% of 100 requests failed, above 5.0%"),
        ({"error_rate": 0.06, "client_limited": True}, "failure", "6.0%"),
        ({"latency_ratio": 9.0, "client_limited": True}, "optimal", "client was too slow"),
        ({"backlog_grows": True, "client_limited": True}, "optimal", "client was too slow"),
        ({"backlog_grows": True}, "degraded", "backlog grows"),
        ({"latency_ratio": 2.5}, "degraded", "2.50× the baseline's, above 2×"),
        ({"latency_ratio": 2.0, "error_rate": 0.05}, "optimal", "5.0% failed"),
        ({"latency_ratio": None}, "optimal", "latency is unknown"),
    ],
)
def test_a_state_is_the_first_rule_that_holds(
    fields: dict[str, Any], state: str, words: str
) -> None:
    found = states.state(level(3, **fields))
    assert (found.level, found.state) == (3, state)
    assert words in found.evidence


def test_the_optimal_level_is_the_smallest_near_the_best_that_is_acceptable() -> None:
    levels = [
        level(1, requests_per_sec=1.0),
        level(4, requests_per_sec=3.85),
        level(5, requests_per_sec=4.0),
        level(9, requests_per_sec=9.0, latency_ratio=2.2),
    ]
    found = states.optimal(levels)
    assert found is not None
    assert (found.level, found.state) == (4, "optimal")
    assert "3.85 requests/s" in found.evidence


def test_without_an_acceptable_level_none_is_optimal() -> None:
    assert states.optimal([level(1, error_rate=1.0)]) is None


def measured(slots: int, clients: int, service: str = "lognormal") -> Level:
    records = VirtualServer(slots, service, 1e9).seed(1).closed(clients, 300 + clients)[clients:]
    good = [r for r in records if r.first_ns is not None]
    ttft = sum((r.first_ns or 0) - r.sent_ns for r in good) / len(good) / 1e6
    total = sum(r.end_ns - r.sent_ns for r in good) / len(good)
    throughput = clients / (total / SECOND)
    fields = {"ttft_ms": ttft, "total_ms": total / 1e6, "requests_per_sec": throughput}
    return level(clients, **fields)


@pytest.mark.parametrize("slots", [1, 3, 4, 5, 8])
@pytest.mark.parametrize("service", ["constant", "lognormal", "bimodal"])
def test_slots_are_inferred_from_how_long_requests_wait(slots: int, service: str) -> None:
    rows = [measured(slots, clients, service) for clients in (1, 2, 4, 8, 16, 32)]
    assert states.slots(rows) == slots


def test_slots_are_unknown_where_nobody_waits() -> None:
    assert states.slots([measured(8, clients) for clients in (1, 2, 4, 8)]) is None
    assert states.slots([level(1)]) is None


def test_throughput_is_flat_from_the_slots_on() -> None:
    assert states.flat_from([measured(4, clients) for clients in (1, 2, 4, 8, 16)]) == 4
    rising = [level(n, requests_per_sec=float(n)) for n in (1, 2, 4)]
    assert states.flat_from(rising) is None
    assert states.flat_from([]) is None


def test_a_stream_s_speed_halves_at_a_level() -> None:
    rows = [level(n, stream_tokens=100 / n**0.5) for n in (1, 2, 4, 8)]
    assert states.halves_at(rows) == 4
    assert states.halves_at(rows[:2]) is None
    assert states.halves_at([level(1)]) is None
