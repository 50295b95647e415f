"""Graphics cards and their hardware monitors in sysfs, whoever made them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.telemetry._parsing import number, pci

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pytest_llamaburn.telemetry._base import Machine

LEAST_USED_MB = 64.0  # programs that only look for GPUs hold a few MB on each
_KFD = "sys/class/kfd/kfd"
_UNITS_MB = {"KiB": 1024 / 1e6, "MiB": 1024**2 / 1e6, "": 1e-6}


def cards(machine: Machine, vendor: str) -> Iterator[Path]:
    """Yield the device directories of a vendor's cards, by PCI vendor id as `0x1002`."""
    for card in sorted((machine.root / "sys/class/drm").glob("card[0-9]*")):
        if "-" not in card.name and machine.text(card / "device/vendor") == vendor:
            yield card / "device"


def address(machine: Machine, device: Path) -> str:
    """Return a card's PCI address; functions of one device are partitions of one GPU."""
    for line in (machine.text(device / "uevent") or "").splitlines():
        name, _, text = line.partition("=")
        if name == "PCI_SLOT_NAME":
            return _gpu_id(text)
    return device.parent.name


def monitors(device: Path) -> list[Path]:
    """Return a card's hwmon directories."""
    return sorted(device.glob("hwmon/hwmon*"))


def value(machine: Machine, path: Path, scale: float = 1.0) -> float | None:
    """Return a file's number times a scale, None where the kernel gives none."""
    return number(machine.text(path), scale)


def labelled(machine: Machine, monitor: Path, kind: str) -> dict[str, float]:
    """Return the inputs of a kind by their label, in thousandths of the unit of sysfs."""
    found = {}
    for path in sorted(monitor.glob(f"{kind}*_input")):
        stem = path.name.removesuffix("_input")
        label = machine.text(monitor / f"{stem}_label") or ("edge" if stem == f"{kind}1" else stem)
        reading = value(machine, path, 1e-3)
        if reading is not None:
            found[label.lower()] = reading
    return found


def used(machine: Machine, gpus: Iterable[str]) -> dict[str, float]:
    """Return 1.0 for each GPU on which the server's processes hold memory, 0.0 for each other one.

    The kernel tells it of each process in `fdinfo`, which only its user and root may read, and of
    those that use ROCm in the tree of `kfd`. Empty where neither says enough.
    """
    held: dict[str, float] = {}
    whole = bool(machine.server_pids)
    for pid in machine.server_pids:
        opened = _opened_mb(machine, pid)
        whole = whole and opened is not None
        for name, size_mb in [*(opened or {}).items(), *_rocm_mb(machine, pid).items()]:
            held[name] = held.get(name, 0.0) + size_mb
    busy = {name for name in gpus if held.get(name, 0.0) >= LEAST_USED_MB}
    return {name: float(name in busy) for name in gpus} if busy or whole else {}


def _opened_mb(machine: Machine, pid: int) -> dict[str, float] | None:
    """Return what a process holds on each GPU that it opened; None where that may not be read."""
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
    found: dict[str, float] = {}
    for (name, _), size_mb in clients.items():
        found[name] = found.get(name, 0.0) + size_mb
    return found


def _held_mb(facts: dict[str, str]) -> float:
    """Return the memory of a client; kernels tell it as `memory`, `total` or `resident`."""
    sums = [0.0]
    for kind in ("drm-memory-", "drm-total-", "drm-resident-"):
        sizes = (text.split() for name, text in facts.items() if name.startswith(kind))
        sums.append(sum(int(n) * _UNITS_MB["".join(unit)] for n, *unit in sizes))
    return max(sums)


def _rocm_mb(machine: Machine, pid: int) -> dict[str, float]:
    """Return the memory that a process of ROCm holds on each GPU."""
    found = {}
    for node in (machine.root / _KFD / "topology/nodes").glob("*"):
        gpu = machine.text(node / "gpu_id")
        held = value(machine, machine.root / _KFD / f"proc/{pid}/vram_{gpu}", 1e-6)
        lines = (machine.text(node / "properties") or "").splitlines()
        about = dict(line.split(maxsplit=1) for line in lines if " " in line)
        if held is not None and "location_id" in about:
            place, domain = int(about["location_id"]), int(about.get("domain", "0"))
            found[_gpu_id(f"{domain:04x}:{place >> 8:02x}:{place >> 3 & 31:02x}.0")] = held
    return found


def _gpu_id(text: str) -> str:
    """Return a PCI address as `address` gives it."""
    return (pci(text) or text.strip()).partition(".")[0] + ".0"
