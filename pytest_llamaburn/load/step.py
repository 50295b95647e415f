"""One step of a load: what a stress mode or a search sends next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIENTS, RATE = "clients", "requests/s"
SERVER_GONE = "the server is gone"  # why a run stopped before its last step


class Burst(NamedTuple):
    """A second load on top of a step's own: it begins at `start_s` and lasts `seconds`."""

    start_s: float
    seconds: float
    level: float
    unit: str

    def begin_ns(self, started_ns: int) -> int:
        """Return when it begins, on the clock of `started_ns`, when its step began."""
        return started_ns + int(self.start_s * 1e9)


class StepHealth(NamedTuple):
    """How our own process kept up during a step; None for what was not measured."""

    cpu_share: float | None = None
    loop_lag_p50_ms: float | None = None
    loop_lag_p99_ms: float | None = None

    def worst(self, other: StepHealth) -> StepHealth:
        """Return the worse of both, figure by figure; a timer that fired early has no lag."""
        pairs = zip(self, other, strict=True)
        known = ([value for value in pair if value is not None] for pair in pairs)
        return StepHealth(*(max(0.0, *values) if values else None for values in known))


class Probe(NamedTuple):
    """What a search sends next: `requests` at a level, on an idle server if `from_idle`."""

    level: float
    requests: int
    from_idle: bool


class Step(NamedTuple):
    """A load: `level` clients in a closed loop, or `level` requests per second by a schedule.

    It ends after `requests` or, if that is None, after `seconds`; requests in flight are then
    awaited. A step `from_idle` waits for an idle server first; another goes on with the load of the
    step before, if that step was to `hold_open`: its clients then send requests until they are told
    to leave. `keep_records` gives all its requests to the mode; after a long step they would fill
    the memory. `pauses` is False if its clients leave out the pauses of --think-time.
    """

    level: float
    unit: str = CLIENTS
    requests: int | None = None
    seconds: float | None = None
    from_idle: bool = True
    bursts: tuple[Burst, ...] = ()
    hold_open: bool = False
    keep_records: bool = True
    pauses: bool = True

    @classmethod
    def restored(cls, fields: Mapping[str, Any]) -> Self:
        """Return a step from its JSON."""
        step = cls(**fields)
        return step._replace(bursts=tuple(Burst(*burst) for burst in step.bursts))
