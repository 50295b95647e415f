"""Measure how well the searches find the limits of virtual servers with known limits.

Each row is a server and a point. It shows the share of ramps within 10 % and within 5 % of the true
value (15 % and 10 % for a degradation point), the mean error and its spread, and the number of
requests. It also shows how often the interval contained the true value, how often levels next to
the point confirmed it, and how often there was only a bracket; a point without a number counts as a
miss. In the rows `disturbed`, 5 % of the visits have a period in which other work on the machine
slows the server by a factor of 2.5 or makes 40 % of the requests fail.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.virtual_server import (
    LOOPS,
    SERVICES,
    Faults,
    Outside,
    VirtualServer,
    ramp,
    true_degradation_point,
    true_failure_point,
)

from pytest_llamaburn.capacity.search import FailurePoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.virtual_server import Found

FAULTS = {"no errors": Faults(), "4 % clustered": Faults(0.04, cluster=2)}
DISTURBED = 0.05  # share of disturbed visits
MOST = 750


class Goal(NamedTuple):
    """The shares of searches that must be near and nearer to the true value."""

    near: tuple[float, float]
    nearer: tuple[float, float]


CALM = Goal((0.98, 0.10), (0.75, 0.05))
SHAKEN = Goal((0.95, 0.10), (0.0, 0.05))
BENDS = Goal((0.95, 0.15), (0.0, 0.10))


class Row(NamedTuple):
    """The results of the searches on one server, relative to the true value."""

    what: str
    truth: float
    errors: list[float]
    searches: int
    used: int
    held: float
    sure: float | None
    goal: Goal

    def share(self, within: float) -> float:
        """Return the share of searches within this relative error."""
        return float(np.sum(np.abs(self.errors) <= within)) / self.searches

    @property
    def met(self) -> bool:
        """Whether the goal is met within the budget."""
        return self.used <= MOST and all(self.share(within) >= least for least, within in self.goal)


def main() -> int:
    """Print the table; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    asked = parser.parse_args()
    print(
        f"{'server':52} {'truth':>6} {'near':>5} {'nearer':>6} {'error':>15} {'most':>4} "
        f"{'held':>5} {'sure':>5} {'none':>5}"
    )
    missed = 0
    for row in _rows(range(asked.first, asked.first + asked.searches), asked.only):
        missed += not row.met
        mean, spread = np.mean(row.errors), np.std(row.errors)
        near, nearer = (row.share(within) for _, within in row.goal)
        sure = "" if row.sure is None else f"{row.sure:.2f}"
        print(
            f"{row.what:52} {row.truth:6.2f} {near:5.2f} {nearer:6.2f} {mean:+7.3f} ± {spread:.3f} "
            f"{row.used:4} {row.held:5.2f} {sure:>5} {1 - len(row.errors) / row.searches:5.2f} "
            f"{'' if row.met else 'MISSED'}".rstrip(),
            flush=True,
        )
    print(f"{missed} rows miss the goal")
    return int(missed > 0)


def _rows(seeds: range, only: str) -> Iterator[Row]:
    slots = 1, 3, 5, 8
    for (name, faults), loop, service, many in product(FAULTS.items(), LOOPS, SERVICES, slots):
        what = f"{loop}, {service}, {many} slots, {name}"
        if only in what:
            yield from _found(what, VirtualServer(many, service, faults=faults), loop, seeds)
    for loop, service, many in product(LOOPS, SERVICES, slots):
        what = f"{loop}, {service}, {many} slots, disturbed"
        server = VirtualServer(many, service, outside=Outside(DISTURBED))
        if only in what:
            yield from _found(what, server, loop, seeds)


def _found(what: str, server: VirtualServer, loop: str, seeds: range) -> Iterator[Row]:
    """Yield the rows of a server's failure point and, for clients, its degradation point."""
    found = [ramp(server, loop, seed) for seed in seeds]
    truth = true_failure_point(server, loop)
    goal = SHAKEN if server.outside.chance else CALM
    yield _row(f"failure, {what}", truth, found, [one.failure for one in found], goal)
    if loop == "closed" and not server.faults.rate:
        bends = [one.degradation for one in found]
        yield _row(f"degradation, {what}", true_degradation_point(server), found, bends, BENDS)


def _row(what: str, truth: float, found: Sequence[Found], points: Sequence[Any], goal: Goal) -> Row:
    known = [point.estimate if point else None for point in points]
    errors = [one / truth - 1 for one in known if one is not None]
    between = [point.interval if point and point.interval else (0.0, 0.0) for point in points]
    held = [(low or 0.0) <= truth <= (high or np.inf) for low, high in between]
    sure = [point.confirmed for point in points if isinstance(point, FailurePoint)]
    return Row(
        what,
        truth,
        errors,
        len(points),
        max(one.sent for one in found),
        float(np.mean(held)),
        float(np.mean(sure)) if sure else None,
        goal,
    )


if __name__ == "__main__":
    sys.exit(main())
