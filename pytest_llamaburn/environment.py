"""Facts about this machine that are needed to interpret a result."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_llamaburn.documents import Document

LIBRARIES = ("httpx", "msgspec", "numpy", "psutil", "pydantic", "pytest", "uvloop", "xllamacpp")
_NVIDIA_VERSION = "proc/driver/nvidia/version"


def facts(root: Path = Path("/")) -> Document:
    """Return OS, CPU, memory, GPUs, container and versions; a fact is None if unreadable.

    `gpu_drivers` has the version of each vendor's driver, if that is not a part of the kernel.

    `cpu_quota` and `ram_limit_mb` are this process's limits in a container or service, or None
    without a limit; `cpus_allowed` is the number of processors it may use. `fingerprint` is a
    digest of the stable hardware facts and these limits, so it stays the same on one machine.
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
    limits = _limits(root, hardware["cores_logical"], hardware["ram_mb"])
    stable = {**hardware, "ram_mb": round(hardware["ram_mb"] / 1000), **binding(limits, hardware)}
    return {
        "os": platform.system(),
        "os_version": _os_version(root),
        "kernel": platform.release(),
        "machine": platform.machine(),
        **hardware,
        **limits,
        "gpu_drivers": _gpu_drivers(root),
        "governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "container": in_container(root),
        "python": platform.python_version(),
        "llamaburn": __version__,
        "libraries": library_versions(),
        "fingerprint": hashlib.sha256(repr(sorted(stable.items())).encode()).hexdigest()[:16],
    }


def memory_bytes(root: Path = Path("/")) -> int:
    """Return the memory that programs here may use: the machine's, or the container's limit."""
    import psutil

    total = int(psutil.virtual_memory().total)
    return min([total, *(limit for limit, _ in _memory_of_groups(root))])


def memory_left_bytes(root: Path = Path("/")) -> int:
    """Return the memory that programs here can still take without swapping."""
    import psutil

    left = int(psutil.virtual_memory().available)
    return max(0, min([left, *(limit - used for limit, used in _memory_of_groups(root))]))


def _memory_of_groups(root: Path) -> Iterator[tuple[int, int]]:
    """Yield limit and use of the control groups that limit the memory; caches do not count."""
    for group in _groups(root):
        limit = _text(group / "memory.max") or _text(group / "memory.limit_in_bytes") or ""
        used = _text(group / "memory.current") or _text(group / "memory.usage_in_bytes") or ""
        if limit.isdecimal() and used.isdecimal():
            stat = dict(map(str.split, (_text(group / "memory.stat") or "").splitlines()))
            cached = stat.get("inactive_file") or stat.get("total_inactive_file") or "0"
            yield int(limit), int(used) - int(cached)


def binding(limits: Mapping[str, object], hardware: Mapping[str, object]) -> Document:
    """Return the limits that restrict a process to less than the whole machine.

    Both arguments may be the `facts` of a machine; facts of an older version have no limits.
    """
    values = {name: limits.get(name) for name in ("cpu_quota", "cpus_allowed", "ram_limit_mb")}
    whole = {"cpus_allowed": hardware["cores_logical"]}
    return {name: v for name, v in values.items() if v is not None and v != whole.get(name)}


