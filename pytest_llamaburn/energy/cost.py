"""The formulas for the cost of energy.

cost = Wh / 1000 · rate · PUE; cost per million tokens = cost · 1 000 000 / tokens; a month has 730
hours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HOURS_A_MONTH = 730
_BAND = re.compile(r"(\d{1,2})(?::(\d{2}))?-(\d{1,2})(?::(\d{2}))?=(\d+(?:\.\d+)?)")
_DAY = 24 * 60
_MOST_RATE = 1e5  # the highest accepted price per kWh, in any currency


class Band(NamedTuple):
    """A price for a part of each day: from `start` to before `end`, in minutes after midnight."""

    start: int
    end: int
    rate: float

    def holds(self, minute: int) -> bool:
        """Return whether a minute of the day is in the band; a band may include midnight."""
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


def band(text: str) -> Band:
    """Return the band in a text such as `22:00-06:00=0.08`; raises ValueError if it is invalid."""
    match = _BAND.fullmatch(text.strip())
    words = f"'{text}' is refused: write FROM-TO=RATE, for example 22:00-06:00=0.08"
    if match is None:
        raise ValueError(words)
    start, end = (int(match[i]) * 60 + int(match[i + 1] or 0) for i in (1, 3))
    if start >= _DAY or end > _DAY or start == end or float(match[5]) > _MOST_RATE:
        raise ValueError(words)
    return Band(start, end, float(match[5]))


def rate_over(
    bands: Sequence[Band], rate: float | None, minutes: Iterable[tuple[int, float]]
) -> float | None:
    """Return the weighted mean price per kWh over (minute of the day, weight) pairs.

    `rate` applies outside all bands. Returns None if any of the time has no price.
    """
    total = paid = 0.0
    for minute, weight in minutes:
        price = next((band.rate for band in bands if band.holds(minute)), rate)
        if price is None:
            return None
        total, paid = total + weight, paid + weight * price
    return paid / total if total else rate


def of_energy(energy_wh: float | None, rate: float | None, pue: float = 1.0) -> float | None:
    """Return the cost of an energy, or None if energy or price is unknown."""
    if energy_wh is None or rate is None:
        return None
    return energy_wh / 1000 * rate * pue


def per_1m_tokens(cost: float | None, tokens: float | None) -> float | None:
    """Return the cost per million generated tokens, or None without cost or tokens."""
    return cost * (1_000_000 / tokens) if cost is not None and tokens else None


def per_month(
    active_w: float | None,
    idle_w: float | None,
    rate: float | None,
    pue: float = 1.0,
    duty: float = 1.0,
) -> float | None:
    """Return the cost of a month with load for the share `duty` of the time, and idle otherwise.

    A `duty` of 1 is sustained load, which needs no idle power. Returns None if a number is unknown.
    """
    if active_w is None or rate is None or (idle_w is None and duty < 1):
        return None
    mean_w = duty * active_w + (1 - duty) * (idle_w or 0.0)
    return of_energy(mean_w * HOURS_A_MONTH, rate, pue)


def co2_g(energy_wh: float | None, grams_per_kwh: float | None, pue: float = 1.0) -> float | None:
    """Return grams of CO₂ at the grid's carbon intensity, or None if a number is unknown."""
    return of_energy(energy_wh, grams_per_kwh, pue)
