"""The profiler: it reads the sensors of this machine during a measurement."""

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
    from typing import Self

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.energy.integrate import Energy
    from pytest_llamaburn.settings import Run

PROCESS_ABOVE = 32  # with more concurrent requests the sampler runs in a child process


class Profiler:
    """Reads this machine's sensors from `start` to `stop`; a context manager.

    `between` returns the energy of any window in the past.
    """

    def __init__(
        self,
        settings: Run,
        server: Any = None,
        *,
        concurrency: int = 1,
        publish: Callable[[Document], None] | None = None,
        machine: Machine | None = None,
    ) -> None:
        """Take the settings, the server under test, and the highest number of concurrent requests.

        `server` has `local` and `host` as in `backends.Server`; None means no server. `publish`
        receives each journal entry, called from other threads.
        """
        self.segment = secrets.token_hex(4)
        self.remembers = True  # False if `publish` stores the readings: long runs would fill memory
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
        self._about: Document = {
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
        """Start. Raises SettingsError if a named provider or device does not work."""
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
        self.publish_facts()
        return self

    def stop(self) -> None:
        """Stop; a second call has no effect."""
        if self._running:
            self._running = False
            self._about |= self._sampler.stop()
            self.publish_facts()

    def follow(self, port: int | None) -> None:
        """Take the new port of a restarted local server, or None while it has none."""
        if self._running and self._about["server_location"] == "local":
            self._sampler.follow(port)

    def __enter__(self) -> Self:
        """Start, and begin the window of the properties."""
        self.start()
        self._window = [perf_counter_ns()]
        return self

    def __exit__(self, *_: object) -> None:
        """End the window and stop."""
        self._window.append(perf_counter_ns())
        self.stop()

    def publish_facts(self) -> None:
        """Publish the current facts about this profiler."""
        self._publish({"about": dict(self._about)})

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Name the phase of the samples in this block."""
        began = perf_counter_ns()
        try:
            yield
        finally:
            self._about["marks"].append([name, began, perf_counter_ns()])

    @property
    def has_power(self) -> bool:
        """Whether any provider reports power, so that idle power can be measured."""
        return not POWER.isdisjoint(self._about.get("fields", ()))

    def between(self, start_ns: int, end_ns: int) -> Energy:
        """Return the energy of a window; times are `time.perf_counter_ns`."""
        return self.timeline().energy(start_ns, end_ns)

    def timeline(self) -> Timeline:
        """Return all readings so far; for many windows, reuse one timeline."""
        with self._lock:
            return Timeline(dict(self._about), list(self._readings))

    @property
    def energy(self) -> Energy:
        """The energy of the `with` block, so far."""
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
        """Why there is no energy, or None if there is."""
        return self.energy.reason

    @property
    def system_profile(self) -> list[Sample]:
        """The readings, one entry per interval, as in result files."""
        return list(self.timeline().samples(self._about["perf_ns"]))

    def _take(self, rows: Rows) -> None:
        if self.remembers:
            with self._lock:
                self._readings += rows
        self._publish({"readings": rows})

    def _publish(self, fields: Document) -> None:
        if self._sent is not None:
            with suppress(LlamaBurnError):  # a full disk: the next request's row reports it
                self._sent({"segment": self.segment, **fields})