def _limits(root: Path, cores: int | None, ram_mb: int) -> Document:
    """Return the limits that control groups and the CPU affinity set for this process."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    groups = [*_groups(root)]
    quotas = [quota for group in groups if (quota := _quota(group)) is not None]
    sizes = [size for group in groups if (size := _memory_mb(group)) is not None]
    quota, size_mb = min(quotas, default=None), min(sizes, default=None)
    return {
        "cpus_allowed": allowed,
        "cpu_quota": quota if quota is not None and quota < (cores or math.inf) else None,
        "ram_limit_mb": size_mb if size_mb is not None and size_mb < ram_mb else None,
    }


def _groups(root: Path) -> Iterator[Path]:
    """Yield the directories of this process's control groups and of their parents.

    The lowest of their limits applies. In a container the kernel may report a path of the host,
    which does not exist there; the container's own group is then the top directory.
    """
    top = root / "sys/fs/cgroup"
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        places = [controllers, *controllers.split(",")] if controllers else [".", "unified"]
        for place in places:
            group = top / place
            yield group
            for part in Path(path.strip("/")).parts:
                group /= part
                yield group


def _quota(group: Path) -> float | None:
    """Return the most processors that a control group may use, or None without a limit."""
    words = (_text(group / "cpu.max") or "").split()
    if not words:
        words = [_text(group / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    numbers = [int(word) for word in words if word.isdecimal()]  # neither `max` nor -1
    return numbers[0] / numbers[1] if len(numbers) == 2 and numbers[1] else None


def _memory_mb(group: Path) -> int | None:
    """Return the most memory that a control group may use in MB, or None without a limit."""
    text = _text(group / "memory.max") or _text(group / "memory.limit_in_bytes") or ""
    return round(int(text) / 1e6) if text.isdecimal() else None


class OtherLoad:
    """The share of this machine's processors that other programs use.

    This process, its children and known model servers do not count as other programs.
    """

    SERVERS = ("llama-server", "lms", "ollama", "sglang", "vllm")

    def start(self) -> None:
        """Start to measure."""
        self._since = self._now()

    def share(self) -> float | None:
        """Return the share of all processors that other programs used since `start`, else None."""
        since = getattr(self, "_since", None)
        if since is None:
            return None
        busy, ours, capacity = (now - then for now, then in zip(self._now(), since, strict=True))
        return min(1.0, max(0.0, (busy - ours) / capacity)) if capacity > 0 else None

    def _now(self) -> tuple[float, float, float]:
        """Return (busy, own, capacity) since the boot, in processor seconds."""
        import psutil

        busy, capacity = processor_seconds()
        mine = psutil.Process()
        servers = (p for p in psutil.process_iter(["name"]) if self._serves(p))
        family = {mine, *mine.children(recursive=True), *servers}
        return busy, sum(_cpu_seconds(p) for p in family), capacity

    def _serves(self, process: Any) -> bool:
        return str(process.info["name"]).startswith(self.SERVERS)


def processor_seconds() -> tuple[float, float]:
    """Return (busy, capacity) of this machine's processors since the boot, in seconds."""
    import psutil

    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0) + getattr(times, "steal", 0.0)
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    capacity = sum(times) - guest  # Linux counts guests in user time too
    return capacity - idle, capacity


def _cpu_seconds(process: Any) -> float:
    """Return the processor seconds of a process and of its ended children."""
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


def _gpus(root: Path) -> list[Document]:
    """Return vendor and name of the GPUs that the kernel shows; the name may be None."""
    gpus = []
    for information in sorted(root.glob("proc/driver/nvidia/gpus/*/information")):
        fields = dict(
            line.split(":", 1) for line in (_text(information) or "").splitlines() if ":" in line
        )
        gpus.append({"vendor": "nvidia", "name": fields.get("Model", "").strip() or None})
    for card in sorted(root.glob("sys/class/drm/card[0-9]*/device")):
        vendor = {"0x1002": "amd", "0x8086": "intel"}.get(_text(card / "vendor") or "")
        if vendor and "-" not in card.parent.name:
            gpus.append({"vendor": vendor, "name": _text(card / "product_name")})
    return gpus


def _gpu_drivers(root: Path) -> dict[str, str]:
    nvidia = re.search(r"Module\s.*?(\d+(?:\.\d+)+)", _text(root / _NVIDIA_VERSION) or "")
    amd = _text(root / "sys/module/amdgpu/version")
    found = {"nvidia": nvidia and nvidia[1], "amd": amd}
    return {vendor: version for vendor, version in found.items() if version}


def _os_version(root: Path) -> str:
    for line in (_text(root / "etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return platform.version()


def in_container(root: Path = Path("/")) -> bool:
    """Return whether this process runs in a container of Docker or Podman."""
    marks = (root / ".dockerenv", root / "run/.containerenv")
    return any(mark.exists() for mark in marks) or "container" in os.environ


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that are installed, by name."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
