"""What the sensors said over a run: which devices count, what they took, what each moment was.

A timeline is made of one profiler's words (`about`) and readings, live or from a journal.
Nanoseconds are those of `time.perf_counter_ns`, as requests have them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.energy import integrate as energy
from pytest_llamaburn.energy.integrate import Energy, Points, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

HOST = "host"
SERVER = "server"  # whose readings say which devices it uses
GPU_VALUES = (
    *("util_pct", "vram_used_mb", "vram_total_mb", "power_w"),
    *("power_limit_w", "temp_c", "temp_mem_c", "clock_mhz"),
)
HOST_VALUES = (
    *("cpu_pct", "ram_used_mb", "server_cpu_pct", "server_rss_mb"),
    *("client_cpu_pct", "client_rss_mb"),
)
SENSOR_ERRORS = {
    "nvidia": "± 5 to 7 % (the board's own sensor against a meter)",
    "apple": "unknown: a model of the chip estimates it",
    "cpu": "unvalidated: the package's own counter, without memory",
}
UNVALIDATED = "unvalidated: no public comparison with a meter"
NOT_COUNTED = {
    "not_chosen": "--gpu names others",
    "not_used": "the server does not use it",
    "other_scope": "energy of different scopes is not added",
    "other_die": "the sensor of the first die of its card covers it",
    "no_power_sensor": "it has no power sensor that can be read",
    "low_coverage": "its sensor was silent for a part of the run",
}
IDLE_LOADED, IDLE_BEFORE_LOAD = "idle_loaded", "idle_before_load"
_UTIL_STEP = 20.0
_IDLE_UTIL = 5.0
_PAUSE_NS = 10**9

Reading = tuple[str, int, float, dict[str, float]]  # device, ns, ms the read took, values there are


class Window(NamedTuple):
    """A request on the timeline: sent, its first token, its end, and the server's loading time."""

    sent_ns: int
    first_ns: int | None
    end_ns: int
    load_ms: float | None = None

    def phase(self, t_ns: int) -> str:
        """Return what it was doing at a moment between send and end."""
        if self.load_ms and t_ns < self.sent_ns + self.load_ms * 1e6:
            return "load"
        before_first = self.first_ns is None or t_ns < self.first_ns
        return "prompt_eval" if before_first else "generate"


