"""Conclusions from all levels: the state of each, the number of slots, flat throughput.

The state of a level is that of the first rule in `RULES` that applies; each has an evidence
sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NEAR_BEST = 0.95  # throughput from this share of the best on counts as equally good
_SERVED = 0.9  # if at least this share of the clients is served at once, no client waits


class LevelSummary(NamedTuple):
    """The numbers of one level; None if not measured.

    `ttft_ms` and `total_ms` are means over the successful requests. `latency_ratio` is the highest
    of the degradation ratios to the baseline. `stream_tokens` are the tokens per second of one
    stream. `backlog_grows` is set only in an open loop.
    """

    level: float
    requests: int
    error_rate: float
    requests_per_sec: float
    latency_ratio: float | None
    ttft_ms: float | None = None
    total_ms: float | None = None
    stream_tokens: float | None = None
    backlog_grows: bool = False
    client_limited: bool = False


class Bounds(NamedTuple):
    """The limits of an acceptable level."""

    failure_rate: float = 0.05
    degradation_factor: float = 2.0


class State(NamedTuple):
    """A level's state and the evidence sentence."""

    level: float
    state: str
    evidence: str


def _idle(s: LevelSummary, _: Bounds) -> str | None:
    return "no request was sent" if not s.requests else None


def _failure(s: LevelSummary, b: Bounds) -> str | None:
    if s.error_rate <= b.failure_rate:
        return None
    return f"{s.error_rate:.1%} of {s.requests} requests failed, above {b.failure_rate:.1%}"


def _limited(s: LevelSummary, _: Bounds) -> str | None:
    return (
        "the client was the limit, so the latency is not the server's" if s.client_limited else None
    )


def _backlog(s: LevelSummary, _: Bounds) -> str | None:
    return "the backlog grows: more requests arrive than end" if s.backlog_grows else None


def _slow(s: LevelSummary, b: Bounds) -> str | None:
    if s.latency_ratio is None or s.latency_ratio <= b.degradation_factor:
        return None
    return f"latency is {s.latency_ratio:.2f}× the baseline's, above {b.degradation_factor:g}×"


def _fine(s: LevelSummary, _: Bounds) -> str | None:
    ratio = "unknown" if s.latency_ratio is None else f"{s.latency_ratio:.2f}×"
    return f"{s.error_rate:.1%} failed and latency is {ratio} the baseline's"


RULES: tuple[tuple[str, Callable[[LevelSummary, Bounds], str | None]], ...] = (
    ("idle", _idle),
    ("failure", _failure),
    ("optimal", _limited),
    ("degraded", _backlog),
    ("degraded", _slow),
    ("optimal", _fine),
)


def state(summary: LevelSummary, bounds: Bounds = Bounds()) -> State:  # noqa: B008 - immutable
    """Return the state of one level."""
    name, why = next((n, why) for n, rule in RULES if (why := rule(summary, bounds)))
    return State(summary.level, name, why)


def optimal(levels: Sequence[LevelSummary], bounds: Bounds = Bounds()) -> State | None:  # noqa: B008
    """Return the smallest acceptable level within 5 % of the best acceptable throughput.

    Returns None if no level is acceptable.
    """
    good = [s for s in levels if state(s, bounds).state == "optimal"]
    if not good:
        return None
    best = max(s.requests_per_sec for s in good)
    chosen = min((s for s in good if s.requests_per_sec >= NEAR_BEST * best), key=lambda s: s.level)
    why = f"{chosen.requests_per_sec:.3g} requests/s, within 5 % of the best, {best:.3g}"
    return State(chosen.level, "optimal", why)


def slots(levels: Sequence[LevelSummary]) -> int | None:
    """Return how many requests a server processes at once, or None if no request waited.

    By Little's law the number of served requests is clients × (service time / total time). The
    waiting time is the growth of TTFT since the lowest level. The estimate uses the highest level
    of a closed loop without failures, where the waiting time dominates.
    """
    rows = sorted(
        (s for s in levels if s.ttft_ms and s.total_ms and not s.error_rate), key=lambda s: s.level
    )
    if not rows:
        return None
    base, top = rows[0].ttft_ms or 0.0, rows[-1]
    waited = max(0.0, (top.ttft_ms or 0.0) - base)
    served = top.level * (1 - waited / (top.total_ms or 1.0))
    return max(1, round(served)) if served < _SERVED * top.level else None


def flat_from(levels: Sequence[LevelSummary]) -> float | None:
    """Return the lowest level whose throughput is within 5 % of the best.

    Returns None if throughput still rises at the last level, or if no request succeeded. Levels
    without a known throughput are left out.
    """
    rows = sorted((s for s in levels if s.requests_per_sec), key=lambda s: s.level)
    best = max((s.requests_per_sec for s in rows), default=0.0)
    first = next((s.level for s in rows if s.requests_per_sec >= NEAR_BEST * best), None)
    return first if rows and first != rows[-1].level else None


def halves_at(levels: Sequence[LevelSummary]) -> float | None:
    """Return the lowest level at which a stream has at most half the speed of the first level."""
    rows = sorted((s for s in levels if s.stream_tokens), key=lambda s: s.level)
    if not rows:
        return None
    half = (rows[0].stream_tokens or 0.0) / 2
    return next((s.level for s in rows if (s.stream_tokens or 0.0) <= half), None)
