"""The sensor readings of a run: which devices count, their energy, and the phase of each sample.

A timeline is built from the facts (`about`) and the readings of one profiler, live or from a
journal. Nanoseconds are on the clock of the requests, `time.perf_counter_ns`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict

from pytest_llamaburn.energy import integrate as energy
from pytest_llamaburn.energy.integrate import Energy, Points, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

HOST = "host"
SERVER = "server"  # the device id of readings that list the devices the server uses
SENSOR_ERRORS = {
    "nvidia": "± 5 to 7 % (the board's sensor compared with a meter)",
    "apple": "unknown: the chip's own model estimates it",
    "cpu": "unvalidated: the package's own counter, without memory",
}
UNVALIDATED = "unvalidated: no public comparison with a meter"
NOT_COUNTED = {
    "not_chosen": "--gpu names other devices",
    "not_used": "the server does not use it",
    "other_scope": "energy of different scopes is not added",
    "other_die": "the sensor of its card's first die covers it",
    "no_power_sensor": "it has no readable power sensor",
    "low_coverage": "its sensor reported no values for a part of the run",
}
IDLE_LOADED, IDLE_BEFORE_LOAD = "idle_loaded", "idle_before_load"
_UTIL_STEP = 20.0
_IDLE_UTIL = 5.0
_PAUSE_NS = 10**9

Reading = tuple[
    str, int, float, dict[str, float]
]  # device, time in ns, duration of the read in ms, values


class Device(TypedDict):
    """A device that a provider found; `covered_by` is the device whose sensor covers it."""

    id: str
    name: str | None
    vendor: str
    scope: str
    power_kind: str | None
    integrated: bool
    covered_by: NotRequired[str | None]


class GpuSample(TypedDict):
    """What was last read of a GPU; None for what was not, or not lately."""

    id: str
    util_pct: float | None
    vram_used_mb: float | None
    vram_total_mb: float | None
    power_w: float | None
    power_limit_w: float | None
    temp_c: float | None
    temp_mem_c: float | None
    clock_mhz: float | None


class Sample(TypedDict):
    """A moment at which the host was read, as `system_profile[]` of result files has it.

    `active` requests were in flight; `phase` names what the run did.
    """

    t_ms: float
    phase: str
    active: int
    cpu_pct: float | None
    ram_used_mb: float | None
    server_cpu_pct: float | None
    server_rss_mb: float | None
    client_cpu_pct: float | None
    client_rss_mb: float | None
    gpus: list[GpuSample]


class Window(NamedTuple):
    """A request on the timeline: when it was sent, its first token, its end, and the load time."""

    sent_ns: int
    first_ns: int | None
    end_ns: int
    load_ms: float | None = None

    def phase(self, t_ns: int) -> str:
        """Return the phase of the request at a time between send and end."""
        if self.load_ms and t_ns < self.sent_ns + self.load_ms * 1e6:
            return "load"
        before_first = self.first_ns is None or t_ns < self.first_ns
        return "prompt_eval" if before_first else "generate"


class Timeline:
    """The readings of one profiler."""

    def __init__(
        self,
        about: Mapping[str, Any],
        readings: Iterable[Sequence[Any]],
        requests: Sequence[Window] = (),
    ) -> None:
        """Take the profiler's facts, its readings, and the requests of that time."""
        self.about = about
        self.requests = sorted(requests)
        self.notes: list[dict[str, str]] = list(about.get("notes", ()))
        self._by_device: dict[str, list[Reading]] = {}
        for reading in readings:
            self._by_device.setdefault(reading[0], []).append(tuple(reading))
        for own in self._by_device.values():
            own.sort(key=lambda reading: reading[1])

    @cached_property
    def began_ns(self) -> int:
        """The time of the first reading; 0 without one."""
        return min((readings[0][1] for readings in self._by_device.values()), default=0)

    @cached_property
    def ended_ns(self) -> int:
        """The time of the last reading; 0 without one."""
        return max((readings[-1][1] for readings in self._by_device.values()), default=0)

    @property
    def devices(self) -> list[Device]:
        """The devices that the providers found."""
        return list(self.about.get("devices", ()))

    @property
    def counted(self) -> list[Device]:
        """The devices whose energy counts."""
        return [device for device in self.devices if self.standing[device["id"]] is None]

    @property
    def not_counted(self) -> list[dict[str, str]]:
        """The other devices, each with a reason, which is a key of NOT_COUNTED."""
        return [{"device": name, "reason": why} for name, why in self.standing.items() if why]

    @cached_property
    def standing(self) -> dict[str, str | None]:
        """Why each device does not count; None for a device that counts.

        GPU boards count, else the chip, else the processors: an integrated GPU is not added to a
        discrete GPU, and a processor is not added to a GPU. The sensors must also cover the run.
        """
        reasons = {device["id"]: self._set_aside(device) for device in self.devices}
        left = [device for device in self.devices if reasons[device["id"]] is None]
        group = _of_one_scope(left)
        reasons |= {d["id"]: "other_scope" for d in left if d not in group}
        for device in group:
            if device["id"] not in self.sources:
                reasons[device["id"]] = "other_die" if _die_of(device) else "no_power_sensor"
        lasting = {name for name in self.sources if reasons[name] is None and self._covers(name)}
        if lasting:
            gone = (name for name, why in reasons.items() if why is None and name not in lasting)
            reasons |= dict.fromkeys(gone, "low_coverage")
        return reasons

    def _set_aside(self, device: Device) -> str | None:
        """Return why a device is excluded (the user or the server uses others), or None."""
        chosen = self.about.get("chosen")
        if chosen:
            return None if device["id"] in chosen else "not_chosen"
        return "not_used" if self._uses.get(device["id"]) is False else None

    @cached_property
    def _uses(self) -> dict[str, bool]:
        """Whether the server used each device, for the devices of which this is known."""
        used: dict[str, bool] = {}
        for _, _, _, uses in self._by_device.get(SERVER, ()):
            for name, use in uses.items():
                used[name] = used.get(name, False) or use > 0
        for device in self.devices:
            if used.get(device["id"]) and _die_of(device):
                used[_die_of(device)] = True
        return used

    def _covers(self, device: str) -> bool:
        """Return whether a device's readings cover the time from the first send to the last end."""
        if not self.requests:
            return True
        share = energy.covered(self.sources[device], *span(self))
        return share >= energy.MIN_COVERAGE

    @property
    def scope(self) -> str | None:
        """The part whose energy is measured: gpu_board, soc or cpu_package."""
        return self.counted[0]["scope"] if self.counted else None

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The source of each device that has one; also notes frozen or implausible sensors."""
        sources = {}
        for device in self.devices:
            name = device["id"]
            power, froze = energy.thawed(self._points(name, "power_w"), self._load_changes(name))
            if froze:
                self._note("frozen_sensor", name, "its power did not change while the load did")
            source = energy.source(power, self._points(name, "energy_j"), device["power_kind"])
            if source is not None:
                sources[name] = source
                if source.rejected:
                    self._note("counter_rejected", name, source.rejected)
        return sources

    @property
    def reason(self) -> str | None:
        """Why there can be no energy, or None."""
        given: str | None = self.about.get("reason")
        if given or not self.devices:
            return given or "no_provider"
        if self.counted:
            return None
        unused = all(why in ("not_used", "not_chosen") for why in self.standing.values())
        return "gpu_not_used" if unused else "unsupported_field"

    def energy(self, start_ns: int, end_ns: int) -> Energy:
        """Return the total energy of the counted devices in a window."""
        if self.reason:
            return Energy(reason=self.reason)
        return energy.measure([self.sources[d["id"]] for d in self.counted], start_ns, end_ns)

    def joules(self, start_ns: int, end_ns: int) -> float:
        """Return the energy of the counted devices for `energy.shared`; `reason` must be None."""
        sources = (self.sources[d["id"]] for d in self.counted)
        return sum((s.counter or s.power).joules(start_ns, end_ns) for s in sources)

    def package_joules(self, start_ns: int, end_ns: int) -> float | None:
        """Return the energy of the processor packages in addition to GPUs; None if unknown."""
        packages = [d["id"] for d in self.devices if d["scope"] == "cpu_package"]
        if self.scope == "cpu_package" or not packages or not self.sources.keys() >= set(packages):
            return None  # the sum of some packages would look like the sum of all
        return energy.measure([self.sources[p] for p in packages], start_ns, end_ns).joules

    def idle_watts(self, phase: str) -> float | None:
        """Return the median power of an idle phase, or None if something used the GPU then."""
        marks = [(a, b) for name, a, b in self.about.get("marks", ()) if name == phase]
        if self.reason or not marks:
            return None
        start, end = marks[-1]
        counted = [d["id"] for d in self.counted]
        util = [v for d in counted for t, v in self._points(d, "util_pct") if start <= t <= end]
        if util and median(util) > _IDLE_UTIL:
            return None
        curves = [self.sources[d].power for d in counted]
        moments = [t for curve in curves for t in curve.inside(start, end)]
        return median(sum(c.watts(t) for c in curves) for t in moments) if moments else None

    def samples(self, origin_ns: int) -> Iterator[Sample]:
        """Yield `system_profile[]`: one entry per reading of the host."""
        gpus = [d for d in self.devices if d["scope"] != "cpu_package"]
        for _, t_ns, _, values in self._by_device.get(HOST, ()):
            phase, active = self._phase(t_ns)
            yield {
                "t_ms": (t_ns - origin_ns) / 1e6,
                "phase": phase,
                "active": active,
                "cpu_pct": values.get("cpu_pct"),
                "ram_used_mb": values.get("ram_used_mb"),
                "server_cpu_pct": values.get("server_cpu_pct"),
                "server_rss_mb": values.get("server_rss_mb"),
                "client_cpu_pct": values.get("client_cpu_pct"),
                "client_rss_mb": values.get("client_rss_mb"),
                "gpus": [self._latest(gpu["id"], t_ns) for gpu in gpus],
            }

    def _phase(self, t_ns: int) -> tuple[str, int]:
        """Return the phase at a time, and the number of requests in flight."""
        by_send, ends = self._in_order
        begun = bisect_right(by_send, t_ns, key=lambda request: request.sent_ns)
        active = begun - bisect_left(ends, t_ns)
        if active > 1:
            return "mixed", active
        if active == 1:
            return next(r for r in reversed(by_send[:begun]) if r.end_ns >= t_ns).phase(t_ns), 1
        marks = self.about.get("marks", ())
        named = next((name for name, a, b in marks if a <= t_ns <= b), None)
        return named or ("cooldown" if ends and t_ns > ends[-1] else "idle"), 0

    @cached_property
    def _in_order(self) -> tuple[list[Window], list[int]]:
        """The requests by send time, and the sorted end times, for fast look-ups."""
        by_send = sorted(self.requests, key=lambda request: request.sent_ns)
        return by_send, sorted(request.end_ns for request in self.requests)

    def _latest(self, device: str, t_ns: int) -> GpuSample:
        """Return a device's last reading; its values are None if it is too old."""
        readings = self._by_device.get(device, [])
        index = bisect_right(readings, t_ns, key=lambda reading: reading[1]) - 1
        fresh = index >= 0 and t_ns - readings[index][1] <= self._patience_ns(device)
        values = readings[index][3] if fresh else {}
        return {
            "id": device,
            "util_pct": values.get("util_pct"),
            "vram_used_mb": values.get("vram_used_mb"),
            "vram_total_mb": values.get("vram_total_mb"),
            "power_w": values.get("power_w"),
            "power_limit_w": values.get("power_limit_w"),
            "temp_c": values.get("temp_c"),
            "temp_mem_c": values.get("temp_mem_c"),
            "clock_mhz": values.get("clock_mhz"),
        }

    def _patience_ns(self, device: str) -> float:
        times = [reading[1] for reading in self._by_device[device]]
        period = median(b - a for a, b in pairwise(times)) if len(times) > 1 else _PAUSE_NS
        return energy.GAP_PERIODS * period

    def _points(self, device: str, name: str) -> Points:
        readings = self._by_device.get(device, ())
        return [(t, values[name]) for _, t, _, values in readings if name in values]

    def _load_changes(self, device: str) -> list[int]:
        """Return when the load on a device changed: by its utilization, or by the requests."""
        loads = self._points(device, "util_pct")
        jumps = [t for (_, a), (t, b) in pairwise(loads) if abs(b - a) >= _UTIL_STEP]
        return jumps + [t for busy in _busy(self.requests) for t in busy]

    def _note(self, code: str, field: str, message: str) -> None:
        self.notes.append({"code": code, "field": field, "message": message})


def _of_one_scope(devices: Sequence[Device]) -> Sequence[Device]:
    """Return the discrete GPU boards, else all devices but processor packages, else all."""
    boards = [d for d in devices if d["scope"] == "gpu_board" and not d["integrated"]]
    return boards or [d for d in devices if d["scope"] != "cpu_package"] or devices


def _die_of(device: Device) -> str:
    """Return the device whose sensor covers this one; empty if it has its own sensor."""
    return device.get("covered_by") or ""


def _busy(requests: Sequence[Window]) -> list[tuple[int, int]]:
    """Return the periods with requests; pauses of less than a second do not separate them."""
    periods: list[tuple[int, int]] = []
    for request in requests:
        if periods and request.sent_ns - periods[-1][1] < _PAUSE_NS:
            periods[-1] = (periods[-1][0], max(periods[-1][1], request.end_ns))
        else:
            periods.append((request.sent_ns, request.end_ns))
    return periods


def span(line: Timeline) -> tuple[int, int]:
    """Return when the first request was sent and when the last one ended, in ns."""
    return line.requests[0].sent_ns, max(request.end_ns for request in line.requests)
