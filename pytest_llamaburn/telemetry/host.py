"""This machine's processors and memory, the server's processes, and LlamaBurn's own process."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.environment import OtherLoad, processor_seconds
from pytest_llamaburn.telemetry._base import Base, Machine, Probe, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable

HOST_FIELDS = (
    *("cpu_pct", "ram_used_mb", "server_cpu_pct", "server_rss_mb"),
    *("client_cpu_pct", "client_rss_mb"),
)
_LEAST_S = 0.01
_LEAST_CPU_S = 0.1  # the kernel counts processor time in steps of 10 ms
_SCAN_S = 5.0  # listing the processes takes 14 ms


class Provider(Base):
    """psutil. CPU is a percentage: of all cores for the machine, of one core for a process.

    A server's resident memory includes the model's file if it is memory-mapped.
    """

    vendor = "host"
    min_period_s = 0.5

    def __init__(self, machine: Machine) -> None:
        """Take the machine; its server is found by its port."""
        super().__init__(machine)
        self._server: list[Any] = []
        self._last_ns = self._scanned_ns = 0
        self._scanning = threading.Lock()

    def probe(self) -> Probe:
        """Start the intervals of the CPU percentages: psutil's first value would be 0."""
        import psutil

        self._me = psutil.Process()
        self._me.cpu_percent()
        self._processors = processor_seconds()
        self._last_ns = self.machine.clock()
        self._scan(self._last_ns)
        return Probe(ok=True, version=psutil.__version__, fields=frozenset(HOST_FIELDS))

    def read(self) -> list[Reading]:
        """Return one reading, of the host; its `values` are HOST_FIELDS."""
        import psutil

        began = self.machine.clock()
        if (
            began - self._last_ns < _LEAST_S * 1e9
        ):  # a percentage over so short a time is meaningless
            return []
        self._last_ns = began
        memory = psutil.virtual_memory()
        server_cpu, server_rss = _usage(self._server)
        here = self.machine.local
        values = {
            "cpu_pct": self._cpu_percent() if here else None,
            "ram_used_mb": (memory.total - memory.available) / 1e6 if here else None,
            "server_cpu_pct": server_cpu,
            "server_rss_mb": server_rss,
            "client_cpu_pct": self._me.cpu_percent(),
            "client_rss_mb": self._me.memory_info().rss / 1e6,
        }
        ended = self.machine.clock()
        if ended - self._scanned_ns > _SCAN_S * 1e9:
            self._scan(ended)  # after the reading: a new process has no percentage yet
        return [Reading("host", (began + ended) // 2, (ended - began) / 1e6, values)]

    def _cpu_percent(self) -> float | None:
        """Return the CPU use since the last call in percent, or None if that was too recent.

        psutil's own function keeps an interval per thread, and the first value of each is 0.
        """
        import psutil

        now = processor_seconds()
        busy, capacity = (a - b for a, b in zip(now, self._processors, strict=True))
        if capacity < _LEAST_CPU_S * (psutil.cpu_count() or 1):
            return None
        self._processors = now
        return min(100.0, max(0.0, 100 * busy / capacity))

    def moved(self) -> None:
        """Find the server at its new port now, so that the next reading has its CPU percentage."""
        self._scan(self.machine.clock())

    def _scan(self, now_ns: int) -> None:
        with self._scanning:
            self._find(now_ns)

    def _find(self, now_ns: int) -> None:
        """Find the server's processes; known processes keep their CPU intervals."""
        self._scanned_ns = now_ns
        if self.machine.server_port is None:
            return
        import psutil

        family = {p for root in _roots(self.machine.server_port) for p in tree(root)}
        family.discard(self._me)
        known = {process for process in self._server if process in family}
        for process in family - known:
            with suppress(psutil.Error):
                process.cpu_percent()
        self._server = [*known, *(family - known)]
        self.machine.server_pids = frozenset(process.pid for process in family)
        if not family:
            self.note("no_server_process", "server_rss_mb", "no process of the server was found")


def _roots(port: int) -> list[Any]:
    """Return the processes that listen at a local port, else those with a known server's name."""
    import psutil

    listening = {
        socket.pid
        for socket in _connections()
        if socket.status == psutil.CONN_LISTEN and socket.laddr.port == port and socket.pid
    }
    named = [p for p in psutil.process_iter(["name"]) if p.pid in listening]
    if not named:
        named = [
            p
            for p in psutil.process_iter(["name"])
            if str(p.info["name"]).startswith(OtherLoad.SERVERS)
        ]
    return named


def _connections() -> Iterable[Any]:
    import psutil

    try:
        connections: Iterable[Any] = psutil.net_connections("tcp")
    except psutil.Error:  # macOS requires root
        return ()
    return connections


def tree(process: Any) -> list[Any]:
    """Return a process with all its children."""
    import psutil

    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _usage(processes: Iterable[Any]) -> tuple[float | None, float | None]:
    """Return (CPU percent, resident MB), summed over the processes that still run, or Nones."""
    import psutil

    usages = []
    for process in processes:
        with suppress(psutil.Error), process.oneshot():
            usages.append((process.cpu_percent(), process.memory_info().rss / 1e6))
    if not usages:
        return None, None
    return sum(cpu for cpu, _ in usages), sum(rss for _, rss in usages)
