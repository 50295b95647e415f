"""Apple's chips, without root: the extra [apple], else Homebrew's `macmon`.

Both report what Apple's own model of the chip estimates, not what a sensor measures.
"""

from __future__ import annotations

from typing import Any

from pytest_llamaburn.telemetry._base import Base, Device, Machine, Probe, Reading, Stream
from pytest_llamaburn.telemetry._parsing import Counter, first_json, number, plausible

_ID = "apple-soc"
_PARTS = ("cpu_total_mj", "gpu_mj", "dram_mj", "ane_mj")
_PERIOD_MS = 100
_NOTHING = (
    "no Apple sensor is readable: pip install 'pytest-llamaburn[apple]', or brew install macmon"
)


class Provider(Base):
    """The whole chip's energy (zeus-apple-silicon) or power and GPU load (macmon)."""

    vendor = "apple"

    def __init__(self, machine: Machine) -> None:
        """Take the machine, whose `load` gives the module and whose PATH has the tool."""
        super().__init__(machine)
        self._monitor: Any = None
        self._counter = Counter()
        self._stream: Stream | None = None

    def probe(self) -> Probe:
        """Open the module, else the tool."""
        if self.machine.platform != "darwin":
            return Probe(ok=False, reason="no_device", message="this is no Mac")
        first = self._open_module() or self._open_tool()
        kind = "average" if self._monitor is None else "counter"
        device = Device(_ID, None, "apple", "soc", kind, "unified", integrated=True)
        return self.probed(first, [device], None, _NOTHING)

    def read(self) -> list[Reading]:
        """Return the chip's energy now, or what the tool said since the last call."""
        if self._monitor is not None:
            return self._cumulative()
        found = []
        for t_ns, line in self._stream.lines() if self._stream else ():
            said = first_json(line, lambda found: isinstance(found, dict))
            found += [self._reading(said, t_ns)] if said else []
        if self._stream and self._stream.ended:
            self.note("provider_ended", "power_w", "macmon ended: nothing is read any more")
        return found

    def close(self) -> None:
        """End the tool."""
        if self._stream is not None:
            self._stream.close()

    def _open_module(self) -> list[Reading]:
        try:
            self._monitor = self.machine.load("zeus_apple_silicon").AppleEnergyMonitor()
        except Exception:  # noqa: BLE001 - absent, or a chip it does not know
            return []
        return self._cumulative()

    def _cumulative(self) -> list[Reading]:
        began = self.machine.clock()
        try:
            said = self._monitor.get_cumulative_energy()
        except Exception as err:  # noqa: BLE001 - a private framework of macOS
            self.note("provider_ended", "power_w", f"the energy counter failed: {err}")
            return []
        ended = self.machine.clock()
        parts = [number(getattr(said, name, None), 1e-3) for name in _PARTS]
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
        once = first_json(self.machine.run([*command, "-s", "1"]).stdout, _fits)
        if once is None:
            return []
        self._stream = Stream(self.machine, [*command, "-s", "0"])
        return [self._reading(once, self.machine.clock())]

    def _reading(self, said: dict[str, Any], t_ns: int) -> Reading:
        load = said.get("gpu_usage")
        memory, heat = said.get("memory") or {}, said.get("temp") or {}
        share = number(load[1]) if isinstance(load, list) and len(load) > 1 else None
        raw = {
            "power_w": number(said.get("all_power")),
            "util_pct": None if share is None else 100 * share,
            "vram_used_mb": number(memory.get("ram_usage"), 1e-6),
            "vram_total_mb": number(memory.get("ram_total"), 1e-6),
            "temp_c": number(heat.get("gpu_temp_avg")),
            "clock_mhz": number(load[0]) if isinstance(load, list) and load else None,
        }
        return Reading(_ID, t_ns, 0.0, plausible(self, raw))


def _fits(found: Any) -> bool:
    return isinstance(found, dict) and "all_power" in found
