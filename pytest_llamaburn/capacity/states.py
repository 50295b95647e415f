"""Conclusions from all levels: the state of each, the number of slots, flat throughput.

The state of a level is that of the first rule in `RULES` that applies; each has an evidence
sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_llamaburn.load.rows import Request

NEAR_BEST = 0.95  # a throughput counts as the best from this share of it on
_SERVED = 0.9  # if this share of the clients is served at once, none waits for a slot


class Level(NamedTuple):
    """One level in numbers; None for what was not measured.

    `value` is its clients or its rate. `requests` were counted of those that were `sent`; `runs`
    are the counted ones, by stretch. `ttft_ms` and `total_ms` are means over the requests that
    succeeded, `latency_ratio` is the highest ratio of a latency to the baseline's, `stream_tokens`
    the tokens per second of one stream. Only in an open loop `backlog_grows`.
    """

    value: float
    requests: int
    error_rate: float | None
    requests_per_sec: float | None
    latency_ratio: float | None = None
    ttft_ms: float | None = None
    total_ms: float | None = None
    stream_tokens: float | None = None
    backlog_grows: bool = False
    client_limited: bool = False
    runs: Sequence[Sequence[Request]] = ()
    sent: int = 0


class Bounds(NamedTuple):
    """The limits of an acceptable level."""

    failure_rate: float = 0.05
    degradation_factor: float = 2.0


class State(NamedTuple):
    """A level's state with the sentence that shows it; None if nothing of the level counts."""

    level: float
    state: str | None
    evidence: str


def _idle(s: Level, _: Bounds) -> str | None:
    return "no request was sent" if not s.requests else None


def _failure(s: Level, b: Bounds) -> str | None:
    if s.error_rate is None or s.error_rate <= b.failure_rate:
        return None
    return (
        f"{s.error_rate:.1%} of {counted(s.requests, 'request')} failed, above {b.failure_rate:.1%}"
    )


def _limited(s: Level, _: Bounds) -> str | None:
    return (
        "the client was too slow, so the latency is not the server's" if s.client_limited else None
    )


def _backlog(s: Level, _: Bounds) -> str | None:
    return "the backlog grows: more requests arrive than end" if s.backlog_grows else None


def _slow(s: Level, b: Bounds) -> str | None:
    if s.latency_ratio is None or s.latency_ratio <= b.degradation_factor:
        return None
    return f"latency is {s.latency_ratio:.2f}× the baseline's, above {b.degradation_factor:g}×"


def _fine(s: Level, _: Bounds) -> str | None:
    ratio = "unknown" if s.latency_ratio is None else f"{s.latency_ratio:.2f}×"
    return f"{s.error_rate or 0.0:.1%} failed and latency is {ratio} the baseline's"


RULES: tuple[tuple[str, Callable[[Level, Bounds], str | None]], ...] = (
    ("idle", _idle),
    ("failure", _failure),
    ("optimal", _limited),
    ("degraded", _backlog),
    ("degraded", _slow),
    ("optimal", _fine),
)


def state(level: Level, bounds: Bounds = Bounds()) -> State:  # noqa: B008 - immutable
    """Return the state of one level."""
    name, why = next((n, why) for n, rule in RULES if (why := rule(level, bounds)))
    return State(level.value, name, why)


def optimal(levels: Sequence[Level], bounds: Bounds = Bounds()) -> State | None:  # noqa: B008
    """Return the smallest acceptable level within 5 % of the best acceptable throughput.

    None if no level is acceptable; one without a known throughput is not chosen.
    """
    good = [
        (s.value, s.requests_per_sec)
        for s in levels
        if s.requests_per_sec is not None and state(s, bounds).state == "optimal"
    ]
    if not good:
        return None
    best = max(rate for _, rate in good)
    value, rate = min(pair for pair in good if pair[1] >= NEAR_BEST * best)
    why = f"{rate:.3g} requests/s, within 5 % of the best, {best:.3g}"
    return State(value, "optimal", why)


def slots(levels: Sequence[Level]) -> int | None:
    """Return how many requests a server processes at once, or None if no request waited.

    By Little's law the number of served requests is clients × (service time / total time). The
    waiting time is the growth of TTFT since the lowest level. The estimate uses the highest level
    of a closed loop without failures, where the waiting time dominates.
    """
    rows = sorted(
        (s.value, s.ttft_ms, s.total_ms)
        for s in levels
        if s.ttft_ms and s.total_ms and not s.error_rate
    )
    if not rows:
        return None
    (_, base_ms, _), (top, ttft_ms, total_ms) = rows[0], rows[-1]
    served = top * (1 - max(0.0, ttft_ms - base_ms) / total_ms)
    return max(1, round(served)) if served < _SERVED * top else None


def flat_from(levels: Sequence[Level]) -> float | None:
    """Return the lowest level whose throughput is within 5 % of the best.

    Returns None if throughput still rises at the last level, or if no request succeeded. Levels
    without a known throughput are left out.
    """
    rows = sorted((s.value, s.requests_per_sec) for s in levels if s.requests_per_sec)
    best = max((rate for _, rate in rows), default=0.0)
    first = next((value for value, rate in rows if rate >= NEAR_BEST * best), None)
    return first if rows and first != rows[-1][0] else None


def halves_at(levels: Sequence[Level]) -> float | None:
    """Return the lowest level at which a stream has at most half the speed of the first level."""
    rows = sorted((s.value, s.stream_tokens) for s in levels if s.stream_tokens)
    return next((value for value, speed in rows if speed <= rows[0][1] / 2), None)
