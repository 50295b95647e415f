"""AMD's newer command line tool: one process per reading, so at most once a second.

Its watch mode is unusable with JSON: it printed nothing at first, then everything twice.
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
        """Take the machine; the tool is searched on its PATH and in its ROCm folders."""
        super().__init__(machine)
        self._tool = ""
        self._names: dict[str, str] = {}

    def probe(self) -> Probe:
        """List the GPUs and their PCI addresses."""
        tool = self.machine.tool("amd-smi")
        if tool is None:
            return Probe(ok=False, reason="no_tool", message="amd-smi is not on PATH or in ROCm")
        self._tool = tool
        listed = first_json(self.machine.run([tool, "list", "--json"]).stdout, _fits)
        for gpu in _gpus(listed):
            self._names[str(gpu["gpu"])] = pci(str(gpu.get("bdf"))) or ""
        readings = self.read()
        devices = [
            Device(r.device_id, None, "amd", power_kind="average") for r in _first_of_each(readings)
        ]
        return self.probed(
            readings, devices, None, f"amd-smi reports no value: {self._why or 'N/A'}"
        )

    def read(self) -> list[Reading]:
        """Return one reading per GPU; the partitions of a GPU share one."""
        began = self.machine.clock()
        done = self.machine.run([self._tool, "metric", "--json"])
        ended = self.machine.clock()
        self._why = done.problem or done.stderr.strip().partition("\n")[0]
        readings = []
        for gpu in _gpus(first_json(done.stdout, _fits)):
            name = self._names.get(str(gpu["gpu"])) or f"amd-smi:{gpu['gpu']}"
            values = plausible(self, {field: _at(gpu, *path) for field, path in _PATHS.items()})
            gpu_id = name.partition(".")[0] + ".0" if "." in name else name
            readings.append(Reading(gpu_id, (began + ended) // 2, (ended - began) / 1e6, values))
        return _first_of_each(readings)


def _gpus(document: Any) -> list[dict[str, Any]]:
    """Return the GPUs of a document: a list up to ROCm 6, under `gpu_data` since ROCm 7."""
    entries = document.get("gpu_data") if isinstance(document, dict) else document
    return [entry for entry in entries or () if isinstance(entry, dict) and "gpu" in entry]


def _fits(document: object) -> bool:
    return bool(isinstance(document, dict | list) and _gpus(document))


def _at(gpu: dict[str, Any], section: str, names: tuple[str, ...], scale: float) -> float | None:
    """Return a number in a section, or None; a section may be missing or the text N/A."""
    table = gpu.get(section)
    return number(lookup(table, names), scale) if isinstance(table, dict) else None


def _first_of_each(readings: list[Reading]) -> list[Reading]:
    first: dict[str, Reading] = {}
    for reading in readings:
        first.setdefault(reading.device_id, reading)
    return list(first.values())
