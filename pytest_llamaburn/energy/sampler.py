"""The sampler reads every sensor periodically, in threads of this process or of a child process.

Each provider has a thread with an absolute schedule, so that a late reading does not delay the next
ones. A tick that passes during a reading counts as missed; a provider with slow readings is read
less often. `--sampler process` runs the threads in a child process, which a busy event loop cannot
delay. That child is `python -m pytest_llamaburn.energy.sampler`; it ends when its standard input
closes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, TypedDict, cast

from pytest_llamaburn.energy.timeline import SERVER
from pytest_llamaburn.errors import LlamaBurnError, SettingsError
from pytest_llamaburn.telemetry import _detect
from pytest_llamaburn.telemetry._base import Machine, Reading
from pytest_llamaburn.telemetry._detect import HOST, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.telemetry._base import Base

    Result = TypeVar("Result")


READ_SHARE = 0.25  # stretch the period if a reading takes more than this share of it
_LOOK_S = 5.0  # seconds between two checks of which devices the server uses
_REMEMBERED = 5  # readings whose cost is averaged
PATIENCE_S = 10.0  # time limit for threads and the child to end
Rows = list[list[Any]]


class LoopFacts(TypedDict):
    """How well the schedule of a provider was kept."""

    provider: str
    period_ms: float
    stretched: bool
    reads: int
    missed_ticks: int
    read_ms: float | None


class Ended(TypedDict, total=False):
    """What a sampler says at its end; nothing if its process was killed."""

    loops: list[LoopFacts]
    cpu_pct: float
    notes: list[Document]


class Loop:
    """Reads one provider on an absolute schedule."""

    def __init__(
        self,
        provider: Base,
        name: str,
        plan: Plan,
        publish: Callable[[Sequence[Reading]], None],
        clock: Callable[[], int] = perf_counter_ns,
    ) -> None:
        """Take a probed provider, its name, the plan and a callback for readings."""
        self.provider, self.name = provider, name
        self.period_ns = round(1e9 * max(plan.power_period_s, provider.min_period_s))
        if name == HOST:
            self.period_ns = round(1e9 * plan.interval_s)
        self._interval_ns = round(1e9 * plan.interval_s)
        self._publish, self._clock = publish, clock
        self._cost_ns: list[int] = []
        self.reads = self.missed_ticks = 0
        self.stretched = False
        self.cpu_ns = 0
        self._looked_ns: int | None = None

    def run(self, stopped: Callable[[float], bool]) -> None:
        """Read until `stopped`, which waits for the given seconds, returns True."""
        batch: list[Reading] = []
        began_cpu = time.thread_time_ns()
        due = published = self._clock()
        while True:
            batch += [*self._read(), *self._look()]
            if self._clock() - published >= self._interval_ns:
                self._publish(batch)
                batch, published = [], self._clock()
            due = self._next(due)
            self.cpu_ns = time.thread_time_ns() - began_cpu
            if stopped(max(0.0, (due - self._clock()) / 1e9)):
                break
        self._publish([*batch, *self._read()])
        self.cpu_ns = time.thread_time_ns() - began_cpu

    def facts(self) -> LoopFacts:
        """Return how well the schedule was kept."""
        cost = [ns / 1e6 for ns in self._cost_ns]
        return {
            "provider": self.name,
            "period_ms": self.period_ns / 1e6,
            "stretched": self.stretched,
            "reads": self.reads,
            "missed_ticks": self.missed_ticks,
            "read_ms": median(cost) if cost else None,
        }

    def _read(self) -> list[Reading]:
        began = self._clock()
        readings = self._guarded(self.provider.read) or []
        self._cost_ns.append(self._clock() - began)
        del self._cost_ns[:-_REMEMBERED]
        self.reads += 1
        return readings

    def _look(self) -> list[Reading]:
        """Return which devices the server uses, if it is time to check."""
        now = self._clock()
        if self._looked_ns is not None and now - self._looked_ns < _LOOK_S * 1e9:
            return []
        self._looked_ns = now
        uses = self._guarded(self.provider.uses)
        return [Reading(SERVER, now, 0.0, dict(uses))] if uses else []

    def _guarded(self, call: Callable[[], Result]) -> Result | None:
        """Return the result of a provider's call; if it fails, note that and return None."""
        try:
            return call()
        except Exception as err:  # noqa: BLE001
            words = f"{self.name} failed: {type(err).__name__}: {err}"
            self.provider.note("provider_failed", self.name, words)
            return None

    def _next(self, due: int) -> int:
        """Return when to read next; ticks in the past count as missed."""
        cost = median(self._cost_ns)
        if cost > READ_SHARE * self.period_ns and len(self._cost_ns) == _REMEMBERED:
            self.period_ns = round(cost / READ_SHARE)
            self.stretched = True
            words = f"{self.name} takes {cost / 1e6:.0f} ms per reading, so it is read less often"
            self.provider.note("stretched_period", self.name, words)
        due += self.period_ns
        late = -(min(0, due - self._clock()) // self.period_ns)
        self.missed_ticks += late
        return due + late * self.period_ns


class Threads:
    """The sampler in this process, with one thread per provider."""

    def __init__(self, plan: Plan, machine: Machine, publish: Callable[[Rows], None]) -> None:
        """Take the plan, the machine to read and a callback for readings."""
        self._plan, self._machine, self._publish = plan, machine, publish
        self._stop = threading.Event()
        self._loops: list[Loop] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> _detect.Summary:
        """Probe the providers and start; return what was found.

        Raises SettingsError if a named provider or device does not exist or does not work.
        """
        self._began_ns, self._children = perf_counter_ns(), _children_s()
        host = _detect.provider(HOST, self._machine)
        host.probe()
        used, probes = _detect.choose(self._plan, self._machine)
        summary = self._summary(used)
        members = {HOST: host, **{name: provider for name, provider, _ in used}}
        self._loops = [Loop(p, n, self._plan, self._take) for n, p in members.items()]
        for loop in self._loops:
            thread = threading.Thread(target=loop.run, args=(self._stop.wait,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return {**summary, "probes": probes}

    def follow(self, port: int | None) -> None:
        """Take the server's new port, or None while it has none."""
        self._machine.server_port = port
        for loop in self._loops:
            loop.provider.moved()

    def stop(self) -> Ended:
        """Stop; return how well the schedules were kept, the CPU use and the notes."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        notes = [n._asdict() for loop in self._loops for n in loop.provider.notes.values()]
        for loop in self._loops:
            loop.provider.close()
        elapsed_s = (perf_counter_ns() - self._began_ns) / 1e9
        spent_s = sum(loop.cpu_ns for loop in self._loops) / 1e9
        return {
            "loops": [loop.facts() for loop in self._loops],
            "cpu_pct": 100 * (spent_s + _children_s() - self._children) / elapsed_s,
            "notes": notes,
        }

    def _take(self, readings: Sequence[Reading]) -> None:
        rows = [
            [r.device_id, r.t_ns, r.read_ms, {k: v for k, v in r.values.items() if v is not None}]
            for r in readings
        ]
        if rows:
            self._publish(rows)

    def _summary(self, used: _detect.Used) -> _detect.Summary:
        """Return the devices to read and the chosen ones, or the reason why there are none."""
        summary = _detect.summary(used)
        if not self._plan.local:
            return {**summary, "reason": "remote_server"}
        try:
            chosen = _detect.wanted(self._plan.gpus, summary["devices"])
        except SettingsError:
            for _, member, _ in used:
                member.close()
            raise
        return {**summary, "chosen": chosen, "reason": None if used else "no_provider"}


class Child:
    """The sampler in a child process, with the same methods as Threads."""

    def __init__(self, plan: Plan, machine: Machine, publish: Callable[[Rows], None]) -> None:
        """Take the plan, the machine to read and a callback for readings."""
        self._publish = publish
        self._task = {"plan": plan._asdict(), "root": str(machine.root)}
        self._environ = dict(machine.environ)
        self._last: Ended = {}

    def start(self) -> _detect.Summary:
        """Start the process; return what it found. Raises SettingsError with its error."""
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "pytest_llamaburn.energy.sampler", json.dumps(self._task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environ,
            start_new_session=True,
        )
        summary = self._line()
        if "error" in summary:
            self.stop()
            raise SettingsError(summary["error"])
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return cast("_detect.Summary", summary)

    def follow(self, port: int | None) -> None:
        """Send the process the server's new port, or None while it has none."""
        assert self._process.stdin is not None  # noqa: S101
        with suppress(OSError):  # it may be gone
            self._process.stdin.write(json.dumps(port).encode() + b"\n")
            self._process.stdin.flush()

    def stop(self) -> Ended:
        """End the process; return its last message."""
        assert self._process.stdin is not None  # noqa: S101
        with suppress(OSError):
            self._process.stdin.close()
        if hasattr(self, "_thread"):
            self._thread.join(PATIENCE_S)
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdout.close()
        return self._last

    def _line(self) -> Document:
        assert self._process.stdout is not None  # noqa: S101
        text = self._process.stdout.readline()
        line: Document = json.loads(text) if text else {"error": "the sampler did not start"}
        return line

    def _follow(self) -> None:
        while "error" not in (line := self._line()):
            if "readings" in line:
                self._publish(line["readings"])
            else:
                self._last = cast("Ended", line)
                return


def _children_s() -> float:
    """Return the processor seconds of ended child processes, such as sensor tools."""
    times = os.times()
    return times.children_user + times.children_system


def main(task: Mapping[str, Any]) -> None:
    """Sample until standard input closes; write each message as one line of JSON.

    Each line of standard input is a new port of the server.
    """
    from pathlib import Path

    lock = threading.Lock()

    def say(**message: object) -> None:
        with lock, suppress(OSError):  # the parent may be gone
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()

    plan = Plan(**task["plan"])
    machine = Machine(root=Path(task["root"]), server_port=plan.port, local=plan.local)
    sampler = Threads(plan, machine, lambda rows: say(readings=rows))
    try:
        summary = sampler.start()
    except LlamaBurnError as err:
        return say(error=str(err))
    say(**summary)
    for line in sys.stdin:
        sampler.follow(json.loads(line))
    return say(**sampler.stop())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
