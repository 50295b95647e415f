"""Fake sensors: command line tools on a PATH of their own, and trees of files like the kernel's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.telemetry._base import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_llamaburn.telemetry._base import Base, Reading, Values

NVIDIA_HELP = "\n".join(
    f'"{name}"'
    for name in (
        *("pci.bus_id", "name", "driver_version", "compute_cap", "power.draw"),
        *("power.draw.instant", "utilization.gpu", "memory.used", "memory.total"),
        *("temperature.gpu", "enforced.power.limit", "clocks.sm"),
    )
)

MEMORY = {"mem_info_vram_used": "8000000000", "mem_info_vram_total": "16000000000"}
BOARD = {
    **MEMORY,
    "gpu_busy_percent": "42",
    "hwmon__power1_average": "150000000",
    "hwmon__power1_cap": "300000000",
    "hwmon__temp1_input": "60000",
    "hwmon__temp1_label": "edge",
    "hwmon__temp2_input": "70000",
    "hwmon__temp2_label": "junction",
    "hwmon__temp3_input": "66000",
    "hwmon__temp3_label": "mem",
    "hwmon__freq1_input": "2100000000",
    "power__runtime_status": "active",
}


@dataclass
class Clock:
    """A clock in ns that a test moves; each look moves it by `step`."""

    now: int = 1_000_000_000
    step: int = 0

    def __call__(self) -> int:
        self.now += self.step
        return self.now


@dataclass
class Fakes:
    """A directory with `bin` for tools and `root` for kernel files."""

    home: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        (self.home / "bin").mkdir()
        (self.home / "root").mkdir()

    def machine(self, **fields: Any) -> Machine:
        """Return a machine that sees nothing but these."""
        measured = {name: value for name, value in os.environ.items() if "COVERAGE" in name}
        environ = {"PATH": str(self.home / "bin"), **measured}
        return Machine(
            **{"root": self.home / "root", "environ": environ, "load": no_module, **fields}
        )

    def tool(self, name: str, script: str) -> Path:
        """Put a shell script on the PATH."""
        path = self.home / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def says(self, name: str, text: str | Any, *, after: str = "", code: int = 0) -> Path:
        """Put a tool on the PATH that prints a text, or JSON."""
        said = self.home / f"{name}.said"
        said.write_text(text if isinstance(text, str) else json.dumps(text))
        return self.tool(name, f"/bin/cat '{said}'\n{after}\nexit {code}")

    def nvidia_smi(self, rows: list[str], stream: str, known: str = NVIDIA_HELP) -> Path:
        """Put an nvidia-smi on the PATH: rows for the one question, then shell for the stream."""
        for name, text in (("help", known), ("rows", "\n".join(rows) + "\n")):
            (self.home / f"nvidia.{name}").write_text(text)
        return self.tool(
            "nvidia-smi",
            f'case "$*" in *--help*) exec /bin/cat "{self.home}/nvidia.help";; '
            f'*--loop-ms*) :;; *) exec /bin/cat "{self.home}/nvidia.rows";; esac\n{stream}',
        )

    def files(self, base: str, content: Mapping[str, str]) -> Path:
        """Write files below a directory of the root."""
        folder = self.home / "root" / base
        for name, text in content.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return folder

    def card(self, number: int, bus: str, vendor: str = "0x1002", **files: str) -> Path:
        """Write a graphics card; `__` in a name is a slash, as in `hwmon__power1_average`."""
        content = {"vendor": vendor, "uevent": f"DRIVER=x\nPCI_SLOT_NAME=0000:{bus}"}
        for name, text in files.items():
            content[name.replace("hwmon__", "hwmon/hwmon3/").replace("__", "/")] = text
        return self.files(f"sys/class/drm/card{number}/device", content)


def no_module(name: str) -> Any:
    """Stand for an environment in which nothing optional is installed."""
    raise ImportError(name)


def values_by_device(provider: Base) -> dict[str, Values]:
    """Return what a probed provider reads now, by device."""
    return {reading.device_id: reading.values for reading in provider.read()}


def known_values(values: Values) -> dict[str, float]:
    """Return the values that are there."""
    return {name: value for name, value in values.items() if value is not None}


def readings_until(
    read: Callable[[], list[Reading]], count: int, most: int = 2000
) -> list[Reading]:
    """Return at least so many readings of a stream, however slow the machine."""
    from time import sleep

    found: list[Reading] = []
    for _ in range(most):
        found += read()
        if len(found) >= count:
            return found
        sleep(0.005)
    raise AssertionError(f"{len(found)} of {count} readings came")


def path_with(fakes: Fakes) -> str:
    """Return a PATH on which the fakes come first."""
    return f"{fakes.home / 'bin'}{os.pathsep}{os.environ['PATH']}"


def listening_process() -> tuple[subprocess.Popen[bytes], int]:
    """Return a process that listens, and its port."""
    script = (
        "import socket,sys; s=socket.create_server(('127.0.0.1',0)); "
        "print(s.getsockname()[1],flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    return child, int(child.stdout.readline())
