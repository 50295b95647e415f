"""The profiler: reads the sensors of this machine while something else is measured."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager, suppress
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_llamaburn.energy.sampler import Child, Rows, Threads
from pytest_llamaburn.energy.timeline import Sample, Timeline
from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.telemetry._base import Machine
from pytest_llamaburn.telemetry._detect import POWER, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self, TypeVar

    from pytest_llamaburn.energy.integrate import Energy
    from pytest_llamaburn.settings import Run

    Said = TypeVar("Said")

PROCESS_ABOVE = 32  # concurrent requests from which the sampler leaves the process


class Profiler:
    """Watches this machine from `start` to `stop`; a context manager.

    `between` says what a window took, as soon as it is over.
    """

    def __init__(
        self,
        settings: Run,
        server: Any = None,
        *,
        concurrency: int = 1,
        publish: Callable[[dict[str, Any]], None] | None = None,
        machine: Machine | None = None,
    ) -> None:
        """Take the settings, the server under test, and the most requests at once.

        `server` has `local` and `host` as `backends.Server` has; None stands for no server.
        `publish` is called from other threads with each entry for the journal.
        """
        self.segment = secrets.token_hex(4)
        self.remembers = True  # False where what is published is kept: hours would fill the memory
        self._on, self._sent = settings.profile, publish
        local = server is None or server.local
        port = urlsplit(server.host).port if server is not None and local else None
        plan = Plan(settings.gpu_provider, settings.profile_interval, local, port, settings.gpu)
        machine = machine or Machine()
        machine.server_port, machine.local = port, local
        process = settings.sampler == "process" or (
            settings.sampler == "auto" and concurrency > PROCESS_ABOVE
        )
        self._sampler = (Child if process else Threads)(plan, machine, self._take)
        self._about: dict[str, Any] = {
            "sampler": "process" if process else "thread",
            "server_location": "local" if local else "remote",
            "cpu_pct_of": "host" if local else None,
            "interval_ms": 1e3 * plan.interval_s,
            "power_interval_ms": 1e3 * plan.power_period_s,
            "marks": [],
        }
        self._readings: Rows = []
        self._lock = threading.Lock()
        self._running = False
        self._window: list[int] = []

    def start(self) -> Self:
        """Begin. Raises SettingsError if a provider was forced that finds no device."""
        self._about |= {
            "wall_ns": time.time_ns(),
            "perf_ns": perf_counter_ns(),
            "utc_offset_s": time.localtime().tm_gmtoff,
        }
        if self._on:
            self._about |= self._sampler.start()
            self._running = True
        else:
            self._about["reason"] = "profile_off"
        self.tell()
        return self

    def stop(self) -> None:
        """End; calling it twice does nothing more."""
        if self._running:
            self._running = False
            self._about |= self._sampler.stop()
            self.tell()

    def follow(self, port: int | None) -> None:
        """Take the new port of a local server that was started anew, None while it has none."""
        if self._running and self._about["server_location"] == "local":
            self._sampler.follow(port)

    def __enter__(self) -> Self:
        """Start, and begin the window that the properties are about."""
        self.start()
        self._window = [perf_counter_ns()]
        return self

    def __exit__(self, *_: object) -> None:
        """End the window and stop."""
        self._window.append(perf_counter_ns())
        self.stop()

    def tell(self) -> None:
        """Publish what is known about this profiler by now."""
        self._tell({"about": dict(self._about)})

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Give the samples of this time a name."""
        began = perf_counter_ns()
        try:
            yield
        finally:
            self._about["marks"].append([name, began, perf_counter_ns()])

    @property
    def has_power(self) -> bool:
        """Whether any provider gives power, so that idling is worth watching."""
        return not POWER.isdisjoint(self._about.get("fields", ()))

    def between(self, start_ns: int, end_ns: int) -> Energy:
        """Return the energy of a window, in `time.perf_counter_ns`."""
        return self.timeline().energy(start_ns, end_ns)

    def timeline(self) -> Timeline:
        """Return all that was read so far; one timeline answers many windows faster."""
        with self._lock:
            return Timeline(dict(self._about), list(self._readings))

    @property
    def energy(self) -> Energy:
        """The energy of the `with` block, or of it so far."""
        start, end = [*self._window, perf_counter_ns()][:2]
        return self.between(start, end)

    @property
    def energy_wh(self) -> float | None:
        """Gross energy of the block in Wh."""
        return self.energy.wh

    @property
    def power_draw_watts(self) -> float | None:
        """Time-weighted mean power of the block."""
        return self.energy.watts

    @property
    def power_peak_watts(self) -> float | None:
        """Highest power read in the block."""
        return self.energy.peak_watts

    @property
    def reason(self) -> str | None:
        """Why there is no energy, None if there is."""
        return self.energy.reason

    @property
    def system_profile(self) -> list[Sample]:
        """What was read, one entry an interval, as result files have it."""
        return list(self.timeline().samples(self._about["perf_ns"]))

    def _take(self, rows: Rows) -> None:
        if self.remembers:
            with self._lock:
                self._readings += rows
        self._tell({"readings": rows})

    def _tell(self, fields: dict[str, Any]) -> None:
        if self._sent is not None:
            with suppress(LlamaBurnError):  # a full disk: the next request's row says so
                self._sent({"segment": self.segment, **fields})
