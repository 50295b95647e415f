"""The clocks of other machines, as calls with a delay show them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.load import clocks
from pytest_llamaburn.load.clocks import Reading, Times, Track

SECOND = 10**9
OFFSETS = st.integers(-(10**15), 10**15)
DRIFTS = st.floats(-200e-6, 200e-6)


def reading(at_ns: int, true_ns: int, there_ns: int, back_ns: int) -> Reading:
    """Return what a call finds that takes so long there and back, of a clock so far ahead."""
    middle = (there_ns + back_ns) // 2
    return Reading(at_ns + middle, true_ns + there_ns - middle, (there_ns + back_ns + 1) // 2, 0)


@given(OFFSETS, st.integers(0, SECOND), st.integers(0, SECOND))
def test_a_reading_is_no_further_off_than_its_bound(true: int, there: int, back: int) -> None:
    found = reading(5 * SECOND, true, there, back)
    assert abs(found.offset_ns - true) <= found.bound_ns


@given(OFFSETS, DRIFTS, st.lists(st.tuples(*[st.integers(0, 10**7)] * 2), min_size=2, max_size=9))
def test_times_between_readings_are_no_further_off_than_the_largest_bound(
    offset: int, drift: float, calls: list[tuple[int, int]]
) -> None:
    """The clock drifts evenly; calls take up to 10 ms each way, one every 10 s."""

    def theirs(ours_ns: int) -> int:
        return ours_ns + offset + round(drift * ours_ns)

    track = Track()
    for number, (there, back) in enumerate(calls):
        at = 10 * SECOND * number
        track.add(reading(at, theirs(at + there) - at - there, there, back))
    bound = max(one.bound_ns for one in track.readings)
    last = track.readings[-1].at_ns
    for part in range(11):
        ours = track.readings[0].at_ns + (last - track.readings[0].at_ns) * part // 10
        assert abs(track.ours(theirs(ours)) - ours) <= bound + abs(drift) * 2 * bound + 10


@given(OFFSETS, st.lists(st.integers(0, 10**12), min_size=2))
def test_the_order_and_the_distances_of_times_are_kept(offset: int, when: list[int]) -> None:
    track = Track()
    track.add(Reading(0, offset, 1, 0))
    moved = [track.ours(ns + offset) for ns in when]
    assert moved == when


def test_the_most_exact_of_several_calls_counts() -> None:
    waits = iter([0.02, 0.0, 0.01])

    async def ask() -> Times:
        await asyncio.sleep(next(waits))
        found = clocks.times()
        return Times(found.monotonic_ns + 7 * SECOND, found.wall_ns + SECOND // 2)

    found = asyncio.run(clocks.read(ask, 3))
    assert abs(found.offset_ns - 7 * SECOND) <= found.bound_ns
    assert found.bound_ns < SECOND / 100
    assert found.wall_offset_ns == pytest.approx(SECOND // 2, abs=found.bound_ns + 10**6)


def test_the_drift_has_a_bound() -> None:
    track = Track()
    track.add(Reading(0, 1000, 500_000, 0))
    track.add(Reading(100 * SECOND, 1000 + 2_000_000, 500_000, 0))
    facts = track.facts()
    assert facts["drift_ppm"] == pytest.approx(20)
    assert facts["drift_bound_ppm"] == pytest.approx(10)
    assert facts["offset_bound_ms"] == 0.5


def test_one_reading_says_nothing_about_drift() -> None:
    track = Track()
    track.add(Reading(5, 1000, 1, 0))
    assert track.facts()["drift_ppm"] is None
