"""One step of a load: what a mode asks for next, and what a request of it is."""

from __future__ import annotations

from typing import NamedTuple

CLIENTS, RATE = "clients", "requests/s"


class Burst(NamedTuple):
    """A second load on top of a step's own: from `start_s` on, for `seconds`."""

    start_s: float
    seconds: float
    level: float
    unit: str


class Step(NamedTuple):
    """A load: `level` clients in a closed loop, or so many requests a second by a schedule.

    It ends after `requests` or, where that is None, when `seconds` are over; what was sent by then
    is waited for. `fresh` wants an idle server first; `tells` has the mode told all requests, which
    would fill the memory after a long step.
    """

    level: float
    unit: str = CLIENTS
    requests: int | None = None
    seconds: float | None = None
    fresh: bool = True
    bursts: tuple[Burst, ...] = ()
    tells: bool = True
