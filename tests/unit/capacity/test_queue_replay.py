"""A server's queue is read off its answers, and played again as it would be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.virtual_server import LOOPS, SECOND, VirtualServer, schedules

from pytest_llamaburn.capacity import queue_replay
from pytest_llamaburn.load.rows import Request
from pytest_llamaburn.load.step import Probe

if TYPE_CHECKING:
    from collections.abc import Sequence

services = st.sampled_from(["constant", "lognormal", "bimodal"])


def share_late(records: Sequence[Request]) -> float:
    return sum(r.timed_out for r in records) / len(records)


@given(slots=st.integers(1, 12), service=services, seed=st.integers(0, 99))
def test_slots_and_work_are_read_off_the_answers(slots: int, service: str, seed: int) -> None:
    server = VirtualServer(slots, service, deadline_s=math.inf).seed(seed)
    found = queue_replay.seen([server.closed(3 * slots, 600)], 3 * slots)
    assert found is not None
    assert found.slots == slots
    assert np.mean(found.work_ns) == pytest.approx(SECOND, rel=0.15)
    if service == "constant":
        assert np.allclose(found.work_ns, SECOND)


@given(slots=st.integers(1, 12), service=services, seed=st.integers(0, 99))
def test_work_that_a_deadline_cut_off_is_not_taken_for_short(
    slots: int, service: str, seed: int
) -> None:
    server = VirtualServer(slots, service, deadline_s=3.0).seed(seed)
    found = queue_replay.seen([server.closed(3 * slots, 900)], 3 * slots)
    assert found is not None
    assert np.mean(found.work_ns) == pytest.approx(SECOND, rel=0.15)


def test_what_is_not_counted_at_the_beginning_of_a_run_misleads_nobody() -> None:
    server = VirtualServer(4, "constant", deadline_s=math.inf)
    found = queue_replay.seen([server.closed(40, 200)[40:]], 40)
    assert found is not None
    assert found.slots == 4
    assert np.allclose(found.work_ns, SECOND)


def test_clients_who_all_are_served_at_once_show_no_queue() -> None:
    server = VirtualServer(8, "lognormal").seed(1)
    assert queue_replay.seen([server.closed(8, 200)], 8) is None


def test_a_server_that_lets_the_last_overtake_shows_no_queue() -> None:
    first, *others = VirtualServer(1, "constant", deadline_s=math.inf).closed(9, 200)
    turned = [r._replace(sent_ns=-r.sent_ns) for r in others]
    assert queue_replay.seen([[first, *turned]], 9) is None


def test_too_few_requests_show_no_queue() -> None:
    assert queue_replay.seen([VirtualServer(1).closed(4, 15)], 4) is None


def test_a_request_that_was_refused_took_no_slot() -> None:
    records = VirtualServer(2, "constant", deadline_s=math.inf).closed(6, 200)
    at = [r.sent_ns + 1000 for r in records]
    refused = [Request(t, t, None, t + SECOND // 100, "queue_full") for t in at]
    found = queue_replay.seen([[*records, *refused]], 6)
    assert found is not None
    assert found.slots == 2
    assert np.allclose(found.work_ns, SECOND)


@pytest.mark.parametrize("service", ["constant", "lognormal", "bimodal"])
@pytest.mark.parametrize("slots", [1, 4])
def test_a_closed_loop_is_played_as_the_server_plays_it(slots: int, service: str) -> None:
    server = VirtualServer(slots, service, deadline_s=6.0, think_s=0.5).seed(2)
    queue = queue_replay.Queue(slots, np.array([SECOND * _drawn(server) for _ in range(4000)]))
    curve = queue_replay.closed(queue, 6.0 * SECOND, 0.5 * SECOND)
    for clients in (6 * slots, 7 * slots, 8 * slots):
        seen = server.closed(clients, 20_000)[5 * clients :]
        assert curve(clients) == pytest.approx(share_late(seen), abs=0.03)


@pytest.mark.parametrize("loop", LOOPS[1:])
@pytest.mark.parametrize("slots", [1, 4])
def test_an_open_loop_is_played_as_the_server_plays_it(slots: int, loop: str) -> None:
    server = VirtualServer(slots, "lognormal", deadline_s=6.0).seed(2)
    queue = queue_replay.Queue(slots, np.array([SECOND * _drawn(server) for _ in range(4000)]))
    send = schedules(server, loop, 5)
    curve = queue_replay.opened(queue, [send(Probe(slots, 500, from_idle=True))], 6.0 * SECOND)
    for load in (0.9, 1.05, 1.2):
        seen = send(Probe(load * slots, 20_000, from_idle=True))
        assert curve(load * slots) == pytest.approx(share_late(seen), abs=0.03)


def test_between_whole_numbers_of_clients_the_share_is_a_straight_line() -> None:
    queue = queue_replay.Queue(1, np.full(100, float(SECOND)))
    curve = queue_replay.closed(queue, 10.5 * SECOND)
    assert curve(10) == 0
    assert curve(10.5) == pytest.approx((curve(10) + curve(11)) / 2)
    assert curve(0.2) == curve(1) == 0


def _drawn(server: VirtualServer) -> float:
    from support.virtual_server import SERVICES

    return SERVICES[server.service](server.rng)
