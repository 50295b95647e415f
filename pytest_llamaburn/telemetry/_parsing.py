"""Parse the output of sensors; a missing, invalid or implausible value is None."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.telemetry._base import FIELDS, Values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_llamaburn.telemetry._base import Base

MAX_POWER_W = 2000.0
_NUMBER = re.compile(r"([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)\s*[a-zµ°%]*", re.IGNORECASE)
_PCI = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])", re.IGNORECASE)


def number(value: object, scale: float = 1.0) -> float | None:
    """Return the number in a tool's output times a scale, or None if there is none.

    `12`, `"12.5 W"` and `{"value": 12, "unit": "W"}` are numbers; `"[N/A]"`, `"N/A (Secondary
    die)"`, `"ERR!"`, infinities and booleans are not.
    """
    if isinstance(value, dict):
        value = value.get("value")
    if isinstance(value, bool) or value is None:
        return None
    match = _NUMBER.fullmatch(str(value).strip())
    parsed = float(match.group(1)) * scale if match else math.nan
    return parsed if math.isfinite(parsed) else None


def first_json(text: str, fits: Callable[[Any], bool]) -> Any:
    """Return the first JSON object or list in a text for which `fits` is true, else None.

    Tools print warnings before the JSON, some of them with brackets.
    """
    decoder = json.JSONDecoder()
    for place in (m.start() for m in re.finditer(r"[\[{]", text)):
        try:
            value, _ = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            continue
        if fits(value):
            return value
    return None


def lookup(table: Mapping[str, object], names: Iterable[str]) -> Any:
    """Return the first value of these keys that is a number, or None.

    Case and a colon at the end of a key do not matter.
    """
    plain = {str(key).rstrip(": ").lower(): value for key, value in table.items()}
    values = (plain.get(name.lower()) for name in names)
    return next((value for value in values if number(value) is not None), None)


def pci(address: str) -> str | None:
    """Return a PCI address in lower case, without the domain if it is 0 (`03:00.0`); else None."""
    match = _PCI.search(address)
    if match is None:
        return None
    domain = int(match[1] or "0", 16)
    return f"{domain:04x}:{match[2].lower()}" if domain else match[2].lower()


def plausible(provider: Base, raw: Mapping[str, float | None]) -> Values:
    """Return all fields of a reading; an implausible value becomes None and is noted.

    A power of 0 W is implausible: no GPU uses 0 W, but a broken sensor often reports it.
    """
    values: Values = {name: raw.get(name) for name in FIELDS}
    limit = values["power_limit_w"]
    max_power_w = 2 * limit if limit else MAX_POWER_W
    bounds = {"util_pct": (0.0, 100.0), "temp_c": (-20.0, 130.0), "temp_mem_c": (-20.0, 130.0)}
    for name, value in values.items():
        low, high = bounds.get(name, (0.0, math.inf))
        if name in ("power_w", "vram_total_mb", "power_limit_w"):
            low, high = 1e-6, max_power_w if name == "power_w" else high
        if value is not None and not low <= value <= high:
            values[name] = None
            message = f"{name} was {value:g}, which is implausible: it counts as not measured"
            provider.note("implausible", name, message)
    return values


class Counter:
    """An energy counter in joules that starts at 0 and handles a wrap of the hardware register."""

    def __init__(self, wrap_j: float | None = None) -> None:
        """Take the range in joules after which the register restarts at 0, if it is known."""
        self._wrap_j = wrap_j
        self._last: tuple[float, int] | None = None
        self.total_j = 0.0

    def add(self, raw_j: float, t_ns: int) -> tuple[float, float | None]:
        """Return (energy since the first value in J, mean power since the last value in W).

        A value below the last one is a wrap if the range is known, otherwise a restart.
        """
        last, self._last = self._last, (raw_j, t_ns)
        if last is None:
            return self.total_j, None
        gained = raw_j - last[0]
        if gained < 0:
            if self._wrap_j is None:
                return self.total_j, None
            gained += self._wrap_j
        self.total_j += gained
        seconds = (t_ns - last[1]) / 1e9
        return self.total_j, gained / seconds if seconds > 0 else None
