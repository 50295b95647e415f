"""The clocks of other machines: how far each is from ours, and times of theirs on our clock.

Durations are measured on one machine and need no correction. Only the times at which requests were
due, sent and answered are moved, so that the rows of all machines are on one clock.

A reading asks another machine for its time. The answer was made between the question and its
arrival here, so the middle of that interval is off by at most half its length (Cristian 1989,
"Probabilistic clock synchronization").
"""

from __future__ import annotations

from bisect import bisect_right
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pytest_llamaburn.documents import Document

_TRIES = 8


class Times(NamedTuple):
    """What the clocks of a machine show: the one of its measurements, and its time of day."""

    monotonic_ns: int
    wall_ns: int


class Reading(NamedTuple):
    """A comparison of two clocks: theirs − ours, at most `bound_ns` wrong, when ours was `at_ns`.

    `wall_offset_ns` is the difference of the times of day.
    """

    at_ns: int
    offset_ns: int
    bound_ns: int
    wall_offset_ns: int

    @property
    def their_ns(self) -> int:
        """When it was made, on their clock."""
        return self.at_ns + self.offset_ns


def times() -> Times:
    """Return what the clocks of this machine show."""
    return Times(perf_counter_ns(), time_ns())


async def read(ask: Callable[[], Awaitable[Times]], tries: int = _TRIES) -> Reading:
    """Return the most exact of some readings of another machine's clock."""
    return min([await _one(ask) for _ in range(tries)], key=lambda found: found.bound_ns)


async def _one(ask: Callable[[], Awaitable[Times]]) -> Reading:
    before, wall_before = times()
    theirs = await ask()
    after, wall_after = times()
    middle, wall_middle = (before + after) // 2, (wall_before + wall_after) // 2
    bound = (after - before + 1) // 2
    return Reading(middle, theirs.monotonic_ns - middle, bound, theirs.wall_ns - wall_middle)


class Track:
    """The readings of one machine's clock during a run, oldest first."""

    def __init__(self) -> None:
        """Begin without a reading."""
        self.readings: list[Reading] = []

    def add(self, reading: Reading) -> None:
        """Add a reading, which is newer than those before."""
        self.readings.append(reading)

    @property
    def offset_ns(self) -> int:
        """The newest offset."""
        return self.readings[-1].offset_ns

    def ours(self, their_ns: int) -> int:
        """Return a time of their clock on ours.

        Between two readings the offset is interpolated; outside it is that of the nearest one.
        """
        place = bisect_right(self.readings, their_ns, key=lambda reading: reading.their_ns)
        if place in (0, len(self.readings)):
            nearest = self.readings[min(place, len(self.readings) - 1)]
            return their_ns - nearest.offset_ns
        before, after = self.readings[place - 1], self.readings[place]
        part = (their_ns - before.their_ns) / max(1, after.their_ns - before.their_ns)
        return their_ns - before.offset_ns - round(part * (after.offset_ns - before.offset_ns))

    def facts(self) -> Document:
        """Return the offset before and after, its bound in ms, and the drift in ppm.

        The drift has a bound too: two readings close together say little about it.
        """
        first, last = self.readings[0], self.readings[-1]
        apart_ns = last.at_ns - first.at_ns
        moved_ns, bound_ns = last.offset_ns - first.offset_ns, last.bound_ns + first.bound_ns
        return {
            "readings": len(self.readings),
            "offset_before_ms": first.offset_ns / 1e6,
            "offset_after_ms": last.offset_ns / 1e6,
            "offset_bound_ms": max(one.bound_ns for one in self.readings) / 1e6,
            "wall_offset_ms": last.wall_offset_ns / 1e6,
            "drift_ppm": 1e6 * moved_ns / apart_ns if apart_ns else None,
            "drift_bound_ppm": 1e6 * bound_ns / apart_ns if apart_ns else None,
        }
