"""Goodput: the requests that meet every bound of a service level objective (SLO).

And percentiles that include failures: a failed request counts as slower than all others.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import gates, metrics
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.documents import Document, Interval


# A single request has one number per measure, so no statistic.
_MEASURES = {name: measure._replace(statistics=()) for name, measure in metrics.REQUEST.items()}


class Goodput(NamedTuple):
    """Good requests per second, and their share with its 95 % interval; None without requests."""

    requests_per_sec: float | None
    share: float | None
    wilson95: Interval | None
    good: int
    requests: int


def parse(expression: str) -> list[gates.Gate]:
    """Return the bounds of an expression such as `ttft_ms<500,itl_ms<50`.

    Each bound applies to single requests, so it has no statistic. Raises SettingsError.
    """
    return [_bound(part.strip()) for part in expression.split(",")]


def _bound(part: str) -> gates.Gate:
    if re.match(r"[^<>]*\.", part):
        raise SettingsError(
            f"--slo: '{part}' is refused: a single request has no statistic; write ttft_ms<500"
        )
    return gates.parse(part, _MEASURES, "--slo")


def keeps(bounds: Sequence[gates.Gate], row: Mapping[str, Any]) -> bool:
    """Return whether a request's row meets every bound; a missing value does not."""
    if row["error"] is not None:
        return False
    numbers = ((bound, row.get(bound.of.measure.name)) for bound in bounds)
    return all(number is not None and bound.holds(number) for bound, number in numbers)


def goodput(
    bounds: Sequence[gates.Gate], rows: Sequence[Mapping[str, object]], seconds: float
) -> Goodput:
    """Return the goodput of the requests in a period of `seconds`."""
    good = sum(keeps(bounds, row) for row in rows)
    rate = good / seconds if seconds > 0 else None
    share = good / len(rows) if rows else None
    return Goodput(rate, share, samples.wilson(good, len(rows)), good, len(rows))


def adjusted(values: Sequence[float], failed: int) -> Document:
    """Return the percentiles `adj_p50` … `adj_p99_9` of values and failures, which count as +∞.

    A percentile that reaches a failure is None, with `adj_reason` "failures"; without requests the
    reason is "no_samples".
    """
    names = {f"adj_{name}": p for name, p in samples.PERCENTILES.items()}
    if not len(values) + failed:
        return {**dict.fromkeys(names), "adj_reason": "no_samples"}
    ordered = sorted([*values, *[math.inf] * failed])
    percentiles = {name: samples.percentile(ordered, p) for name, p in names.items()}
    return {**percentiles, **({"adj_reason": "failures"} if None in percentiles.values() else {})}
