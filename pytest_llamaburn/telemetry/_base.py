"""The base class and the data types of all providers, and the machine that they read.

A provider accesses files, tools and clocks only through its `Machine`, which tests replace.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

FIELDS = (
    *("power_w", "energy_j", "util_pct", "vram_used_mb", "vram_total_mb"),
    *("temp_c", "temp_mem_c", "power_limit_w", "clock_mhz"),
)
_SHOWS_A_GPU = {"power_w", "energy_j", "util_pct", "vram_used_mb"}
_TIMEOUT_S = 10.0

Values = dict[str, float | None]


class Device(NamedTuple):
    """A device with sensors.

    `id` is the PCI address or a UUID, never an index: tools number the same GPUs differently.
    `scope` is the part whose power is measured: gpu_board, soc or cpu_package. `power_kind` is
    instant, avg_1s (mean of the last second), average (over an unknown time) or counter (derived
    from energy). `integrated` GPUs share the processor's memory. `covered_by` is the device whose
    power includes this one's: the first of two dies on one card.
    """

    id: str
    name: str | None
    vendor: str
    scope: str = "gpu_board"
    power_kind: str | None = None
    memory_kind: str = "vram"
    integrated: bool = False
    uuid: str | None = None
    covered_by: str | None = None


class Probe(NamedTuple):
    """Whether a provider works on this machine; `reason` is a code, `message` a sentence."""

    ok: bool
    reason: str = ""
    message: str = ""
    version: str | None = None
    devices: tuple[Device, ...] = ()
    fields: frozenset[str] = frozenset()


class Reading(NamedTuple):
    """The values of one device at one moment; a missing value is None.

    `t_ns` is the middle of the read, on the clock of the requests (`time.perf_counter_ns`).
    """

    device_id: str
    t_ns: int
    read_ms: float
    values: Values


class Note(NamedTuple):
    """A remark about the readings, kept once."""

    code: str
    field: str
    message: str


class Done(NamedTuple):
    """How a command ended; `problem` is the reason why there is no output, else empty."""

    stdout: str = ""
    stderr: str = ""
    code: int | None = None
    problem: str = ""


def run(command: Sequence[str], timeout_s: float = _TIMEOUT_S) -> Done:
    """Run a command; after the timeout kill it and its children. Never raises."""
    try:
        child = spawn(command, stderr=subprocess.PIPE)
    except OSError as err:
        return Done(problem=f"{command[0]} cannot be started: {err.strerror or err}")
    try:
        stdout, stderr = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        kill(child)
        reap(child)
        return Done(problem=f"{Path(command[0]).name} did not end within {timeout_s:g} s")
    return Done(stdout, stderr, child.returncode)


def spawn(command: Sequence[str], stderr: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """Start a command with piped output, in a session of its own so that Ctrl-C does not end it."""
    return subprocess.Popen(  # noqa: S603 - a tool found on the user's own path
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )


def kill(child: subprocess.Popen[str]) -> None:
    """Kill a command and its children."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:  # Windows has no process groups
            child.kill()


def reap(child: subprocess.Popen[str]) -> None:
    """Wait for a killed command and close its pipes."""
    child.wait()
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def read_text(path: Path) -> str:
    """Return a file's text, stripped; raises OSError."""
    return path.read_text(encoding="utf-8", errors="replace").strip()


@dataclass
class Machine:
    """The machine whose sensors are read, and the model server on it.

    `server_port` is the server's port, if there is one, and `server_pids` are its processes.
    `local` is False if the server runs on another machine.
    """

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    platform: str = sys.platform
    clock: Callable[[], int] = perf_counter_ns
    run: Callable[[Sequence[str]], Done] = run
    spawn: Callable[[Sequence[str]], subprocess.Popen[str]] = spawn
    read: Callable[[Path], str] = read_text
    load: Callable[[str], Any] = importlib.import_module
    server_port: int | None = None
    server_pids: frozenset[int] = frozenset()
    local: bool = True

    def tool(self, name: str) -> str | None:
        """Return the path of a command line tool, from PATH or ROCm's folders; None if missing."""
        rocm = self.environ.get("ROCM_PATH")
        places = [self.environ.get("PATH"), rocm and f"{rocm}/bin", str(self.root / "opt/rocm/bin")]
        return shutil.which(name, path=os.pathsep.join(filter(None, places)))

    def text(self, path: Path) -> str | None:
        """Return a file's text, or None if it cannot be read."""
        try:
            return self.read(path)
        except OSError:
            return None


class Stream:
    """A tool that prints continuously: its complete lines, each stamped on arrival."""

    def __init__(self, machine: Machine, command: Sequence[str]) -> None:
        """Start the tool; raises OSError."""
        self._lines: deque[tuple[int, str]] = deque()
        self._clock, self._child = machine.clock, machine.spawn(command)
        self._thread = threading.Thread(target=self._follow, args=(self._child,), daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the tool has ended and all its lines were read."""
        return not self._thread.is_alive() and not self._lines

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield (stamp, text) of each line since the last call."""
        while self._lines:
            yield self._lines.popleft()

    def close(self) -> None:
        """Kill the tool and wait until its output is read."""
        kill(self._child)
        self._thread.join(_TIMEOUT_S)
        reap(self._child)

    def _follow(self, child: Any) -> None:
        for line in child.stdout:
            if line.endswith("\n"):
                self._lines.append((self._clock(), line))


class Base:
    """A provider: call `probe` once, `read` at most every `min_period_s`, and `close` at the end.

    For each `vendor`, the working provider with the lowest `rank` is used.
    """

    vendor: ClassVar[str]
    rank: ClassVar[int] = 0
    min_period_s: ClassVar[float] = 0.0

    def __init__(self, machine: Machine) -> None:
        """Take the machine to read from; opens nothing."""
        self.machine = machine
        self.notes: dict[tuple[str, str], Note] = {}

    def probe(self) -> Probe:
        """Open the source and return whether it can be read. Never raises."""
        raise NotImplementedError

    def read(self) -> list[Reading]:
        """Return one reading per device; none for a device that is gone. Never raises."""
        raise NotImplementedError

    def uses(self) -> dict[str, float]:
        """Return 1.0 for each device that the server's processes use, 0.0 for the others.

        A device is left out if its use is unknown.
        """
        return {}

    def moved(self) -> None:
        """React to a new `server_port` of the machine."""

    def close(self) -> None:
        """Release what `probe` opened."""

    def note(self, code: str, field: str, message: str) -> None:
        """Keep a remark, the first of its code and field."""
        self.notes.setdefault((code, field), Note(code, field, message))

    def probed(
        self, readings: Sequence[Reading], devices: Sequence[Device], version: str | None, why: str
    ) -> Probe:
        """Return the probe for the first readings; `why` is the message if no value is a GPU's."""
        fields = frozenset(n for r in readings for n, v in r.values.items() if v is not None)
        if not fields & _SHOWS_A_GPU:
            return Probe(ok=False, reason="unsupported_field", message=why, version=version)
        return Probe(ok=True, version=version, devices=tuple(devices), fields=fields)
