"""NVIDIA's management library (NVML), through the extra [nvidia]."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pytest_llamaburn.errors import MissingExtraError
from pytest_llamaburn.telemetry._base import Base, Device, Machine, Probe, Reading
from pytest_llamaburn.telemetry._parsing import pci, plausible

_POWER_INSTANT = 186  # NVML_FI_DEV_POWER_INSTANT
_AMPERE = 7  # since this architecture nvmlDeviceGetPowerUsage is a mean over one second


class Provider(Base):
    """NVML: power in watts, the board's energy counter, utilization, memory, temperature, clock."""

    vendor = "nvidia"

    def __init__(self, machine: Machine) -> None:
        """Take the machine; its `load` imports the module `pynvml`."""
        super().__init__(machine)
        self._nvml: Any = None
        self._gpus: list[tuple[Any, Device]] = []
        self._has_instant: set[str] = set()

    def probe(self) -> Probe:
        """Open the library and list its GPUs."""
        try:
            self._nvml = self.machine.load("pynvml")
        except ImportError:
            words = str(MissingExtraError("nvidia", "nvml"))
            return Probe(ok=False, reason="missing_extra", message=words)
        try:
            self._nvml.nvmlInit()
            count = self._nvml.nvmlDeviceGetCount()
        except Exception as err:  # noqa: BLE001 - a missing or incompatible driver
            self._nvml = None
            return Probe(ok=False, reason="no_driver", message=f"NVML cannot be used: {err}")
        version = self._ask("nvmlSystemGetDriverVersion")
        handles = [self._ask("nvmlDeviceGetHandleByIndex", index) for index in range(count)]
        self._gpus = [(h, self._device(h)) for h in handles if h is not None]
        devices = [device for _, device in self._gpus]
        return self.probed(
            self.read(), devices, version and _text(version), "no GPU reports a value"
        )

    def read(self) -> list[Reading]:
        """Return one reading per GPU; none for a GPU that is gone."""
        readings = [self._reading(handle, device) for handle, device in self._gpus]
        return [r for r in readings if any(v is not None for v in r.values.values())]

    def uses(self) -> dict[str, float]:
        """Return which GPUs the server computes on; {} if the server's processes are not listed.

        In a container the library lists the host's process ids, which differ from the container's.
        """
        listed = {device.id: self._processes(handle) for handle, device in self._gpus}
        ours = {name for name, pids in listed.items() if pids & self.machine.server_pids}
        return {name: float(name in ours) for name in listed} if ours else {}

    def close(self) -> None:
        """Close the library."""
        if self._nvml is not None:
            with suppress(Exception):
                self._nvml.nvmlShutdown()

    def _ask(self, name: str, *arguments: object) -> Any:
        """Return the result of a call, or None if it is not supported: other fields still work."""
        try:
            return getattr(self._nvml, name)(*arguments)
        except Exception:  # noqa: BLE001 - NVMLError, or a function that an old library lacks
            return None

    def _processes(self, handle: object) -> frozenset[int]:
        listed = self._ask("nvmlDeviceGetComputeRunningProcesses", handle)
        return frozenset(process.pid for process in listed or ())

    def _device(self, handle: object) -> Device:
        bus = self._ask("nvmlDeviceGetPciInfo", handle)
        address = pci(_text(bus.busId)) if bus is not None else None
        unique = self._ask("nvmlDeviceGetUUID", handle)
        name = self._ask("nvmlDeviceGetName", handle)
        architecture = self._ask("nvmlDeviceGetArchitecture", handle)
        averages = architecture is None or architecture >= _AMPERE
        own_id = address or _text(unique or "nvidia")
        if self._instant(handle) is not None:
            self._has_instant.add(own_id)
        kind = "instant" if own_id in self._has_instant or not averages else "avg_1s"
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        return Device(
            own_id,
            _text(name) if name is not None else None,
            "nvidia",
            power_kind=kind,
            memory_kind="vram" if memory is not None else "unified",
            uuid=_text(unique) if unique is not None else None,
        )

    def _reading(self, handle: object, device: Device) -> Reading:
        clock, nvml = self.machine.clock, self._nvml
        began = clock()
        power = self._power(handle, device)
        energy = self._ask("nvmlDeviceGetTotalEnergyConsumption", handle)
        ended = clock()
        use = self._ask("nvmlDeviceGetUtilizationRates", handle)
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        raw = {
            "power_w": power,
            "energy_j": _scaled(energy, 1e-3),
            "util_pct": None if use is None else float(use.gpu),
            "vram_used_mb": None if memory is None else memory.used / 1e6,
            "vram_total_mb": None if memory is None else memory.total / 1e6,
            "temp_c": _scaled(self._ask("nvmlDeviceGetTemperature", handle, 0), 1),
            "power_limit_w": _scaled(self._ask("nvmlDeviceGetEnforcedPowerLimit", handle), 1e-3),
            "clock_mhz": _scaled(
                self._ask("nvmlDeviceGetClockInfo", handle, getattr(nvml, "NVML_CLOCK_SM", 1)), 1
            ),
        }
        read_ms = (clock() - began) / 1e6
        return Reading(device.id, (began + ended) // 2, read_ms, plausible(self, raw))

    def _power(self, handle: object, device: Device) -> float | None:
        """Return the power in watts, always from the source that `probe` chose."""
        if device.id in self._has_instant:
            return self._instant(handle)
        return _scaled(self._ask("nvmlDeviceGetPowerUsage", handle), 1e-3)

    def _instant(self, handle: object) -> float | None:
        """Return the instantaneous power in watts, or None on older drivers and GPUs."""
        fields = self._ask("nvmlDeviceGetFieldValues", handle, [_POWER_INSTANT])
        if not fields or fields[0].nvmlReturn != 0:
            return None
        return float(fields[0].value.uiVal) / 1e3


def _scaled(value: Any, scale: float) -> float | None:
    return None if value is None else float(value) * scale


def _text(value: object) -> str:
    """Return a string of the library; older versions return bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
