"""Visits that were disturbed from outside, and estimates that the levels contradict."""

from __future__ import annotations

import pytest
from virtual_server import SECOND, Outside, VirtualServer, ramp, true_failure_point

from pytest_llamaburn.capacity import loops, visits
from pytest_llamaburn.capacity.search import Limits
from pytest_llamaburn.load.records import Record


def visit(clients: int, count: int, failed: int, seconds: float = 1.0) -> list[Record]:
    """Return what so many clients sent, the failures spread over it; none waits for a slot."""
    found, spread = [], count / max(failed, 1)
    for i in range(count):
        sent = round((i // clients) * seconds * SECOND)
        broken = failed and int((i + 1) / spread) > int(i / spread)
        end = sent + round(seconds * SECOND)
        found.append(
            Record(sent, sent, None if broken else sent + 1, end, "oom" if broken else None)
        )
    return found


def searched(levels: dict[int, list[tuple[int, int]]]) -> loops._Closed:
    """Return a search that was told visits to levels: how many requests, how many failed."""
    kind = loops._Closed(Limits(1, 64, 10 * SECOND))
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


def test_points_come_from_no_disturbed_visit_and_from_no_burst() -> None:
    calm, broken = visit(4, 80, 0), visit(4, 80, 30)
    found = visits.told({4: [calm, broken], 8: [visit(8, 6, 0)]}, clients=True)
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
