"""Intel's discrete GPUs through the kernel (i915, xe): an energy counter, but no load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.telemetry._base import Base, Device, Machine, Probe, Reading
from pytest_llamaburn.telemetry._drm import address, cards, labelled, monitors, used, value
from pytest_llamaburn.telemetry._parsing import Counter, plausible

if TYPE_CHECKING:
    from pathlib import Path

_ENERGY = ("energy1_input", "energy2_input")  # the card's energy, else the chip's; never the sum
_INTEGRATED = "00:02.0"  # the address of the GPU in Intel's processors


class Provider(Base):
    """hwmon of Intel GPUs: energy, power derived from it, temperature, power limit."""

    vendor = "intel"

    def __init__(self, machine: Machine) -> None:
        """Take the machine, whose `root` holds `sys`."""
        super().__init__(machine)
        self._gpus: dict[str, tuple[Path, Counter]] = {}

    def probe(self) -> Probe:
        """Find Intel's cards that have a hardware monitor."""
        paths = {address(self.machine, device): device for device in cards(self.machine, "0x8086")}
        if not paths:
            return Probe(ok=False, reason="no_device", message="the kernel shows no Intel GPU")
        for own_id, path in paths.items():
            for monitor in monitors(path):
                self._gpus.setdefault(own_id, (monitor, Counter()))
        devices = [
            Device(own_id, None, "intel", power_kind="counter", integrated=own_id == _INTEGRATED)
            for own_id in self._gpus
        ]
        return self.probed(self.read(), devices, None, "the Intel GPUs have no energy counter")

    def read(self) -> list[Reading]:
        """Return one reading per GPU; a counter at 0 counts as missing."""
        readings = []
        for own_id, (monitor, counter) in self._gpus.items():
            began = self.machine.clock()
            levels = [value(self.machine, monitor / name, 1e-6) for name in _ENERGY]
            ended = self.machine.clock()
            joules = next((level for level in levels if level), None)
            middle = (began + ended) // 2
            total, watts = (None, None) if joules is None else counter.add(joules, middle)
            temperatures = labelled(self.machine, monitor, "temp")
            raw = {
                "energy_j": total,
                "power_w": watts,
                "power_limit_w": value(self.machine, monitor / "power1_max", 1e-6),
                "temp_c": temperatures.get("pkg", temperatures.get("edge")),
            }
            values = plausible(self, raw)
            if any(v is not None for v in values.values()):
                readings.append(Reading(own_id, middle, (ended - began) / 1e6, values))
        return readings

    def uses(self) -> dict[str, float]:
        """Return which GPUs the server uses, according to the kernel."""
        return used(self.machine, self._gpus)
