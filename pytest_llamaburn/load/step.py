"""One step of a load: what a mode asks for next, and what a request of it is."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

CLIENTS, RATE = "clients", "requests/s"
SERVER_GONE = "the server is gone"  # why a run stopped that has not taken all its steps


class Burst(NamedTuple):
    """A second load on top of a step's own: from `start_s` on, for `seconds`."""

    start_s: float
    seconds: float
    level: float
    unit: str

    def begin_ns(self, started_ns: int) -> int:
        """Return when it begins, on the clock on which its step began then."""
        return started_ns + int(self.start_s * 1e9)


class Step(NamedTuple):
    """A load: `level` clients in a closed loop, or so many requests a second by a schedule.

    It ends after `requests` or, where that is None, when `seconds` are over; what was sent by then
    is waited for. `fresh` wants an idle server first; without it the step goes on at the level of
    the one before, if that `stays`: clients of such a step work on until they are left. `tells` has
    the mode told all requests, which would fill the memory after a long step.
    """

    level: float
    unit: str = CLIENTS
    requests: int | None = None
    seconds: float | None = None
    fresh: bool = True
    bursts: tuple[Burst, ...] = ()
    stays: bool = False
    tells: bool = True

    @classmethod
    def restored(cls, fields: list[Any] | dict[str, Any]) -> Self:
        """Return a step from what JSON made of it, a list or an object."""
        step = cls(**fields) if isinstance(fields, dict) else cls(*fields)
        return step._replace(bursts=tuple(Burst(*burst) for burst in step.bursts))
