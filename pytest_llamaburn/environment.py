"""Facts about this machine that a result cannot be read without."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

_LIBRARIES = ("httpx", "msgspec", "numpy", "psutil", "pydantic", "pytest", "uvloop", "xllamacpp")


def facts(root: Path = Path("/")) -> dict[str, Any]:
    """Return OS, CPU, memory, GPUs, container and versions; None is what could not be read.

    `fingerprint` is a digest of the stable hardware facts: equal on the same machine tomorrow.
    """
    import psutil

    from pytest_llamaburn import __version__

    hardware = {
        "cpu": _cpu_model(root),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "ram_mb": round(psutil.virtual_memory().total / 1e6),
        "gpus": _gpus(root),
    }
    stable = {**hardware, "ram_mb": round(hardware["ram_mb"] / 1000)}
    return {
        "os": platform.system(),
        "os_version": _os_version(root),
        "kernel": platform.release(),
        "machine": platform.machine(),
        **hardware,
        "governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "container": _container(root),
        "python": platform.python_version(),
        "llamaburn": __version__,
        "libraries": _versions(),
        "fingerprint": hashlib.sha256(repr(sorted(stable.items())).encode()).hexdigest()[:16],
    }


class OtherLoad:
    """How much of this machine's processors other programs use.

    Ours are this process, its children, and whatever serves models under a known name.
    """

    SERVERS = ("llama-server", "lms", "ollama", "sglang", "vllm")

    def start(self) -> None:
        """Begin the window."""
        self._since = self._now()

    def share(self) -> float | None:
        """Return the share of all processors that others used since `start`; None before it."""
        since = getattr(self, "_since", None)
        if since is None:
            return None
        busy, ours, capacity = (now - then for now, then in zip(self._now(), since, strict=True))
        return min(1.0, max(0.0, (busy - ours) / capacity)) if capacity > 0 else None

    def _now(self) -> tuple[float, float, float]:
        """Return (busy, ours, capacity) so far, in processor seconds."""
        import psutil

        busy, capacity = processor_seconds()
        mine = psutil.Process()
        servers = (p for p in psutil.process_iter(["name"]) if self._serves(p))
        family = {mine, *mine.children(recursive=True), *servers}
        return busy, sum(_cpu_seconds(p) for p in family), capacity

    def _serves(self, process: Any) -> bool:
        return str(process.info["name"]).startswith(self.SERVERS)


def processor_seconds() -> tuple[float, float]:
    """Return how long this machine's processors were busy so far, and how long they could be."""
    import psutil

    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0) + getattr(times, "steal", 0.0)
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    capacity = sum(times) - guest  # Linux counts guests in user time too
    return capacity - idle, capacity


def _cpu_seconds(process: Any) -> float:
    """Return what a process used so far, with those of its children that have ended."""
    import psutil

    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _cpu_model(root: Path) -> str | None:
    for line in (_text(root / "proc/cpuinfo") or "").splitlines():
        if line.lower().startswith(("model name", "hardware")):
            return line.partition(":")[2].strip()
    return platform.processor() or None


def _gpus(root: Path) -> list[dict[str, Any]]:
    """Return the GPUs the kernel shows, by name where its driver gives one."""
    found = []
    for information in sorted(root.glob("proc/driver/nvidia/gpus/*/information")):
        fields = dict(
            line.split(":", 1) for line in (_text(information) or "").splitlines() if ":" in line
        )
        found.append({"vendor": "nvidia", "name": fields.get("Model", "").strip() or None})
    for card in sorted(root.glob("sys/class/drm/card[0-9]*/device")):
        vendor = {"0x1002": "amd", "0x8086": "intel"}.get(_text(card / "vendor") or "")
        if vendor and "-" not in card.parent.name:
            found.append({"vendor": vendor, "name": _text(card / "product_name")})
    return found


def _os_version(root: Path) -> str:
    for line in (_text(root / "etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return platform.version()


def _container(root: Path) -> bool:
    marks = (root / ".dockerenv", root / "run/.containerenv")
    return any(mark.exists() for mark in marks) or "container" in os.environ


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
