"""Apple's chips, without root: through the extra [apple], else through Homebrew's `macmon`.

Both report an estimate of Apple's power model, not a sensor's measurement.
"""

from __future__ import annotations

from typing import Any

from pytest_llamaburn.errors import installing
from pytest_llamaburn.telemetry._base import Base, Device, Machine, Probe, Reading, Stream
from pytest_llamaburn.telemetry._parsing import Counter, first_json, number, plausible

_ID = "apple-soc"
_PARTS = ("cpu_total_mj", "gpu_mj", "dram_mj", "ane_mj")
_PERIOD_MS = 100
_NOTHING = f"no Apple sensor can be read: {installing('apple')}, or brew install macmon"


class Provider(Base):
    """The chip's energy (zeus-apple-silicon), or its power and GPU load (macmon)."""

    vendor = "apple"

    def __init__(self, machine: Machine) -> None:
        """Take the machine; its `load` imports the module and its PATH has the tool."""
        super().__init__(machine)
        self._monitor: Any = None
        self._counter = Counter()
        self._stream: Stream | None = None

    def probe(self) -> Probe:
        """Open the module, else the tool."""
        if self.machine.platform != "darwin":
            return Probe(ok=False, reason="no_device", message="this machine is not a Mac")
        first = self._open_module() or self._open_tool()
        kind = "average" if self._monitor is None else "counter"
        device = Device(_ID, None, "apple", "soc", kind, "unified", integrated=True)
        return self.probed(first, [device], None, _NOTHING)

    def read(self) -> list[Reading]:
        """Return the chip's energy now, or the tool's readings since the last call."""
        if self._monitor is not None:
            return self._cumulative()
        readings = []
        for t_ns, line in self._stream.lines() if self._stream else ():
            sample = first_json(line, lambda value: isinstance(value, dict))
            readings += [self._reading(sample, t_ns)] if sample else []
        if self._stream and self._stream.ended:
            self.note("provider_ended", "power_w", "macmon ended: there are no more readings")
        return readings

    def close(self) -> None:
        """End the tool."""
        if self._stream is not None:
            self._stream.close()

    def _open_module(self) -> list[Reading]:
        try:
            self._monitor = self.machine.load("zeus_apple_silicon").AppleEnergyMonitor()
        except Exception:  # noqa: BLE001 - missing module or unknown chip
            return []
        return self._cumulative()

    def _cumulative(self) -> list[Reading]:
        began = self.machine.clock()
        try:
            energy = self._monitor.get_cumulative_energy()
        except Exception as err:  # noqa: BLE001 - a private framework of macOS
            self.note("provider_ended", "power_w", f"the energy counter failed: {err}")
            return []
        ended = self.machine.clock()
        parts = [number(getattr(energy, name, None), 1e-3) for name in _PARTS]
        known = [part for part in parts if part is not None]
        if not known:
            return []
        middle = (began + ended) // 2
        total, watts = self._counter.add(sum(known), middle)
        values = plausible(self, {"energy_j": total, "power_w": watts})
        return [Reading(_ID, middle, (ended - began) / 1e6, values)]

    def _open_tool(self) -> list[Reading]:
        tool = self.machine.tool("macmon")
        self._monitor = None
        if tool is None:
            return []
        command = [tool, "pipe", "-i", str(_PERIOD_MS)]
        sample = first_json(
            self.machine.run([*command, "-s", "1"]).stdout,
            lambda value: isinstance(value, dict) and "all_power" in value,
        )
        if sample is None:
            return []
        self._stream = Stream(self.machine, [*command, "-s", "0"])
        return [self._reading(sample, self.machine.clock())]

    def _reading(self, sample: dict[str, Any], t_ns: int) -> Reading:
        load = sample.get("gpu_usage")
        memory, heat = sample.get("memory") or {}, sample.get("temp") or {}
        share = number(load[1]) if isinstance(load, list) and len(load) > 1 else None
        raw = {
            "power_w": number(sample.get("all_power")),
            "util_pct": None if share is None else 100 * share,
            "vram_used_mb": number(memory.get("ram_usage"), 1e-6),
            "vram_total_mb": number(memory.get("ram_total"), 1e-6),
            "temp_c": number(heat.get("gpu_temp_avg")),
            "clock_mhz": number(load[0]) if isinstance(load, list) and load else None,
        }
        return Reading(_ID, t_ns, 0.0, plausible(self, raw))
