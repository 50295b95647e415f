"""What this machine does, every two seconds, while somebody listens."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_llamaburn.telemetry._detect import Gauges
    from pytest_llamaburn.web.events import Bus

EVERY_S = 2.0
_KEPT = 300  # ten minutes
_FIRST_S = 0.2


class Sampler:
    """Reads processors, memory and sensors, and publishes them as `system` events."""

    def __init__(self, bus: Bus) -> None:
        """Publish on a bus."""
        self._bus = bus
        self.history: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._gauges: Gauges | None = None
        self._processors = (0.0, 0.0)

    async def work(self) -> None:
        """Read and publish until this is cancelled."""
        try:
            while True:
                if self._bus.listeners:
                    self.history.append(await asyncio.to_thread(self._read))
                    self._bus.publish("system", self.history[-1])
                await asyncio.sleep(EVERY_S)
        finally:
            if self._gauges is not None:
                self._gauges.close()

    def _read(self) -> dict[str, Any]:
        import psutil

        from pytest_llamaburn.environment import processor_seconds
        from pytest_llamaburn.telemetry._base import Machine
        from pytest_llamaburn.telemetry._detect import Gauges

        if self._gauges is None:
            self._gauges, self._processors = Gauges(Machine()), processor_seconds()
            time.sleep(_FIRST_S)
        memory = psutil.virtual_memory()
        return {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "cpu_percent": self._cpu_percent(),
            "ram_used_mb": (memory.total - memory.available) / 1e6,
            "ram_total_mb": memory.total / 1e6,
            "sensors": self._gauges.read(),
        }

    def _cpu_percent(self) -> float | None:
        """Return the CPU use since the last call, whichever thread called it; None without time."""
        from pytest_llamaburn.environment import processor_seconds

        now = processor_seconds()
        busy, capacity = (a - b for a, b in zip(now, self._processors, strict=True))
        self._processors = now
        return min(100.0, max(0.0, 100 * busy / capacity)) if capacity > 0 else None