class Timeline:
    """The readings of one profiler, from its start to its end."""

    def __init__(
        self,
        about: Mapping[str, Any],
        readings: Iterable[Sequence[Any]],
        requests: Sequence[Window] = (),
    ) -> None:
        """Take what the profiler says of itself, its readings, and the requests of that time."""
        self.about = about
        self.requests = sorted(requests)
        self.notes: list[dict[str, str]] = list(about.get("notes", ()))
        self._by_device: dict[str, list[Reading]] = {}
        for reading in readings:
            self._by_device.setdefault(reading[0], []).append(tuple(reading))
        for found in self._by_device.values():
            found.sort(key=lambda reading: reading[1])

    @cached_property
    def began_ns(self) -> int:
        """When the first reading was; 0 without one."""
        return min((found[0][1] for found in self._by_device.values()), default=0)

    @cached_property
    def ended_ns(self) -> int:
        """When the last reading was; 0 without one."""
        return max((found[-1][1] for found in self._by_device.values()), default=0)

    @property
    def devices(self) -> list[dict[str, Any]]:
        """The devices that the providers found."""
        return list(self.about.get("devices", ()))

    @property
    def counted(self) -> list[dict[str, Any]]:
        """The devices whose energy is the run's: those that have nothing against them."""
        return [device for device in self.devices if self.standing[device["id"]] is None]

    @property
    def not_counted(self) -> list[dict[str, str]]:
        """The other devices, each with its reason, a key of NOT_COUNTED."""
        return [{"device": name, "reason": why} for name, why in self.standing.items() if why]

    @cached_property
    def standing(self) -> dict[str, str | None]:
        """Why each device does not count, None for those that do.

        GPU boards count, else the chip, else the processors: an integrated GPU is not added to a
        discrete one, nor a processor to any GPU. Of these, those count whose sensors cover the run.
        """
        found = {device["id"]: self._set_aside(device) for device in self.devices}
        left = [device for device in self.devices if found[device["id"]] is None]
        group = _of_one_scope(left)
        found |= {d["id"]: "other_scope" for d in left if d not in group}
        for device in group:
            if device["id"] not in self.sources:
                found[device["id"]] = "other_die" if _die_of(device) else "no_power_sensor"
        lasting = {name for name in self.sources if found[name] is None and self._covers(name)}
        if lasting:
            gone = (name for name, why in found.items() if why is None and name not in lasting)
            found |= dict.fromkeys(gone, "low_coverage")
        return found

    def _set_aside(self, device: Mapping[str, Any]) -> str | None:
        """Return why a device is out of question: the user chose others, or the server did."""
        chosen = self.about.get("chosen")
        if chosen:
            return None if device["id"] in chosen else "not_chosen"
        return "not_used" if self._uses.get(device["id"]) is False else None

    @cached_property
    def _uses(self) -> dict[str, bool]:
        """Whether the server was seen to use each device of which that is known."""
        found: dict[str, bool] = {}
        for _, _, _, uses in self._by_device.get(SERVER, ()):
            for name, use in uses.items():
                found[name] = found.get(name, False) or use > 0
        for device in self.devices:
            if found.get(device["id"]) and _die_of(device):
                found[_die_of(device)] = True
        return found

    def _covers(self, device: str) -> bool:
        """Return whether a device's readings cover the time from the first send to the last end."""
        if not self.requests:
            return True
        share = energy.covered(self.sources[device], *_span(self))
        return share >= energy.MIN_COVERAGE

    @property
    def scope(self) -> str | None:
        """What the energy is of: gpu_board, soc or cpu_package."""
        return self.counted[0]["scope"] if self.counted else None

    @cached_property
    def sources(self) -> dict[str, Source]:
        """What can be integrated, by device; makes the notes on sensors that froze or lied."""
        found = {}
        for device in self.devices:
            name = device["id"]
            power, froze = energy.thawed(self._points(name, "power_w"), self._load_changes(name))
            if froze:
                self._note("frozen_sensor", name, "its power stood still while the load changed")
            made = energy.source(power, self._points(name, "energy_j"), device["power_kind"])
            if made is not None:
                found[name] = made
                if made.rejected:
                    self._note("counter_rejected", name, made.rejected)
        return found

    @property
    def reason(self) -> str | None:
        """Why there is no energy at all, None where there may be some."""
        given: str | None = self.about.get("reason")
        if given or not self.devices:
            return given or "no_provider"
        if self.counted:
            return None
        unused = all(why in ("not_used", "not_chosen") for why in self.standing.values())
        return "gpu_not_used" if unused else "unsupported_field"

    def energy(self, start_ns: int, end_ns: int) -> Energy:
        """Return what the counted devices took together in a window."""
        if self.reason:
            return Energy(reason=self.reason)
        return energy.measure([self.sources[d["id"]] for d in self.counted], start_ns, end_ns)

    def joules(self, start_ns: int, end_ns: int) -> float:
        """Return the counted devices' energy for `energy.shared`, where `reason` is None."""
        counted = (self.sources[d["id"]] for d in self.counted)
        return sum((one.counter or one.power).joules(start_ns, end_ns) for one in counted)

    def package_joules(self, start_ns: int, end_ns: int) -> float | None:
        """Return what the processor packages took beside the GPUs; None where it is not known."""
        packages = [d["id"] for d in self.devices if d["scope"] == "cpu_package"]
        if self.scope == "cpu_package" or not packages or not self.sources.keys() >= set(packages):
            return None  # a total of some of them would look like one of all
        return energy.measure([self.sources[p] for p in packages], start_ns, end_ns).joules

    def idle_watts(self, phase: str) -> float | None:
        """Return the median power of an idle phase, None where something used the GPU in it."""
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

    def samples(self, origin_ns: int) -> Iterator[dict[str, Any]]:
        """Yield `system_profile[]`: one entry each time the host was read."""
        gpus = [d for d in self.devices if d["scope"] != "cpu_package"]
        for _, t_ns, _, values in self._by_device.get(HOST, ()):
            phase, active = self._phase(t_ns)
            yield {
                "t_ms": (t_ns - origin_ns) / 1e6,
                "phase": phase,
                "active": active,
                **{name: values.get(name) for name in HOST_VALUES},
                "gpus": [self._latest(gpu["id"], t_ns) for gpu in gpus],
            }

    def _phase(self, t_ns: int) -> tuple[str, int]:
        """Return what was going on at a moment, and how many requests were in flight."""
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
        """The requests by when they were sent, and when they ended: for quick look-ups."""
        by_send = sorted(self.requests, key=lambda request: request.sent_ns)
        return by_send, sorted(request.end_ns for request in self.requests)

    def _latest(self, device: str, t_ns: int) -> dict[str, Any]:
        """Return a device's last reading unless it is old: a value is never repeated for long."""
        readings = self._by_device.get(device, [])
        index = bisect_right(readings, t_ns, key=lambda reading: reading[1]) - 1
        fresh = index >= 0 and t_ns - readings[index][1] <= self._patience_ns(device)
        values = readings[index][3] if fresh else {}
        return {"id": device, **{name: values.get(name) for name in GPU_VALUES}}

    def _patience_ns(self, device: str) -> float:
        times = [reading[1] for reading in self._by_device[device]]
        period = median(b - a for a, b in pairwise(times)) if len(times) > 1 else _PAUSE_NS
        return energy.GAP_PERIODS * period

    def _points(self, device: str, name: str) -> Points:
        readings = self._by_device.get(device, ())
        return [(t, values[name]) for _, t, _, values in readings if name in values]

    def _load_changes(self, device: str) -> list[int]:
        """Return when the load on a device changed: by its own count, or requests came and went."""
        loads = self._points(device, "util_pct")
        jumps = [t for (_, a), (t, b) in pairwise(loads) if abs(b - a) >= _UTIL_STEP]
        return jumps + [t for busy in _busy(self.requests) for t in busy]

    def _note(self, code: str, field: str, message: str) -> None:
        self.notes.append({"code": code, "field": field, "message": message})


