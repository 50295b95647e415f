"""AMD's newer command line tool: one process a reading, so once a second at most.

Its watch mode is not used: with JSON it printed nothing, then everything twice.
"""

from __future__ import annotations

from typing import Any

from pytest_llamaburn.telemetry._base import Base, Device, Machine, Probe, Reading
from pytest_llamaburn.telemetry._parsing import first_json, lookup, number, pci, plausible

_PATHS = {
    "power_w": ("power", ("socket_power", "current_socket_power", "average_socket_power"), 1.0),
    "energy_j": ("energy", ("total_energy_consumption",), 1.0),
    "util_pct": ("usage", ("gfx_activity",), 1.0),
    "vram_used_mb": ("mem_usage", ("used_vram",), 1.0),
    "vram_total_mb": ("mem_usage", ("total_vram",), 1.0),
    "temp_c": ("temperature", ("edge", "hotspot"), 1.0),
    "temp_mem_c": ("temperature", ("mem",), 1.0),
}


class Provider(Base):
    """amd-smi: power, energy counter, load, VRAM, temperatures."""

    vendor = "amd"
    rank = 1
    min_period_s = 1.0

    def __init__(self, machine: Machine) -> None:
        """Take the machine, on whose PATH and in whose ROCm the tool is looked for."""
        super().__init__(machine)
        self._tool = ""
        self._names: dict[str, str] = {}

    def probe(self) -> Probe:
        """Ask once for the GPUs and their PCI addresses."""
        tool = self.machine.tool("amd-smi")
        if tool is None:
            return Probe(ok=False, reason="no_tool", message="no amd-smi on PATH or in ROCm")
        self._tool = tool
        listed = first_json(self.machine.run([tool, "list", "--json"]).stdout, _fits)
        for gpu in _gpus(listed):
            self._names[str(gpu["gpu"])] = pci(str(gpu.get("bdf"))) or ""
        readings = self.read()
        devices = [
            Device(r.device_id, None, "amd", power_kind="average") for r in _first_of_each(readings)
        ]
        return self.probed(readings, devices, None, f"amd-smi gives no value: {self._why or 'N/A'}")

    def read(self) -> list[Reading]:
        """Return one reading a GPU; one stands for its partitions."""
        began = self.machine.clock()
        done = self.machine.run([self._tool, "metric", "--json"])
        ended = self.machine.clock()
        self._why = done.problem or done.stderr.strip().partition("\n")[0]
        found = []
        for gpu in _gpus(first_json(done.stdout, _fits)):
            name = self._names.get(str(gpu["gpu"])) or f"amd-smi:{gpu['gpu']}"
            values = plausible(self, {field: _at(gpu, *path) for field, path in _PATHS.items()})
            one = name.partition(".")[0] + ".0" if "." in name else name
            found.append(Reading(one, (began + ended) // 2, (ended - began) / 1e6, values))
        return _first_of_each(found)


def _gpus(document: Any) -> list[dict[str, Any]]:
    """Return the GPUs of a document: a list until ROCm 6, under `gpu_data` from ROCm 7 on."""
    entries = document.get("gpu_data") if isinstance(document, dict) else document
    return [entry for entry in entries or () if isinstance(entry, dict) and "gpu" in entry]


def _fits(found: Any) -> bool:
    return bool(isinstance(found, dict | list) and _gpus(found))


def _at(gpu: dict[str, Any], section: str, names: tuple[str, ...], scale: float) -> float | None:
    """Return a number in a section, which may be absent or the text N/A as a whole."""
    table = gpu.get(section)
    return number(lookup(table, names), scale) if isinstance(table, dict) else None


def _first_of_each(readings: list[Reading]) -> list[Reading]:
    found: dict[str, Reading] = {}
    for reading in readings:
        found.setdefault(reading.device_id, reading)
    return list(found.values())
