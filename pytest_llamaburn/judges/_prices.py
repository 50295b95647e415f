"""What judging costs: tokens times a price list in USD per million tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_llamaburn.judges._base import Usage

TIERS = ("input", "cache_read", "cache_write", "output", "audio")
Prices = dict[str, dict[str, float]]  # model, tier, USD per million tokens

_MOST_USD = 1e6  # for a million tokens


def parse(entries: Iterable[str]) -> Prices:
    """Return the price list of entries such as `claude-sonnet-5-5.input=3`.

    Raises SettingsError naming the invalid entry.
    """
    found: Prices = {}
    for entry in entries:
        name, _, text = entry.partition("=")
        model, _, tier = name.rpartition(".")
        try:
            price = float(text)
        except ValueError:
            price = -1.0
        if not model or tier not in TIERS or not 0 <= price <= _MOST_USD:
            raise SettingsError(
                f"--judge-price: '{entry}' is refused: write MODEL.TIER=USD per million tokens, "
                f"with a tier of {', '.join(TIERS)}"
            )
        found.setdefault(model, {})[tier] = price
    return found


def cost_usd(usage: Usage, prices: Mapping[str, float] | None) -> float | None:
    """Return the cost of these tokens; None if the price or the count of a tier is unknown."""
    if prices is None or usage.input is None or usage.output is None:
        return None
    total = 0.0
    for tier in TIERS:
        tokens = getattr(usage, tier) or 0
        if tokens and tier not in prices:
            return None
        total += tokens * prices.get(tier, 0.0) / 1e6
    return total
