"""The axis of levels and points: a number of clients, or a rate in requests per second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.load.step import CLIENTS, RATE

if TYPE_CHECKING:
    from collections.abc import Mapping

# The name in result files, by the unit of a load.
AXES = {CLIENTS: "concurrency", RATE: "rate"}
UNITS = {name: unit for unit, name in AXES.items()}


def place(found: Mapping[str, Any]) -> float | None:
    """Return the value of a level or a point of a result file, or None if it has none."""
    values = (found.get(name) for name in AXES.values())
    return next((value for value in values if value is not None), None)


def unit(found: Mapping[str, object]) -> str:
    """Return the unit of a level or a point of a result file."""
    if found.get("rate") is None and "concurrency" in found:
        return CLIENTS
    return RATE


def words(value: float, unit: str) -> str:
    """Return a value with its unit, such as `1 client` or `2.5 requests/s`."""
    return f"{value:.3g} {'client' if unit == CLIENTS and value == 1 else unit}"


def name(level: Mapping[str, object]) -> str:
    """Return the value of a level of a result file with its unit."""
    return words(place(level) or 0.0, unit(level))
