"""How many users a server carries, by its model: the largest number that keeps an SLO."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_llamaburn.capacity import slo
from pytest_llamaburn.capacity.users import Users, simulate
from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.capacity.service import Service
    from pytest_llamaburn.capacity.users import Simulated
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.gates import Gate

SHARE = 0.95  # of the requests must keep the SLO
MOST = 4096  # users that are tried
_SEEDS = 10
_ROUNDS, _FIRST = 6, 2  # requests of each user, and those of them that do not count
_FEWEST = 300  # requests of a simulation
_PREDICTED = (
    *("time_to_first_token_ms", "inter_token_latency_ms", "total_generation_ms"),
    "tokens_per_sec",
)


def bounds_of(text: str) -> list[Gate]:
    """Return the bounds of an SLO; raises SettingsError for one on what is not predicted."""
    found = slo.parse(text)
    for bound in found:
        if bound.of.measure.name not in _PREDICTED:
            raise SettingsError(
                f"--slo: '{bound.expression}' is refused: it is not predicted, only "
                f"{', '.join(_PREDICTED)} are"
            )
    return found


def most_users(model: Service, text: str, asked: Users) -> Document:
    """Return the largest number of users of whose requests 95 % keep an SLO.

    The users pause as the `asked` ones do. The interval is from the number that nearly every
    simulation carries to that which hardly any carries.
    """
    bounds = bounds_of(text)

    @cache
    def shares(number: int) -> list[float]:
        users = asked._replace(
            number=number,
            requests=max(_FEWEST, _ROUNDS * number),
            seconds=None,
            skipped=_FIRST * number,
        )
        return [_kept(simulate(model, users, seed), bounds) for seed in range(_SEEDS)]

    low, middle, high = (
        _largest(lambda number, at=at: float(np.percentile(shares(number), at)) >= SHARE)
        for at in (2.5, 50, 97.5)
    )
    reason = None if middle else "a single user does not keep it"
    if middle >= MOST:
        reason = f"more than {MOST} users were not tried"
    return {
        "slo": text,
        "share": SHARE,
        "users": middle,
        "interval": [low, high],
        "reason": reason,
    }


def _kept(seen: Simulated, bounds: list[Gate]) -> float:
    """Return the share of requests within all bounds; a failed one is not."""
    numbers = {
        "time_to_first_token_ms": seen.ttft_ms,
        "inter_token_latency_ms": seen.itl_ms,
        "total_generation_ms": seen.total_ms,
        "tokens_per_sec": 1e3 / seen.itl_ms,
    }
    kept = ~seen.failed
    for bound in bounds:
        values = numbers[bound.of.measure.name]
        kept &= np.array([bool(not np.isnan(value) and bound.holds(value)) for value in values])
    return float(kept.mean())


def _largest(holds: Callable[..., Any]) -> int:
    """Return the largest number that holds, if all smaller ones do; 0 if 1 does not."""
    low, high = 0, 1
    while high <= MOST and holds(high):
        low, high = high, 2 * high
    if low >= MOST:
        return MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
