"""AMD's older command line tool, which ROCm no longer builds: one process a reading."""

from __future__ import annotations

from typing import Any

from pytest_llamaburn.telemetry._base import Base, Device, Done, Machine, Probe, Reading
from pytest_llamaburn.telemetry._parsing import first_json, lookup, number, pci, plausible

_SHOW = (
    *("--showpower", "--showuse", "--showmeminfo", "vram", "--showtemp", "--showproductname"),
    *("--showbus", "--json"),
)
_KEYS = {
    "power_w": (
        "Current Socket Graphics Package Power (W)",
        "Average Graphics Package Power (W)",
    ),
    "util_pct": ("GPU use (%)",),
    "vram_used_mb": ("VRAM Total Used Memory (B)",),
    "vram_total_mb": ("VRAM Total Memory (B)",),
    "temp_c": ("Temperature (Sensor edge) (C)", "Temperature (Sensor junction) (C)"),
    "temp_mem_c": ("Temperature (Sensor memory) (C)", "Temperature (Sensor mem) (C)"),
}
_NAMES = ("Device Name", "Card Series", "Card Model")


class Provider(Base):
    """rocm-smi from ROCm 4 on: power, load, VRAM, temperatures.

    The key that holds the power differs by version, and between the GPUs of one output.
    """

    vendor = "amd"
    rank = 2
    min_period_s = 1.0

    def __init__(self, machine: Machine) -> None:
        """Take the machine, on whose PATH and in whose ROCm the tool is looked for."""
        super().__init__(machine)
        self._tool = ""

    def probe(self) -> Probe:
        """Ask once for everything."""
        tool = self.machine.tool("rocm-smi")
        if tool is None:
            return Probe(ok=False, reason="no_tool", message="no rocm-smi on PATH or in ROCm")
        self._tool = tool
        done, cards, readings = self._ask()
        if not cards:
            return Probe(ok=False, reason="no_data", message=_complaint(done))
        names = {_id(name, card): _product(card) for name, card in reversed(cards.items())}
        first = _first_dies(cards)
        devices = [
            Device(own, names[own], "amd", power_kind="average", covered_by=first.get(own))
            for own in (reading.device_id for reading in readings)
        ]
        return self.probed(readings, devices, None, "rocm-smi gives no value of any GPU")

    def read(self) -> list[Reading]:
        """Return one reading a GPU; one stands for its partitions."""
        return self._ask()[2]

    def _ask(self) -> tuple[Done, dict[str, Any], list[Reading]]:
        began = self.machine.clock()
        done = self.machine.run([self._tool, *_SHOW])
        ended = self.machine.clock()
        cards = _cards(first_json(done.stdout, lambda found: bool(_cards(found))))
        found: dict[str, Reading] = {}
        for name, card in cards.items():
            raw = {field: number(lookup(card, keys)) for field, keys in _KEYS.items()}
            for field in ("vram_used_mb", "vram_total_mb"):
                size = raw[field]
                raw[field] = None if size is None else size / 1e6
            one = _id(name, card)
            values = plausible(self, raw)
            reading = Reading(one, (began + ended) // 2, (ended - began) / 1e6, values)
            found.setdefault(one, reading)
        return done, cards, list(found.values())


def _cards(document: Any) -> dict[str, Any]:
    """Return the parts of a document that are cards; `system` and texts are none."""
    if not isinstance(document, dict):
        return {}
    return {k: v for k, v in document.items() if k.startswith("card") and isinstance(v, dict)}


def _id(name: str, card: dict[str, Any]) -> str:
    plain = {key.rstrip(": ").lower(): value for key, value in card.items()}
    bus = pci(str(plain.get("pci bus")))
    return bus.partition(".")[0] + ".0" if bus else f"rocm-smi:{name}"


def _product(card: dict[str, Any]) -> str | None:
    """Return the product's name; version 4.3 gave its number instead."""
    plain = {key.rstrip(": ").lower(): str(value) for key, value in card.items()}
    found = (plain.get(name.lower(), "") for name in _NAMES)
    return next((n for n in found if n and not n.lower().startswith(("0x", "n/a"))), None)


def _first_dies(cards: dict[str, Any]) -> dict[str, str]:
    """Return for each second die of a card its first one, whose power is that of both."""
    found, first = {}, ""
    for name, card in cards.items():
        if any("secondary die" in str(text).lower() for text in card.values()) and first:
            found[_id(name, card)] = first
        elif number(lookup(card, _KEYS["power_w"])) is not None:
            first = _id(name, card)
    return found


def _complaint(done: Done) -> str:
    words = done.problem or (done.stderr.strip() or done.stdout.strip()).partition("\n")[0]
    return f"rocm-smi: {words or f'no output, exit code {done.code}'}"