def _of_one_scope(devices: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Return the GPU boards among devices, else what is no processor package, else all."""
    boards = [d for d in devices if d["scope"] == "gpu_board" and not d["integrated"]]
    return boards or [d for d in devices if d["scope"] != "cpu_package"] or devices


def _die_of(device: Mapping[str, Any]) -> str:
    """Return the device whose sensor covers this one, empty if it has its own."""
    return device.get("covered_by") or ""


def _busy(requests: Sequence[Window]) -> list[tuple[int, int]]:
    """Return the times when there were requests, pauses under a second left in."""
    found: list[tuple[int, int]] = []
    for request in requests:
        if found and request.sent_ns - found[-1][1] < _PAUSE_NS:
            found[-1] = (found[-1][0], max(found[-1][1], request.end_ns))
        else:
            found.append((request.sent_ns, request.end_ns))
    return found


class Profile:
    """The timelines of a run, one for each time a profiler ran, and the run's totals."""

    def __init__(
        self,
        entries: Iterable[Mapping[str, Any]],
        rows: Sequence[Mapping[str, Any]],
        sent: Sequence[Window] = (),
    ) -> None:
        """Take the journal's `profile` entries, and its requests: rows, or `sent` by time alone."""
        about: dict[str, dict[str, Any]] = {}
        readings: dict[str, list[Any]] = {}
        for entry in entries:
            about.setdefault(entry["segment"], {}).update(entry.get("about", {}))
            readings.setdefault(entry["segment"], []).extend(entry.get("readings", ()))
        windows = {name: [_window(r) for r in rows if _segment(r) == name] for name in about}
        for name, found in readings.items():
            times = [reading[1] for reading in found] or [0]
            first, last = min(times), max(times)
            windows[name] += [w for w in sent if first <= w.sent_ns <= last]
        self._timelines = {n: Timeline(about[n], readings[n], windows[n]) for n in about}

    @property
    def timelines(self) -> list[Timeline]:
        """The timelines in the order of time."""
        return sorted(self._timelines.values(), key=lambda line: int(line.about["wall_ns"]))

    def powered(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a request's row with its power and energy, or why they are null."""
        line = self._timelines.get(_segment(row) or "")
        return powered(row, line) if line else row

    def total(self) -> Energy:
        """Return the energy of all measuring: in each timeline from first send to last end."""
        found = [line.energy(*_span(line)) for line in self._measuring]
        if not found:
            reasons = [line.reason for line in self.timelines if line.reason]
            return Energy(reason=[*reasons, "no_samples" if self._timelines else "no_provider"][0])
        failed = next((one for one in found if one.reason), None)
        if failed is not None:
            return failed
        if len({tuple(d["id"] for d in line.counted) for line in self._measuring}) > 1:
            return Energy(reason="devices_differ")
        joules = sum(one.joules or 0.0 for one in found)
        methods = {one.method for one in found}
        return Energy(
            joules,
            joules / self.seconds if self.seconds else None,
            max(one.peak_watts or 0.0 for one in found),
            min(one.coverage for one in found),
            methods.pop() if len(methods) == 1 else "mixed",
        )

    @property
    def seconds(self) -> float:
        """How long was measured."""
        return sum(end - start for start, end in map(_span, self._measuring)) / 1e9

    def above_idle_joules(self, total: Energy) -> float | None:
        """Return what the run took over what idling would have taken, the model in memory."""
        idle = [(line.idle_watts(IDLE_LOADED), _span(line)) for line in self._measuring]
        if total.joules is None or any(watts is None for watts, _ in idle):
            return None
        spent = sum((watts or 0.0) * (end - start) / 1e9 for watts, (start, end) in idle)
        return total.joules - spent

    def package_joules(self) -> float | None:
        """Return what the processors took beside the GPUs."""
        found = [line.package_joules(*_span(line)) for line in self._measuring]
        return sum(j for j in found if j is not None) if found and None not in found else None

    def samples(self) -> list[dict[str, Any]]:
        """Return `system_profile[]`; `t_ms` counts from the start of the first profiler."""
        found: list[dict[str, Any]] = []
        for line in self.timelines:
            later = line.about["wall_ns"] - self.timelines[0].about["wall_ns"]
            found += line.samples(line.about["perf_ns"] - later)
        return found

    def minutes(self) -> list[tuple[int, float]]:
        """Return (minute of the local day, seconds measured in it), for prices by the hour."""
        found: dict[int, float] = {}
        for line in self._measuring:
            start, end = _span(line)
            ahead_ns = line.about["wall_ns"] - line.about["perf_ns"]
            ahead_ns += line.about.get("utc_offset_s", 0) * 10**9
            for t in range(start, end, 10**9):
                minute = (t + ahead_ns) // (60 * 10**9) % (24 * 60)
                found[minute] = found.get(minute, 0.0) + min(1.0, (end - t) / 1e9)
        return sorted(found.items())

    def idle_watts(self, phase: str) -> float | None:
        """Return the last known power of an idle phase."""
        found = [line.idle_watts(phase) for line in self.timelines]
        return next((watts for watts in reversed(found) if watts is not None), None)

    @property
    def _measuring(self) -> list[Timeline]:
        return [line for line in self.timelines if line.requests]


_POWERED = ("power_draw_watts", "energy_wh")


def powered(row: dict[str, Any], line: Timeline) -> dict[str, Any]:
    """Return a request's row with power and energy from its timeline, or why they are null."""
    if row["error"] is not None:
        return row
    window = _window(row)
    found = line.energy(window.sent_ns, window.end_ns)
    reasons = {k: v for k, v in row["null_reasons"].items() if k not in _POWERED}
    if found.reason:
        reasons.update(dict.fromkeys(_POWERED, found.reason))
    values = {"power_draw_watts": found.watts, "energy_wh": found.wh}
    return {**row, **values, "null_reasons": reasons}


def between(lines: Sequence[Timeline], start_ns: int, end_ns: int) -> Energy:
    """Return the energy of a window from the timeline that was there at its start."""
    here = [line for line in lines if line.began_ns <= start_ns <= line.ended_ns]
    if here:
        return here[-1].energy(start_ns, end_ns)
    reasons = [line.reason for line in lines if line.reason]
    return Energy(reason=[*reasons, "low_coverage" if lines else "no_provider"][0])


def processes(rows: Iterable[Mapping[str, Any]]) -> int | None:
    """Return how many processes sent these requests, None where their rows do not say.

    A run that was cut and continued has several, as has one that workers share.
    """
    return len({_segment(row) for row in rows} - {None}) or None


def _segment(row: Mapping[str, Any]) -> str | None:
    return (row.get("clock") or {}).get("segment")


def _window(row: Mapping[str, Any]) -> Window:
    clock = row["clock"]
    load_ms = row["load_duration_ms"]
    return Window(clock["sent_ns"], clock["first_ns"], clock["end_ns"], load_ms)


def _span(line: Timeline) -> tuple[int, int]:
    return line.requests[0].sent_ns, max(request.end_ns for request in line.requests)


def counted_in(file: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the devices whose energy a result file has."""
    return tuple(file.get("telemetry", {}).get("counted", ()))


def unlike(files: Sequence[Mapping[str, Any]]) -> str | None:
    """Return why the energy of two result files cannot be compared, None where it can.

    On one machine the same devices must count. Other machines have others, of the same scope.
    """
    counted = [counted_in(file) for file in files]
    if not all(counted):
        return None
    machines = {file["environment"].get("fingerprint") for file in files}
    alone = len(machines) == 1 and None not in machines
    alike = counted if alone else [file["telemetry"]["scope"] for file in files]
    if alike[0] == alike[1]:
        return None
    first, second = (", ".join(ids) for ids in counted)
    return f"energy was counted of different devices: {first} and {second}"


def facts(profile: Profile, total: Energy) -> dict[str, Any]:
    """Return the `telemetry` of a result file, but for what the server said."""
    lines = profile.timelines
    last = lines[-1].about if lines else {}
    devices = lines[-1].devices if lines else []
    counted = lines[-1].counted if lines else []
    used = [p for p in last.get("providers", ()) if p["devices"]]
    vendors = dict.fromkeys(d["vendor"] for d in counted)
    loops = [loop for line in lines for loop in line.about.get("loops", ())]
    return {
        "provider": "+".join(p["name"] for p in used) or None,
        "provider_version": ", ".join(p["version"] for p in used if p["version"]) or None,
        "scope": lines[-1].scope if lines else None,
        "reason": total.reason,
        "devices": devices,
        "counted": [d["id"] for d in counted],
        "not_counted": lines[-1].not_counted if lines else [],
        "power_kind": ", ".join(dict.fromkeys(d["power_kind"] or "none" for d in counted)) or None,
        "sensor_error": "; ".join(SENSOR_ERRORS.get(v, UNVALIDATED) for v in vendors) or None,
        "measurement_method": total.method,
        "coverage": total.coverage if total.joules is not None else None,
        "server_location": last.get("server_location"),
        "cpu_pct_of": last.get("cpu_pct_of"),
        "interval_ms": last.get("interval_ms"),
        "power_interval_ms": last.get("power_interval_ms"),
        "missed_ticks": sum(loop["missed_ticks"] for loop in loops) if loops else None,
        "idle_power_before_load_w": profile.idle_watts(IDLE_BEFORE_LOAD),
        "idle_power_w": profile.idle_watts(IDLE_LOADED),
        "profiler": {
            "sampler": last.get("sampler"),
            "cpu_pct_of_one_core": last.get("cpu_pct"),
            "loops": loops,
        },
        "probes": list(last.get("probes", ())),
        "notes": _notes(lines),
    }


def _notes(lines: Sequence[Timeline]) -> list[dict[str, str]]:
    """Return all notes once."""
    found = {(n["code"], n["field"]): n for line in lines for n in line.notes}
    return list(found.values())
