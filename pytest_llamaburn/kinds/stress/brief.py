"""What lists read of a stress run's results."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llamaburn.kinds import _brief


@dataclass
class Point:
    """A point of the load: so many clients, or so many requests per second."""

    concurrency: float | None = None
    rate: float | None = None


@dataclass
class Results(_brief.Results):
    """What all kinds have, and the points that were found."""

    failure_point: Point | None = None
    degradation_point: Point | None = None
    optimal: Point | None = None

    @property
    def headlines(self) -> dict[str, float]:
        """The points, in clients or requests per second; without those that were not found."""
        found = {
            "failure_point": _place(self.failure_point),
            "degradation_point": _place(self.degradation_point),
            "optimal": _place(self.optimal),
        }
        return {name: value for name, value in found.items() if value is not None}


def _place(point: Point | None) -> float | None:
    return (point.concurrency or point.rate) if point else None
