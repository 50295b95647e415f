"""The search finds the failure point of servers whose true one is known."""

from __future__ import annotations

import math

import pytest
from support.virtual_server import (
    DEADLINE_S,
    LOOPS,
    SECOND,
    Faults,
    VirtualServer,
    clients,
    drive,
    failure_point,
    schedules,
    true_failure_point,
)

from pytest_llamaburn.capacity import loops, open_loop
from pytest_llamaburn.capacity.search import FailurePoint, Limits
from pytest_llamaburn.load.rows import Request
from pytest_llamaburn.load.step import Probe

DEADLINE_NS = round(DEADLINE_S * SECOND)
SERVERS = [
    (service, slots, loop)
    for service in ("constant", "lognormal", "bimodal")
    for slots in (1, 3, 5, 8)
    for loop in LOOPS
]


def errors(server: VirtualServer, loop: str, seeds: int) -> list[float]:
    """Return by how much searches were off, as a share of the true point."""
    truth, found = true_failure_point(server, loop), []
    for seed in range(seeds):
        point, sent = failure_point(server, loop, seed)
        assert sent <= 750
        assert point.reached
        low, high = point.interval or (None, None)
        assert low is not None
        assert high is not None
        if point.estimate is None:  # a bracket is no number: it counts as a miss
            found.append(math.inf)
            continue
        assert low <= point.estimate <= high
        found.append(abs(point.estimate / truth - 1))
    return found


@pytest.mark.parametrize(("service", "slots", "loop"), SERVERS)
def test_the_failure_point_is_found(service: str, slots: int, loop: str) -> None:
    off = errors(VirtualServer(slots, service), loop, seeds=4)
    assert sum(e <= 0.10 for e in off) == 4
    assert sum(e <= 0.05 for e in off) >= 3


@pytest.mark.parametrize("loop", ["closed", "poisson"])
def test_it_is_found_within_a_tenth_in_49_of_50_searches(loop: str) -> None:
    off = errors(VirtualServer(3, "lognormal"), loop, seeds=50)
    assert sum(e <= 0.10 for e in off) >= 49
    assert sum(e <= 0.05 for e in off) >= 42  # nine of ten, less what chance takes from 50


def test_the_failure_point_is_found_for_clients_that_pause() -> None:
    off = errors(VirtualServer(4, "lognormal", think_s=6.0), "closed", seeds=20)
    assert sum(e <= 0.10 for e in off) >= 18


@pytest.mark.parametrize("after", [0, 3, 14])
def test_a_driver_that_stops_gets_what_was_found(after: int) -> None:
    server, probes = VirtualServer(4, "constant").seed(1), 0

    def send(probe: Probe) -> list[Request]:
        nonlocal probes
        probes += 1
        return clients(server)(probe) if probes <= after else []

    found, sent = drive(loops.search(Limits(1, 100, DEADLINE_NS)), send)
    assert found.reason == "stopped"
    assert found.requests == sent
    assert found.reached == (found.estimate is not None) == (after == 14)


def test_clusters_of_errors_below_the_rate_are_not_taken_for_the_point() -> None:
    server = VirtualServer(8, "bimodal", faults=Faults(0.04, cluster=2))
    off = errors(server, "closed", seeds=20)
    assert sum(e <= 0.10 for e in off) >= 17


def test_clusters_of_errors_that_load_brings_are_found_where_they_pass_the_rate() -> None:
    faults = Faults(0.05, cluster=2, at=24, sharpness=6)  # 4 % at 23, 6 % at 25 clients
    server = VirtualServer(4, "lognormal", deadline_s=100, faults=faults)
    off = [
        abs((failure_point(server, "closed", seed)[0].estimate or 0) / 24 - 1) for seed in range(20)
    ]
    assert sum(e <= 0.10 for e in off) >= 10  # 500 requests hold about 170 independent ones
    assert sum(e <= 0.25 for e in off) >= 15


def test_clustered_errors_under_every_load_are_never_proven_to_pass() -> None:
    server = VirtualServer(4, "lognormal", faults=Faults(0.06, cluster=2))
    found = [failure_point(server, "closed", seed)[0] for seed in range(20)]
    assert sum(point.proven for point in found) <= 1


def test_a_maximum_below_the_point_says_so() -> None:
    found, _ = drive(loops.search(Limits(1, 12, DEADLINE_NS)), clients(VirtualServer(4).seed(1)))
    assert (found.reached, found.reason, found.estimate, found.interval) == (
        False,
        "maximum",
        None,
        None,
    )
    assert found.passing == 12
    assert found.failing is None


