"""What all providers share: the machine they read from, and the shapes of what they say.

A provider touches the world only through its `Machine`, so that a test can give it another one.
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
    """Something with sensors.

    `id` is the PCI address or a UUID, never an index: tools number the same GPUs differently.
    `scope` says what its watts are of: gpu_board, soc or cpu_package. `power_kind` is instant,
    avg_1s (a mean over the last second), average (over an unknown time) or counter (derived from
    energy). `integrated` GPUs share the processor's memory. `covered_by` is the device whose power
    includes this one's: the first of two dies on one card.
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
    """Whether a provider can say anything here; `reason` is a code, `message` a sentence."""

    ok: bool
    reason: str = ""
    message: str = ""
    version: str | None = None
    devices: tuple[Device, ...] = ()
    fields: frozenset[str] = frozenset()


class Reading(NamedTuple):
    """What one device said at one moment; a value that it did not say is None.

    `t_ns` is the middle of the read on the clock of `time.perf_counter_ns`, as requests are.
    """

    device_id: str
    t_ns: int
    read_ms: float
    values: Values


class Note(NamedTuple):
    """Something to know about the readings, told once."""

    code: str
    field: str
    message: str


class Done(NamedTuple):
    """How a command ended; `problem` says why there is no output, and is empty otherwise."""

    stdout: str = ""
    stderr: str = ""
    code: int | None = None
    problem: str = ""


def run(command: Sequence[str], timeout_s: float = _TIMEOUT_S) -> Done:
    """Run a command to its end; one that hangs is killed with all it started. Never raises."""
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
    """Start a command whose output is read, in a session of its own: Ctrl-C is not for it."""
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
    """Kill a command and what it started."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:  # Windows has no groups of processes
            child.kill()


def reap(child: subprocess.Popen[str]) -> None:
    """Wait for a command that was killed, and close its pipes."""
    child.wait()
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def read_text(path: Path) -> str:
    """Return a file's text, stripped; raises OSError."""
    return path.read_text(encoding="utf-8", errors="replace").strip()


@dataclass
class Machine:
    """The machine whose sensors are read, and who serves models on it.

    `server_port` is where the server listens, where there is one, and `server_pids` are the
    processes that were found there; `local` is False when it is on another machine, whose
    processors and memory are not ours.
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
        """Return the path of a command line tool, from PATH or from ROCm's own places."""
        rocm = self.environ.get("ROCM_PATH")
        places = [self.environ.get("PATH"), rocm and f"{rocm}/bin", str(self.root / "opt/rocm/bin")]
        return shutil.which(name, path=os.pathsep.join(filter(None, places)))

    def text(self, path: Path) -> str | None:
        """Return a file's text, None where it cannot be read."""
        try:
            return self.read(path)
        except OSError:
            return None


class Stream:
    """A tool that goes on printing: its whole lines, each stamped as it arrives.

    What is left of a line that was cut is no line.
    """

    def __init__(self, machine: Machine, command: Sequence[str]) -> None:
        """Start the tool; raises OSError."""
        self._lines: deque[tuple[int, str]] = deque()
        self._clock, self._child = machine.clock, machine.spawn(command)
        self._thread = threading.Thread(target=self._follow, args=(self._child,), daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the tool is gone and all it said was taken."""
        return not self._thread.is_alive() and not self._lines

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the stamp and text of each line since the last call."""
        while self._lines:
            yield self._lines.popleft()

    def close(self) -> None:
        """End the tool and wait until its output is read."""
        kill(self._child)
        self._thread.join(_TIMEOUT_S)
        reap(self._child)

    def _follow(self, child: Any) -> None:
        for line in child.stdout:
            if line.endswith("\n"):
                self._lines.append((self._clock(), line))


class Base:
    """A provider: `probe` once, `read` as often as `min_period_s` allows, `close` at the end.

    Of the providers of one `vendor`, the one with the lowest `rank` that works is used.
    """

    vendor: ClassVar[str]
    rank: ClassVar[int] = 0
    min_period_s: ClassVar[float] = 0.0

    def __init__(self, machine: Machine) -> None:
        """Take the machine to read from; opens nothing."""
        self.machine = machine
        self.notes: dict[tuple[str, str], Note] = {}

    def probe(self) -> Probe:
        """Return whether there is anything to read, and open it. Never raises."""
        raise NotImplementedError

    def read(self) -> list[Reading]:
        """Return what devices say now; nothing once they are gone. Never raises."""
        raise NotImplementedError

    def uses(self) -> dict[str, float]:
        """Return 1.0 for each device that the server's processes use and 0.0 for each other one.

        A device of which that cannot be told is left out.
        """
        return {}

    def moved(self) -> None:
        """Take note that the machine's `server_port` has changed."""

    def close(self) -> None:
        """Give back what `probe` opened."""

    def note(self, code: str, field: str, message: str) -> None:
        """Remember something to be told once."""
        self.notes.setdefault((code, field), Note(code, field, message))

    def probed(
        self, readings: Sequence[Reading], devices: Sequence[Device], version: str | None, why: str
    ) -> Probe:
        """Return the probe of devices that gave first readings; `why` is for there being none."""
        fields = frozenset(n for r in readings for n, v in r.values.items() if v is not None)
        if not fields & _SHOWS_A_GPU:
            return Probe(ok=False, reason="unsupported_field", message=why, version=version)
        return Probe(ok=True, version=version, devices=tuple(devices), fields=fields)
