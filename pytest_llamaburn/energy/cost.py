"""What energy costs: the formulas, and nothing else.

cost = Wh / 1000 · rate · PUE; a million tokens = cost · 1 000 000 / tokens; a month has 730 hours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HOURS_A_MONTH = 730
_BAND = re.compile(r"(\d{1,2})(?::(\d{2}))?-(\d{1,2})(?::(\d{2}))?=(\d+(?:\.\d+)?)")
_DAY = 24 * 60
_MOST_RATE = 1e5  # a kilowatt-hour in any currency


class Band(NamedTuple):
    """A price for part of each day: minutes after midnight, the end not included."""

    start: int
    end: int
    rate: float

    def holds(self, minute: int) -> bool:
        """Return whether a minute of the day is in the band, which may reach over midnight."""
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


def band(text: str) -> Band:
    """Return the band that a text such as `22:00-06:00=0.08` means; raises ValueError."""
    found = _BAND.fullmatch(text.strip())
    words = f"'{text}' is refused: write FROM-TO=RATE, as in 22:00-06:00=0.08"
    if found is None:
        raise ValueError(words)
    start, end = (int(found[i]) * 60 + int(found[i + 1] or 0) for i in (1, 3))
    if start >= _DAY or end > _DAY or start == end or float(found[5]) > _MOST_RATE:
        raise ValueError(words)
    return Band(start, end, float(found[5]))


def rate_over(
    bands: Sequence[Band], rate: float | None, minutes: Iterable[tuple[int, float]]
) -> float | None:
    """Return the price per kWh over (minute of the day, weight) pairs, weighted.

    Outside all bands the plain rate holds; None if there is no price for some of the time.
    """
    total = paid = 0.0
    for minute, weight in minutes:
        price = next((one.rate for one in bands if one.holds(minute)), rate)
        if price is None:
            return None
        total, paid = total + weight, paid + weight * price
    return paid / total if total else rate


def of_energy(energy_wh: float | None, rate: float | None, pue: float = 1.0) -> float | None:
    """Return the cost of an energy, None if energy or price is not known."""
    if energy_wh is None or rate is None:
        return None
    return energy_wh / 1000 * rate * pue


def per_1m_tokens(cost: float | None, tokens: float | None) -> float | None:
    """Return the cost of a million generated tokens, None without cost or tokens."""
    return cost * (1_000_000 / tokens) if cost is not None and tokens else None


def per_month(
    active_w: float | None,
    idle_w: float | None,
    rate: float | None,
    pue: float = 1.0,
    duty: float = 1.0,
) -> float | None:
    """Return a month's cost when the load is on for a share of the time, `duty`, and idle else.

    1 is sustained load, for which no idle power is needed.
    """
    if active_w is None or rate is None or (idle_w is None and duty < 1):
        return None
    mean_w = duty * active_w + (1 - duty) * (idle_w or 0.0)
    return of_energy(mean_w * HOURS_A_MONTH, rate, pue)


def co2_g(energy_wh: float | None, grams_per_kwh: float | None, pue: float = 1.0) -> float | None:
    """Return grams of CO₂ at the grid's grams per kWh, None if either is not known."""
    return of_energy(energy_wh, grams_per_kwh, pue)
