"""Visits that were disturbed from outside, and estimates that the levels contradict."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from support.virtual_server import (
    SECOND,
    Outside,
    VirtualServer,
    drive,
    ramp,
    schedules,
    true_failure_point,
)

from pytest_llamaburn.capacity import loops, open_loop, visits
from pytest_llamaburn.capacity.search import Limits
from pytest_llamaburn.load.rows import Request

if TYPE_CHECKING:
    from pytest_llamaburn.load.step import Probe


def visit(clients: int, count: int, failed: int, seconds: float = 1.0) -> list[Request]:
    """Return what so many clients sent, the failures spread over it; none waits for a slot."""
    found, spread = [], count / max(failed, 1)
    for i in range(count):
        sent = round((i // clients) * seconds * SECOND)
        broken = failed and int((i + 1) / spread) > int(i / spread)
        end = sent + round(seconds * SECOND)
        found.append(
            Request(sent, sent, None if broken else sent + 1, end, "oom" if broken else None)
        )
    return found


def searched(levels: dict[int, list[tuple[int, int]]]) -> loops.ClosedLoop:
    """Return a search that was told visits to levels: how many requests, how many failed."""
    kind = loops.ClosedLoop(Limits(1, 64, 10 * SECOND))
    for clients, several in levels.items():
        for count, failed in several:
            sending = kind.send(clients, count, burst=0, fresh=True)
            next(sending)
            with pytest.raises(StopIteration):
                sending.send(visit(clients, count, failed))
    kind.reached = True
    return kind


def test_a_level_that_fails_more_than_one_above_it_is_probed_again() -> None:
    twice = [(15, 0), (15, 0)]
    assert searched({16: twice, 27: [(144, 17)], 28: [(264, 8)]}).doubtful() == 27
    assert searched({16: twice, 27: [(144, 5)], 28: [(264, 8)]}).doubtful() is None


def test_the_lowest_level_that_fails_is_confirmed_unless_one_next_to_it_fails_too() -> None:
    assert searched({8: [(60, 0)], 20: [(60, 12)]}).doubtful() == 20
    assert searched({8: [(60, 0)], 20: [(60, 12), (60, 12)]}).doubtful() is None
    assert searched({8: [(60, 0)], 20: [(60, 12)], 22: [(60, 13)]}).doubtful() is None


def test_a_visit_slower_than_one_to_a_level_below_is_doubted() -> None:
    kind = searched({8: [(200, 0)]})
    sending = kind.send(9, 90, burst=0, fresh=True)
    next(sending)
    with pytest.raises(StopIteration):
        sending.send(visit(9, 90, 0, seconds=4.0))
    assert kind.doubtful() == 9


def test_an_estimate_that_contradicts_a_level_is_not_used() -> None:
    kind = searched({1: [(14, 0)], 4: [(20, 0)], 7: [(147, 10)], 9: [(30, 7)]})
    assert not kind.fits(lambda at: 0.0 if at.value < 4 else 0.4 if at.value > 6 else 0.05)
    assert kind.fits(lambda at: 0.0 if at.value < 6 else 0.07)
    found = kind.found()
    assert (found.estimate, found.estimator, found.bracket) == (None, "bracket", (4, 7))
    assert found.interval == (4, 7)


@pytest.mark.parametrize(
    ("estimate", "beside"),
    [
        (6.6, (4, 7)),  # 7 clients fail, though by little
        (7.2, (7, 9)),  # by chance they failed a little too often
        (3.9, (4, 7)),  # 4 hold
        (9.5, (7, 9)),  # 9 fail by far
        (12.0, (7, 12)),  # nothing was sent above
    ],
)
def test_the_levels_beside_an_estimate_are_on_the_sides_that_they_show(
    estimate: float, beside: tuple[float, float]
) -> None:
    kind = searched({1: [(14, 0)], 4: [(20, 0)], 7: [(147, 10)], 9: [(30, 7)]})
    assert kind._beside(estimate) == beside


def test_a_point_beside_levels_that_are_near_is_a_number_and_says_where_it_is_from() -> None:
    found = searched({16: [(60, 0)], 26: [(264, 1)], 28: [(300, 90), (300, 80)]}).found()
    assert found.estimate is not None
    assert 26 <= found.estimate <= 28
    low, high = found.interval or (None, None)
    assert low is not None
    assert high is not None
    assert low <= found.estimate <= high
    assert found.estimator in ("queue_replay", "product_limit", "crossing")


def test_of_two_visits_that_differ_the_worse_is_set_aside() -> None:
    calm, broken, slow = visit(4, 80, 2), visit(4, 80, 30), visit(4, 80, 2, seconds=3)
    assert visits.settled([calm, broken]) == [calm]
    assert visits.settled([slow, calm]) == [calm]
    assert visits.settled([calm, calm[:60]]) == [calm, calm[:60]]
    assert visits.settled([calm, []]) == [calm]


def test_a_visit_that_levels_above_contradict_is_set_aside() -> None:
    broken, above = visit(4, 40, 14), visit(8, 300, 2)
    assert visits.settled([broken], 0, [above]) == []
    assert visits.settled([broken]) == [broken]
    few = visit(4, 8, 3)
    assert visits.settled([few], 0, [above]) == [few]


def test_a_visit_slower_than_levels_on_both_sides_is_set_aside() -> None:
    slow, below, above = visit(8, 64, 0, seconds=4), visit(6, 48, 0), visit(9, 72, 0)
    assert visits.settled([slow], 0, [above], [below]) == []
    assert visits.settled([slow], 0, [], [below]) == [slow]  # its load may slow a server down
    assert visits.settled([slow], 0, [visit(9, 72, 0, seconds=4)], [below]) == [slow]


def test_a_visit_whose_answers_take_longer_than_those_of_more_clients_is_set_aside() -> None:
    alone, more = visit(1, 50, 0, seconds=2.5), visit(4, 40, 0)
    assert visits.settled([alone], 1, [more]) == []
    assert visits.settled([alone], 0, [more]) == [alone]  # a schedule's depends on its length
    assert visits.settled([more], 4, [alone]) == [more]
    assert visits.settled([alone[:9]], 1, [more]) == [alone[:9]]


def test_levels_next_to_a_visit_show_what_those_farther_up_do_not() -> None:
    broken, next_to_it, far_up = visit(4, 40, 14), visit(5, 100, 0), visit(9, 300, 200)
    assert visits.settled([broken], 0, [next_to_it, far_up]) == []
    assert visits.settled([broken], 0, [far_up]) == [broken]


def test_a_request_that_failed_in_the_middle_was_worked_on() -> None:
    calm = visit(4, 80, 0)
    failed = [one._replace(failure="reset", first_ns=one.sent_ns + 1) for one in calm]
    refused = [one._replace(failure="queue_full", first_ns=None) for one in calm]
    assert not visits.slower(calm[:20] + failed[20:], [calm])
    assert visits.pace(failed) == visits.pace(calm)
    assert visits.pace(refused).ended == 0


def waited(clients: int, count: int, deadline_s: float = 10.0) -> list[Request]:
    """Return what so many clients of a server with one slot see, a second each."""
    server = VirtualServer(1, "constant", deadline_s=deadline_s)
    return server.closed(clients, count)


def report_records(kind: loops.ClosedLoop, level: int, records: list[Request]) -> None:
    sending = kind.send(level, len(records), burst=level, fresh=True)
    next(sending)
    with pytest.raises(StopIteration):
        sending.send(records)


def test_a_failing_level_that_those_below_foretold_is_probed_again_only_with_enough_left() -> None:
    kind = loops.ClosedLoop(Limits(1, 64, 10 * SECOND))
    report_records(kind, 8, waited(8, 60))
    report_records(kind, 12, waited(12, 60))
    assert kind.bad(kind.levels[12])
    assert kind.doubtful() == 12
    assert kind.doubtful(lone=False) is None
    report_records(kind, 6, [r._replace(failure="reset") for r in waited(6, 60)])
    assert kind.doubtful(lone=False) == 6


def test_the_first_level_that_fails_surprises() -> None:
    assert searched({8: [(60, 12)]}).doubtful(lone=False) == 8


def test_a_level_far_below_the_point_that_fails_by_chance_does_not_draw_the_search() -> None:
    kind = searched({2: [(40, 4)], 4: [(40, 0)], 24: [(90, 0)], 28: [(90, 20)]})
    assert kind.under(26.0) == 24
    assert searched({24: [(90, 0)], 26: [(90, 20)]}).under(25.0) == 25


@pytest.mark.parametrize(
    ("level", "far", "wanted"),
    [(1, 2, 2), (4, 90, 16), (32, 90, 64), (32, 50, 49), (64, 77, 80), (64, 68, 73)],
)
def test_a_rise_takes_a_level_just_below_the_point_then_one_just_above(
    level: int, far: float, wanted: int
) -> None:
    assert loops.ClosedLoop(Limits(1, 999, 10 * SECOND)).next(level, far) == wanted


@pytest.mark.parametrize("pattern", ["poisson", "static"])
def test_a_first_rate_that_was_disturbed_is_no_point(pattern: str) -> None:
    server = VirtualServer(3, "lognormal").seed(3)
    limits = Limits(
        0.5, 1000, 10_500_000_000, budget=730, alone=open_loop.idle(server.closed(1, 20))
    )
    send, probes = schedules(server, pattern, 3), itertools.count()

    def disturbed(probe: Probe) -> list[Request]:
        records = send(probe)
        broken = range(10, 22) if next(probes) == 0 else ()
        return [r._replace(failure="reset") if i in broken else r for i, r in enumerate(records)]

    found, _ = drive(loops.search(limits), disturbed)
    assert found.estimate == pytest.approx(true_failure_point(server, pattern, 5000), rel=0.1)


def test_points_come_from_no_disturbed_visit_and_from_no_burst() -> None:
    calm, broken = visit(4, 80, 0), visit(4, 80, 30)
    found = visits.for_points({4: [calm, broken], 8: [visit(8, 6, 0)]}, clients=True)
    assert found[4] == calm[4:]
    assert len(found[8]) == 6  # nothing was sent but the burst


@pytest.mark.parametrize("loop", ["closed", "poisson"])
def test_the_failure_point_is_found_among_disturbed_levels(loop: str) -> None:
    server, off = VirtualServer(3, "lognormal", outside=Outside(0.05)), []
    truth = true_failure_point(server, loop)
    for seed in range(10):
        found = ramp(server, loop, seed).failure
        off.append(found.estimate is None or abs(found.estimate / truth - 1) > 0.1)
    assert sum(off) <= 1


@pytest.mark.parametrize("seed", [9005, 9011, 9012, 9022])
def test_a_disturbed_schedule_below_the_point_is_followed_by_another(seed: int) -> None:
    server = VirtualServer(1, "bimodal", outside=Outside(0.05))
    found = ramp(server, "poisson", seed)
    assert found.failure.estimate == pytest.approx(true_failure_point(server, "poisson"), rel=0.1)
    assert found.sent <= 750
