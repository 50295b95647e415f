"""From what sensors print to numbers: what is no number is None, and so is what cannot be true."""

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


def number(value: Any, scale: float = 1.0) -> float | None:
    """Return the number a tool means times a scale, None for every way to say that there is none.

    `12`, `"12.5 W"` and `{"value": 12, "unit": "W"}` are numbers; `"[N/A]"`, `"N/A (Secondary
    die)"`, `"ERR!"`, infinities and truth values are not.
    """
    if isinstance(value, dict):
        value = value.get("value")
    if isinstance(value, bool) or value is None:
        return None
    found = _NUMBER.fullmatch(str(value).strip())
    parsed = float(found.group(1)) * scale if found else math.nan
    return parsed if math.isfinite(parsed) else None


def first_json(text: str, fits: Callable[[Any], bool]) -> Any:
    """Return the first JSON object or list in a text that has the shape, None if there is none.

    Tools print warnings before it, some of which hold brackets themselves.
    """
    decoder = json.JSONDecoder()
    for place in (m.start() for m in re.finditer(r"[\[{]", text)):
        try:
            found, _ = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            continue
        if fits(found):
            return found
    return None


def lookup(table: Mapping[str, Any], names: Iterable[str]) -> Any:
    """Return the value of the first of several spellings that has a number, None without one.

    Case and a colon at the end do not matter.
    """
    plain = {str(key).rstrip(": ").lower(): value for key, value in table.items()}
    found = (plain.get(name.lower()) for name in names)
    return next((value for value in found if number(value) is not None), None)


def pci(address: str) -> str | None:
    """Return a PCI address in lower case, without its domain where that is 0: `03:00.0`."""
    found = _PCI.search(address)
    if found is None:
        return None
    domain = int(found[1] or "0", 16)
    return f"{domain:04x}:{found[2].lower()}" if domain else found[2].lower()


def plausible(provider: Base, raw: Mapping[str, float | None]) -> Values:
    """Return all fields of a reading, None for what is absent or cannot be true, which is noted.

    A sensor that does not work reads 0 W as often as it reads nothing: no GPU takes 0 W.
    """
    values: Values = {name: raw.get(name) for name in FIELDS}
    limit = values["power_limit_w"]
    most = 2 * limit if limit else MAX_POWER_W
    bounds = {"util_pct": (0.0, 100.0), "temp_c": (-20.0, 130.0), "temp_mem_c": (-20.0, 130.0)}
    for name, value in values.items():
        low, high = bounds.get(name, (0.0, math.inf))
        if name in ("power_w", "vram_total_mb", "power_limit_w"):
            low, high = 1e-6, most if name == "power_w" else high
        if value is not None and not low <= value <= high:
            values[name] = None
            message = f"{name} read {value:g}, which cannot be true: it counts as not measured"
            provider.note("implausible", name, message)
    return values


class Counter:
    """An energy counter in joules that begins at 0 here and goes on where its register wraps."""

    def __init__(self, wrap_j: float | None = None) -> None:
        """Take the range after which the register begins again at 0."""
        self._wrap_j = wrap_j
        self._last: tuple[float, int] | None = None
        self.total_j = 0.0

    def add(self, raw_j: float, t_ns: int) -> tuple[float, float | None]:
        """Return (energy since the first value in J, mean power since the last one in W).

        A value below the last one is a wrap where the range is known, and a fresh start otherwise.
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
