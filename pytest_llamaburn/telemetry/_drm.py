"""Graphics cards and their hardware monitors in sysfs, for all vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.telemetry._parsing import number, pci

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pytest_llamaburn.telemetry._base import Machine

LEAST_USED_MB = 64.0  # programs that only list GPUs use a few MB on each
_KFD = "sys/class/kfd/kfd"
_UNITS_MB = {"KiB": 1024 / 1e6, "MiB": 1024**2 / 1e6, "": 1e-6}


def cards(machine: Machine, vendor: str) -> Iterator[Path]:
    """Yield the device directories of a vendor's cards; `vendor` is a PCI id such as `0x1002`."""
    for card in sorted((machine.root / "sys/class/drm").glob("card[0-9]*")):
        if "-" not in card.name and machine.text(card / "device/vendor") == vendor:
            yield card / "device"


def address(machine: Machine, device: Path) -> str:
    """Return a card's PCI address; partitions of one GPU, its PCI functions, share it."""
    for line in (machine.text(device / "uevent") or "").splitlines():
        name, _, text = line.partition("=")
        if name == "PCI_SLOT_NAME":
            return _gpu_id(text)
    return device.parent.name


def monitors(device: Path) -> list[Path]:
    """Return a card's hwmon directories."""
    return sorted(device.glob("hwmon/hwmon*"))


def value(machine: Machine, path: Path, scale: float = 1.0) -> float | None:
    """Return the number in a file times a scale, or None if there is none."""
    return number(machine.text(path), scale)


def labelled(machine: Machine, monitor: Path, kind: str) -> dict[str, float]:
    """Return the values of one kind of input by label, converted from thousandths (m°C to °C)."""
    values = {}
    for path in sorted(monitor.glob(f"{kind}*_input")):
        stem = path.name.removesuffix("_input")
        label = machine.text(monitor / f"{stem}_label") or ("edge" if stem == f"{kind}1" else stem)
        reading = value(machine, path, 1e-3)
        if reading is not None:
            values[label.lower()] = reading
    return values


def used(machine: Machine, gpus: Iterable[str]) -> dict[str, float]:
    """Return 1.0 for each GPU on which the server's processes hold memory, 0.0 for the others.

    The kernel lists a process's memory in `fdinfo`, readable for its user and root, and memory of
    ROCm below `kfd`. Returns {} if neither can be read.
    """
    held_mb: dict[str, float] = {}
    complete = bool(machine.server_pids)
    for pid in machine.server_pids:
        opened_mb = _opened_mb(machine, pid)
        complete = complete and opened_mb is not None
        for name, size_mb in [*(opened_mb or {}).items(), *_rocm_mb(machine, pid).items()]:
            held_mb[name] = held_mb.get(name, 0.0) + size_mb
    busy = {name for name in gpus if held_mb.get(name, 0.0) >= LEAST_USED_MB}
    return {name: float(name in busy) for name in gpus} if busy or complete else {}


def _opened_mb(machine: Machine, pid: int) -> dict[str, float] | None:
    """Return a process's memory on each GPU in MB; None without permission to read it."""
    clients: dict[tuple[str, str], float] = {}
    try:
        files = [*(machine.root / f"proc/{pid}/fdinfo").iterdir()]
    except OSError:
        return None
    for text in filter(None, map(machine.text, files)):
        facts = dict(line.split(":", 1) for line in text.splitlines() if line.startswith("drm-"))
        if "drm-pdev" in facts:
            client = _gpu_id(facts["drm-pdev"]), facts.get("drm-client-id", "").strip()
            clients[client] = _held_mb(facts)
    sizes: dict[str, float] = {}
    for (name, _), size_mb in clients.items():
        sizes[name] = sizes.get(name, 0.0) + size_mb
    return sizes


def _held_mb(facts: dict[str, str]) -> float:
    """Return a client's memory in MB; kernels call it `memory`, `total` or `resident`."""
    sums = [0.0]
    for kind in ("drm-memory-", "drm-total-", "drm-resident-"):
        sizes = (text.split() for name, text in facts.items() if name.startswith(kind))
        sums.append(sum(int(n) * _UNITS_MB["".join(unit)] for n, *unit in sizes))
    return max(sums)


def _rocm_mb(machine: Machine, pid: int) -> dict[str, float]:
    """Return a process's memory on each GPU through ROCm, in MB."""
    sizes = {}
    for node in (machine.root / _KFD / "topology/nodes").glob("*"):
        gpu = machine.text(node / "gpu_id")
        held = value(machine, machine.root / _KFD / f"proc/{pid}/vram_{gpu}", 1e-6)
        lines = (machine.text(node / "properties") or "").splitlines()
        facts = dict(line.split(maxsplit=1) for line in lines if " " in line)
        if held is not None and "location_id" in facts:
            place, domain = int(facts["location_id"]), int(facts.get("domain", "0"))
            sizes[_gpu_id(f"{domain:04x}:{place >> 8:02x}:{place >> 3 & 31:02x}.0")] = held
    return sizes


def _gpu_id(text: str) -> str:
    """Return a PCI address in the form that `address` returns."""
    return (pci(text) or text.strip()).partition(".")[0] + ".0"