def test_an_open_loop_s_maximum_below_the_point_says_so() -> None:
    server = VirtualServer(4).seed(1)
    limits = Limits(0.5, 2, DEADLINE_NS, alone=open_loop.idle(server.closed(1, 20)))
    found, _ = drive(loops.search(limits), schedules(server, "static", 1))
    assert (found.reached, found.reason, found.passing) == (False, "maximum", 2)


def test_a_deadline_too_short_for_one_client_fails_at_the_start() -> None:
    server = VirtualServer(4, "constant", deadline_s=0.5).seed(1)
    found, _ = drive(loops.search(Limits(1, 64, SECOND // 2)), clients(server))
    assert (found.reached, found.reason, found.passing, found.failing) == (
        True,
        "fails_at_start",
        None,
        1,
    )
    assert found.estimate == 1


def rejecting(limit: int) -> tuple[list[Probe], FailurePoint]:
    """Return the probes and the end of a search on a server that takes only so many clients."""
    probes: list[Probe] = []

    def send(probe: Probe) -> list[Request]:
        probes.append(probe)
        full = probe.level > limit
        times = [i * SECOND for i in range(probe.requests)]
        return [Request(t, t, None, t + SECOND, "queue_full" if full else None) for t in times]

    found, _ = drive(loops.search(Limits(1, 64, 100 * SECOND)), send)
    return probes, found


def test_a_server_that_rejects_is_bracketed_by_neighbours() -> None:
    probes, found = rejecting(13)
    assert (found.passing, found.failing, found.proven) == (13, 14, True)
    assert found.reason == "bracketed"
    assert found.estimate == pytest.approx(13.5, abs=0.5)
    assert sum(probe.requests for probe in probes) < 750


def test_a_server_that_fails_everything_fails_at_the_start() -> None:
    _, found = rejecting(0)
    assert (found.reason, found.failing) == ("fails_at_start", 1)


def test_the_budget_is_kept() -> None:
    found, sent = drive(
        loops.search(Limits(1, 1000, DEADLINE_NS, budget=200)), clients(VirtualServer(8).seed(3))
    )
    assert sent == found.requests <= 200
    assert (found.reached, found.reason) == (False, "budget")
    assert found.passing is not None
    assert found.passing < 1000


@pytest.mark.parametrize(("maximum", "rates"), [(1, False), (12, False), (1, True), (12, True)])
def test_the_least_that_a_search_takes_brings_it_to_its_maximum(
    maximum: float, *, rates: bool
) -> None:
    server = VirtualServer(99).seed(1)
    budget = loops.least(1, maximum, rates=rates)
    limits = Limits(1, maximum, DEADLINE_NS, budget=budget)
    if rates:
        limits = limits._replace(alone=open_loop.idle(server.closed(1, 20)))
    send = schedules(server, "static", 1) if rates else clients(server)
    found, sent = drive(loops.search(limits), send)
    assert (found.reason, found.passing) == ("maximum", maximum)
    assert sent <= budget


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_shorter_deadline_s_point_comes_from_the_same_records(share: float) -> None:
    server = VirtualServer(4, "lognormal").seed(5)
    levels = {float(n): [server.closed(n, 400 + n)[n:]] for n in (8, 12, 16, 20, 24, 28)}
    found = loops.clients_at(levels, share * DEADLINE_NS, 0.05)
    truth = true_failure_point(VirtualServer(4, "lognormal", share * DEADLINE_S), "closed")
    assert found == pytest.approx(truth, rel=0.05)


def test_without_a_queue_latency_for_each_client_tells_the_point() -> None:
    server = VirtualServer(99, "lognormal").seed(5)
    levels = {float(n): [server.closed(n, 400 + n)[n:]] for n in (8, 12)}
    assert loops.clients_at(levels, DEADLINE_NS, 0.05) == pytest.approx(47, rel=0.1)
    late = loops.clients_at(levels, 0.1 * DEADLINE_NS, 0.05)
    assert late is not None
    assert late < 12


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_rate_s_point_at_another_deadline_comes_from_the_same_records(share: float) -> None:
    server = VirtualServer(4, "lognormal").seed(5)
    alone = open_loop.idle(server.closed(1, 50))
    send = schedules(server, "poisson", 3)
    levels = {rate: [send(Probe(rate, 300, from_idle=True))] for rate in (3.0, 4.0, 5.0)}
    found = loops.rate_at(levels, share * DEADLINE_NS, 0.05, alone)
    truth = true_failure_point(VirtualServer(4, "lognormal", share * DEADLINE_S), "poisson")
    assert found == pytest.approx(truth, rel=0.05)
