"""Sentences about energy and its cost, for tables and reports."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_llamaburn.energy.timeline import NOT_COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.documents import Document


_SCOPES = {"gpu_board": "GPU board", "soc": "whole chip", "cpu_package": "CPU package"}


def digits(value: float, like: float | None = None) -> str:
    """Return a number with three significant digits, the precision of sensors.

    A difference is rounded like the number `like` from which it was computed.
    """
    scale = abs(value if like is None else like)
    size = math.floor(math.log10(scale)) if scale else 0
    return f"{round(value, 2 - size):,.{max(0, 2 - size)}f}"


def notes(document: Document) -> Iterator[str]:
    """Yield the energy and the cost of a run, if known, and the devices that were measured."""
    totals, telemetry = document["results"]["totals"], document["telemetry"]
    if totals.get("energy_wh") is None:
        return
    gross, above = totals["energy_wh"], totals["energy_above_idle_wh"]
    words = [f"{digits(gross)} Wh", f"{digits(totals['power_draw_watts'])} W mean"]
    words.append(f"{digits(totals['power_peak_watts'])} W peak")
    if above is not None:
        words.append(f"{digits(above, gross)} Wh above idle")
    if totals["joules_per_output_token"] is not None:
        words.append(f"{digits(totals['joules_per_output_token'])} J per output token")
    scope = _SCOPES[telemetry["scope"]]
    yield f"energy of the {scope} only: {', '.join(words)}"
    yield (
        f"sensor {telemetry['provider']}, {telemetry['measurement_method']}; its error: "
        + (telemetry["sensor_error"])
    )
    yield from _counted(telemetry)
    yield from _cost(document["results"]["cost"])


def source(telemetry: Document) -> Iterator[str]:
    """Yield which sensor the energy of levels is from, its error, and which devices count."""
    yield (
        f"energy of the {_SCOPES[telemetry['scope']]} only, from "
        f"{telemetry['provider']}; its error: {telemetry['sensor_error']}"
    )
    yield from _counted(telemetry)


def _counted(telemetry: Document) -> Iterator[str]:
    """Yield the devices whose energy is counted, and the others with their reasons."""
    left_out = telemetry.get("not_counted", ())
    if left_out or len(telemetry["counted"]) > 1:
        names = {d["id"]: d["name"] for d in telemetry["devices"]}
        yield f"counted: {', '.join(_device(own, names) for own in telemetry['counted'])}"
    for device in left_out:
        yield f"not counted: {_device(device['device'], names)}: {NOT_COUNTED[device['reason']]}"


def of(document: Document) -> str | None:
    """Return the ids of the counted devices, joined with commas, or None."""
    return ", ".join(document["telemetry"].get("counted", ())) or None


def _device(own_id: str, names: dict[str, str | None]) -> str:
    return " ".join(filter(None, (names[own_id], own_id)))


def _cost(cost: Document) -> Iterator[str]:
    if cost["cost_per_run"] is None:
        return
    parts = {
        "per run": cost["cost_per_run"],
        "per million tokens": cost["cost_per_1m_tokens"],
        "per month at sustained load": cost["cost_per_month"],
    }
    if cost["duty"] is not None:
        parts[f"per month at {cost['duty']:.0%} load"] = cost["cost_per_month_at_duty"]
    shown = (f"{_money(v, cost['currency'])} {k}" for k, v in parts.items() if v is not None)
    yield f"cost of that energy: {', '.join(shown)}"
    if cost["co2_g"] is not None:
        yield f"CO2 of that energy: {digits(cost['co2_g'])} g per run"


def _money(amount: float, currency: str) -> str:
    return f"{currency}{digits(amount)}" if len(currency) == 1 else f"{digits(amount)} {currency}"
