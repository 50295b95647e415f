"""Graphics cards and their hardware monitors in sysfs, whoever made them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.telemetry._parsing import number, pci

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_llamaburn.telemetry._base import Machine


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
            return (pci(text) or text).partition(".")[0] + ".0"
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
