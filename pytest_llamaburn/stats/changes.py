"""What a change between two numbers comes to: its size, its interval from theirs, its verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARE = "share"  # changes of a share are differences: it may well be 0 in the baseline


class Seen(Protocol):
    """A number with its 95 % interval."""

    @property
    def value(self) -> float | None:
        """The number."""

    @property
    def interval(self) -> Sequence[float] | None:
        """The interval."""


def difference(before: float | None, after: float | None, unit: str) -> float | None:
    """Return a change as a share of the baseline; that of a share is the difference."""
    if before is None or after is None:
        return None
    if unit == SHARE:
        return after - before
    return after / before - 1 if before else None


def wider(confidence: float) -> float:
    """Return how much wider than a normal's 95 % interval one of this confidence is."""
    return samples.normal_quantile(confidence) / samples.normal_quantile(0.95)


def interval(before: Seen, after: Seen, unit: str, confidence: float) -> list[float] | None:
    """Return the interval of a change from those that the two numbers have, None without both.

    Newcombe, Statistics in Medicine 17, 1998, method 10, widened from 95 % as a normal's would be.
    The interval of a ratio is that of the difference of logs: None where one reaches 0.
    """
    if before.value is None or after.value is None or not before.interval or not after.interval:
        return None
    numbers = (before.value, *before.interval, after.value, *after.interval)
    if unit != SHARE:
        if min(numbers) <= 0:
            return None
        numbers = tuple(map(math.log, numbers))
    p, low, high, q, least, most = numbers
    by = wider(confidence)
    start = q - p - by * math.hypot(q - least, high - p)
    end = q - p + by * math.hypot(most - q, p - low)
    if unit == SHARE:
        return [max(-1.0, start), min(1.0, end)]
    return [math.expm1(start), math.expm1(end)]


def verdict(
    ends: Sequence[float] | None, better: str, margin: float, words: tuple[str, str] | None
) -> str:
    """Return the word for a change whose interval is given.

    An interval inside the margin is `same`, even one without 0: a difference that small may come
    from what distinguishes two sessions, which repeats of one session do not show.
    """
    if ends is None:
        return "inconclusive"
    low, high = ends
    if -margin <= low and high <= margin:
        return "same"
    if low <= 0 <= high:
        return "inconclusive"
    rises = low > 0
    if words is None or better == "none":
        return "higher" if rises else "lower"
    return words[rises != (better == "higher")]
