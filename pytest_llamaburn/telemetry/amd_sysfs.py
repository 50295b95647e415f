"""AMD GPUs through the kernel's sysfs: without a tool, ROCm or root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.telemetry._base import Base, Device, Machine, Probe, Reading
from pytest_llamaburn.telemetry._drm import address, cards, labelled, monitors, used, value
from pytest_llamaburn.telemetry._parsing import plausible

if TYPE_CHECKING:
    from pathlib import Path

_POWER = ("power1_average", "power1_input")  # most GPUs have one of the two
_APU_METRICS = (2, 3)  # format revisions of `gpu_metrics` that only APUs have


class Provider(Base):
    """amdgpu: power, load, VRAM, temperatures, clock.

    A suspended GPU is not read, since that would wake it. On an APU the power is that of the whole
    chip, and the memory is the sum of dedicated and shared memory.
    """

    vendor = "amd"

    def __init__(self, machine: Machine) -> None:
        """Take the machine, whose `root` holds `sys`."""
        super().__init__(machine)
        self._gpus: dict[str, Path] = {}
        self._integrated: set[str] = set()

    def probe(self) -> Probe:
        """Find AMD's cards."""
        for device in cards(self.machine, "0x1002"):
            self._gpus.setdefault(address(self.machine, device), device)
        if not self._gpus:
            return Probe(ok=False, reason="no_device", message="the kernel shows no AMD GPU")
        self._integrated = {own_id for own_id, path in self._gpus.items() if self._is_apu(path)}
        devices = [self._device(own_id, path) for own_id, path in self._gpus.items()]
        kernel = self.machine.text(self.machine.root / "proc/sys/kernel/osrelease")
        first = self.read()
        if any(code == "suspended" for code, _ in self.notes):
            return Probe(ok=True, version=kernel, devices=tuple(devices))
        return self.probed(first, devices, kernel, "the AMD GPUs report no power, load or memory")

    def read(self) -> list[Reading]:
        """Return one reading per GPU; none for a GPU that is gone."""
        readings = [self._reading(own_id, path) for own_id, path in self._gpus.items()]
        return [r for r in readings if any(v is not None for v in r.values.values())]

    def uses(self) -> dict[str, float]:
        """Return which GPUs the server uses, according to the kernel."""
        return used(self.machine, self._gpus)

    def _is_apu(self, path: Path) -> bool:
        try:
            with (path / "gpu_metrics").open("rb") as file:
                head = file.read(4)
        except OSError:
            head = b""
        if len(head) == 4:
            return head[2] in _APU_METRICS
        return bool(monitors(path)) and all(
            value(self.machine, monitor / "power1_cap") is None for monitor in monitors(path)
        )

    def _device(self, own_id: str, path: Path) -> Device:
        apu = own_id in self._integrated
        kinds = ["average" if name == _POWER[0] else "instant" for name in _POWER]
        have = [any((m / name).exists() for m in monitors(path)) for name in _POWER]
        return Device(
            own_id,
            self.machine.text(path / "product_name"),
            "amd",
            scope="soc" if apu else "gpu_board",
            power_kind=next((kind for kind, here in zip(kinds, have, strict=True) if here), None),
            memory_kind="unified" if apu else "vram",
            integrated=apu,
        )

    def _reading(self, own_id: str, path: Path) -> Reading:
        began = self.machine.clock()
        if self.machine.text(path / "power/runtime_status") == "suspended":
            self.note(
                "suspended", "power_w", f"{own_id} is suspended and not read: that would wake it"
            )
            return Reading(own_id, began, 0.0, plausible(self, {}))
        raw = {**self._memory(own_id, path), **self._monitored(path)}
        raw["util_pct"] = value(self.machine, path / "gpu_busy_percent")
        ended = self.machine.clock()
        values = plausible(self, raw)
        return Reading(own_id, (began + ended) // 2, (ended - began) / 1e6, values)

    def _memory(self, own_id: str, path: Path) -> dict[str, float | None]:
        pools = ("vram", "gtt") if own_id in self._integrated else ("vram",)
        memory = {}
        for part in ("used", "total"):
            sizes = [value(self.machine, path / f"mem_info_{pool}_{part}", 1e-6) for pool in pools]
            known = [size for size in sizes if size is not None]
            memory[f"vram_{part}_mb"] = sum(known) if known else None
        return memory

    def _monitored(self, path: Path) -> dict[str, float | None]:
        """Return the values of the hardware monitors in W, °C and MHz."""
        values: dict[str, float | None] = {}
        for monitor in monitors(path):
            temperatures = labelled(self.machine, monitor, "temp")
            watts = [value(self.machine, monitor / name, 1e-6) for name in _POWER]
            more = {
                "power_w": next((w for w in watts if w is not None), None),
                "power_limit_w": value(self.machine, monitor / "power1_cap", 1e-6),
                "temp_c": temperatures.get("edge", temperatures.get("junction")),
                "temp_mem_c": temperatures.get("mem"),
                "clock_mhz": value(self.machine, monitor / "freq1_input", 1e-6),
            }
            values.update({name: v for name, v in more.items() if v is not None})
        return values
