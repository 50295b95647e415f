"""Energy counters of processor packages (Intel and AMD); by default only root may read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.telemetry._base import Base, Device, Machine, Probe, Reading
from pytest_llamaburn.telemetry._drm import value
from pytest_llamaburn.telemetry._parsing import Counter, plausible

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER = "sys/class/powercap"
PERMISSION = (
    "RAPL exists, but only root may read it: sudo chmod a+r "
    "/sys/class/powercap/intel-rapl:*/energy_uj (until the next boot)"
)


class Provider(Base):
    """RAPL: the energy of each package, without memory; it is never added to a GPU's energy.

    Only `package-*` of `intel-rapl` count: `psys` includes them, `intel-rapl-mmio` repeats them and
    sub-domains are parts of them.
    """

    vendor = "cpu"

    def __init__(self, machine: Machine) -> None:
        """Take the machine, whose `root` holds `sys`."""
        super().__init__(machine)
        self._packages: dict[str, tuple[Path, Counter]] = {}

    def probe(self) -> Probe:
        """Find the packages."""
        zones = sorted((self.machine.root / _FOLDER).glob("intel-rapl:*"))
        named = {zone: self.machine.text(zone / "name") or "" for zone in zones}
        packages = {zone: name for zone, name in named.items() if name.startswith("package")}
        if not packages:
            message = "the kernel shows no energy counter of a processor package"
            return Probe(ok=False, reason="no_device", message=message)
        for zone, name in packages.items():
            wrap = value(self.machine, zone / "max_energy_range_uj", 1e-6)
            self._packages.setdefault(name, (zone, Counter(wrap)))
        if all(self._refused(zone) for zone in packages):
            return Probe(ok=False, reason="permission", message=PERMISSION)
        readings = self.read()
        devices = [
            Device(name, None, "cpu", scope="cpu_package", power_kind="counter", memory_kind="none")
            for name in self._packages
        ]
        return self.probed(readings, devices, None, "no processor package reports its energy")

    def read(self) -> list[Reading]:
        """Return one reading per package: its energy and its mean power since the last reading."""
        readings = []
        for name, (zone, counter) in self._packages.items():
            began = self.machine.clock()
            joules = value(self.machine, zone / "energy_uj", 1e-6)
            ended = self.machine.clock()
            if joules is None:
                continue
            middle = (began + ended) // 2
            total, watts = counter.add(joules, middle)
            values = plausible(self, {"energy_j": total, "power_w": watts})
            readings.append(Reading(name, middle, (ended - began) / 1e6, values))
        return readings

    def _refused(self, zone: Path) -> bool:
        try:
            self.machine.read(zone / "energy_uj")
        except PermissionError:
            return True
        except OSError:
            return False
        return False
