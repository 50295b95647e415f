"""AMD's older command line tool, which newer ROCm lacks: one process per reading."""

from __future__ import annotations

from typing import Any

from pytest_llamaburn.telemetry._base import Base, Device, Done, Machine, Probe, Reading
from pytest_llamaburn.telemetry._parsing import first_json, lookup, number, pci, plausible

Card = dict[str, Any]  # the sensors of a card, as rocm-smi names them
Cards = dict[str, Card]  # by the name of the card
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
    """rocm-smi since ROCm 4: power, load, VRAM, temperatures.

    The key of the power differs between versions, and between the GPUs of one output.
    """

    vendor = "amd"
    rank = 2
    min_period_s = 1.0

    def __init__(self, machine: Machine) -> None:
        """Take the machine; the tool is searched on its PATH and in its ROCm folders."""
        super().__init__(machine)
        self._tool = ""

    def probe(self) -> Probe:
        """Run the tool once to find the GPUs and their values."""
        tool = self.machine.tool("rocm-smi")
        if tool is None:
            return Probe(ok=False, reason="no_tool", message="rocm-smi is not on PATH or in ROCm")
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
        return self.probed(readings, devices, None, "rocm-smi reports no value for any GPU")

    def read(self) -> list[Reading]:
        """Return one reading per GPU; the partitions of a GPU share one."""
        return self._ask()[2]

    def _ask(self) -> tuple[Done, Cards, list[Reading]]:
        began = self.machine.clock()
        done = self.machine.run([self._tool, *_SHOW])
        ended = self.machine.clock()
        cards = _cards(first_json(done.stdout, lambda document: bool(_cards(document))))
        readings: dict[str, Reading] = {}
        for name, card in cards.items():
            raw = {field: number(lookup(card, keys)) for field, keys in _KEYS.items()}
            for field in ("vram_used_mb", "vram_total_mb"):
                size = raw[field]
                raw[field] = None if size is None else size / 1e6
            gpu_id = _id(name, card)
            values = plausible(self, raw)
            reading = Reading(gpu_id, (began + ended) // 2, (ended - began) / 1e6, values)
            readings.setdefault(gpu_id, reading)
        return done, cards, list(readings.values())


def _cards(document: object) -> Cards:
    """Return the cards in a document, without other entries such as `system`."""
    if not isinstance(document, dict):
        return {}
    return {k: v for k, v in document.items() if k.startswith("card") and isinstance(v, dict)}


def _id(name: str, card: Card) -> str:
    plain = {key.rstrip(": ").lower(): value for key, value in card.items()}
    bus = pci(str(plain.get("pci bus")))
    return bus.partition(".")[0] + ".0" if bus else f"rocm-smi:{name}"


def _product(card: Card) -> str | None:
    """Return the product's name, or None; version 4.3 reported a number instead."""
    plain = {key.rstrip(": ").lower(): str(value) for key, value in card.items()}
    names = (plain.get(name.lower(), "") for name in _NAMES)
    return next((n for n in names if n and not n.lower().startswith(("0x", "n/a"))), None)


def _first_dies(cards: Cards) -> dict[str, str]:
    """Return the first die for each second die of a card; the first one's power covers both."""
    first_dies, first = {}, ""
    for name, card in cards.items():
        if any("secondary die" in str(text).lower() for text in card.values()) and first:
            first_dies[_id(name, card)] = first
        elif number(lookup(card, _KEYS["power_w"])) is not None:
            first = _id(name, card)
    return first_dies


def _complaint(done: Done) -> str:
    words = done.problem or (done.stderr.strip() or done.stdout.strip()).partition("\n")[0]
    return f"rocm-smi: {words or f'no output, exit code {done.code}'}"
