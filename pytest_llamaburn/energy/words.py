"""Sentences about energy and its cost, for tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.energy.timeline import NOT_COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterator

Document = dict[str, Any]  # a result file, or a part of it

_SCOPES = {"gpu_board": "GPU board", "soc": "whole chip", "cpu_package": "CPU package"}


def digits(value: float, like: float | None = None) -> str:
    """Return a number with three significant digits: sensors are not better than that.

    A difference has the digits of what it was taken from, `like`.
    """
    scale = abs(value if like is None else like)
    size = math.floor(math.log10(scale)) if scale else 0
    return f"{round(value, 2 - size):,.{max(0, 2 - size)}f}"


def notes(document: Document) -> Iterator[str]:
    """Yield the energy of a run, its cost, and which devices it is of, as far as they are known."""
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
    yield f"energy of the {scope} alone: {', '.join(words)}"
    yield (
        f"sensor {telemetry['provider']}, {telemetry['measurement_method']}; its error: "
        + (telemetry["sensor_error"])
    )
    yield from _counted(telemetry)
    yield from _cost(document["results"]["cost"])


def source(telemetry: Document) -> Iterator[str]:
    """Yield which sensor the energy of levels is from, its error, and which devices count."""
    yield (
        f"energy is that of the {_SCOPES[telemetry['scope']]} alone, from "
        f"{telemetry['provider']}; its error: {telemetry['sensor_error']}"
    )
    yield from _counted(telemetry)


def _counted(telemetry: Document) -> Iterator[str]:
    """Yield which devices the energy is of, where there are others or it is of several."""
    left_out = telemetry.get("not_counted", ())
    if left_out or len(telemetry["counted"]) > 1:
        names = {d["id"]: d["name"] for d in telemetry["devices"]}
        yield f"counted: {', '.join(_device(own, names) for own in telemetry['counted'])}"
    for one in left_out:
        yield f"not counted: {_device(one['device'], names)}: {NOT_COUNTED[one['reason']]}"


def of(document: Document) -> str | None:
    """Return the devices whose energy a file has, as spreadsheets have it."""
    return ", ".join(document["telemetry"].get("counted", ())) or None


def _device(own_id: str, names: dict[str, str | None]) -> str:
    return " ".join(filter(None, (names[own_id], own_id)))


def _cost(found: Document) -> Iterator[str]:
    if found["cost_per_run"] is None:
        return
    parts = {
        "a run": found["cost_per_run"],
        "per million tokens": found["cost_per_1m_tokens"],
        "a month at sustained load": found["cost_per_month"],
    }
    if found["duty"] is not None:
        parts[f"a month at {found['duty']:.0%} load"] = found["cost_per_month_at_duty"]
    shown = (f"{_money(v, found['currency'])} {k}" for k, v in parts.items() if v is not None)
    yield f"cost of that energy: {', '.join(shown)}"
    if found["co2_g"] is not None:
        yield f"CO2 of that energy: {digits(found['co2_g'])} g a run"


def _money(amount: float, currency: str) -> str:
    return f"{currency}{digits(amount)}" if len(currency) == 1 else f"{digits(amount)} {currency}"
