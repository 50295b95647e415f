"""Recovery time is what a queue takes to drain, to the resolution that is told."""

from __future__ import annotations

import pytest
from support.virtual_server import SECOND, VirtualServer

from pytest_llamaburn.capacity import recovery
from pytest_llamaburn.load import arrivals
from pytest_llamaburn.load.rows import Request

BEFORE_S = 150.0


def spiked(
    server: VirtualServer,
    pattern: str,
    rate: float,
    burst: int,
    after_s: float = 120,
    seed: int = 0,
) -> recovery.Recovery:
    """Return the recovery of a server that gets a burst after its baseline ran for a while."""
    server.seed(seed).rest()
    times = arrivals.schedule(pattern, rate, seconds=BEFORE_S + after_s, seed=seed).tolist()
    sent = sorted([(at, False) for at in times] + [(BEFORE_S, True)] * burst)
    records = server.open([at for at, _ in sent])
    base = [r for r, (_, spike) in zip(records, sent, strict=True) if not spike]
    spike_ns = (round(BEFORE_S * SECOND), round(BEFORE_S * SECOND))
    return recovery.recovery(base, spike_ns, rate)


@pytest.mark.parametrize("slots", [1, 4, 8])
@pytest.mark.parametrize("load", [0.3, 0.5])
def test_recovery_is_the_fluid_drain_to_its_resolution(slots: int, load: float) -> None:
    server = VirtualServer(slots, "constant", 1e9)
    queue = 60 * slots
    drain_ms = 1000 * queue / (slots - load * slots)
    found = spiked(server, "static", load * slots, queue, after_s=300)
    assert found.recovery_ms == pytest.approx(drain_ms, abs=found.resolution_ms)
    assert found.rate_per_sec == load * slots
    assert found.resolution_ms == pytest.approx(max(5000, 10_000 / (load * slots)))


@pytest.mark.parametrize(
    ("slots", "service", "load"),
    [(4, "lognormal", 0.5), (8, "bimodal", 0.5), (4, "lognormal", 0.7), (4, "constant", 0.3)],
)
def test_a_spike_of_nothing_recovers_within_one_window(
    slots: int, service: str, load: float
) -> None:
    server = VirtualServer(slots, service, 1e9)
    found = [spiked(server, "poisson", load * slots, 0, 60, seed) for seed in range(100)]
    calm = [r.recovery_ms is not None and r.recovery_ms <= r.resolution_ms for r in found]
    assert sum(calm) >= 95


def test_a_random_server_recovers_about_when_its_queue_is_gone() -> None:
    server = VirtualServer(4, "lognormal", 1e9)
    found = [spiked(server, "poisson", 2.0, 160, 200, seed) for seed in range(9)]
    over_all = recovery.repeated(found)
    assert over_all.median_ms is not None
    assert over_all.range_ms is not None
    assert over_all.median_ms == pytest.approx(80_000, abs=2 * over_all.resolution_ms)
    assert over_all.range_ms[0] <= over_all.median_ms <= over_all.range_ms[1]
    assert (over_all.spikes, over_all.unrecovered) == (9, 0)


def test_a_server_that_did_not_come_back_has_a_lower_bound() -> None:
    found = spiked(VirtualServer(4, "constant", 1e9), "static", 2.0, 400, after_s=60)
    assert found.recovery_ms is None
    assert found.lower_bound_ms == pytest.approx(60_000, abs=2 * found.resolution_ms)
    assert found.reason == "latency did not return to the baseline before the run ended"


def test_failures_are_no_recovery() -> None:
    found = spiked(VirtualServer(4, "constant", 5.0), "static", 2.0, 120, after_s=120)
    assert found.recovery_ms is not None
    assert found.recovery_ms >= 1000 * 5 * 4 / 4  # what was dropped need not drain


def test_a_short_baseline_is_none() -> None:
    records = [Request(i * SECOND, i * SECOND, None, i * SECOND + 1) for i in range(40)]
    found = recovery.recovery(records, (8 * SECOND, 9 * SECOND), 2.0)
    assert (found.recovery_ms, found.lower_bound_ms) == (None, None)
    assert "fewer than 3 windows" in (found.reason or "")
    assert found.band_ms is None


def test_one_spike_in_two_that_never_recovered_leaves_no_median() -> None:
    good = recovery.Recovery(1000.0, None, 500.0, 9.0, 1.0)
    bad = recovery.Recovery(None, 9000.0, 500.0, 9.0, 1.0, "why")
    found = recovery.repeated([good, bad, bad])
    assert found == recovery.Recoveries(None, (1000.0, 1000.0), 500.0, 3, 2)
    assert recovery.repeated([bad]).range_ms is None
