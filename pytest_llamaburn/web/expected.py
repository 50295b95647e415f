"""About how long a run takes, told before it starts, from the newest run of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pytest_llamaburn.kinds._kind import RunKind
    from pytest_llamaburn.web.index import Index

UNKNOWN = "the time is not known before: this kind of run does not tell it"


class Expected(NamedTuple):
    """A time in seconds, or why it is not known."""

    seconds: float | None
    reason: str | None = None


def of(kind: RunKind, settings: Any, index: Index) -> Expected:  # noqa: ARG001
    """Return how long a run with these settings is expected to take."""
    return Expected(None, UNKNOWN)
