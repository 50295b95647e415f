"""The readings of all processes of a run: energy, idle power, samples, and reasons for gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pytest_llamaburn.energy.integrate import Energy
from pytest_llamaburn.energy.timeline import (
    IDLE_BEFORE_LOAD,
    IDLE_LOADED,
    SENSOR_ERRORS,
    UNVALIDATED,
    Sample,
    Timeline,
    Window,
    span,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_llamaburn.documents import Document, RequestRow

Row = TypeVar("Row", bound="RequestRow")


class Profile:
    """The timelines of a run, one per profiler, and the run's totals."""

    def __init__(
        self,
        entries: Iterable[Mapping[str, Any]],
        rows: Sequence[RequestRow],
        sent: Sequence[Window] = (),
    ) -> None:
        """Take the journal's `profile` entries and its requests, as rows or only their times."""
        about: dict[str, Document] = {}
        readings: dict[str, list[Any]] = {}
        for entry in entries:
            about.setdefault(entry["segment"], {}).update(entry.get("about", {}))
            readings.setdefault(entry["segment"], []).extend(entry.get("readings", ()))
        windows = {name: [_window(r) for r in rows if _segment(r) == name] for name in about}
        for name, own in readings.items():
            times = [reading[1] for reading in own] or [0]
            first, last = min(times), max(times)
            windows[name] += [w for w in sent if first <= w.sent_ns <= last]
        self._timelines = {n: Timeline(about[n], readings[n], windows[n]) for n in about}

    @property
    def timelines(self) -> list[Timeline]:
        """The timelines, ordered by time."""
        return sorted(self._timelines.values(), key=lambda line: int(line.about["wall_ns"]))

    def powered(self, row: Row) -> Row:
        """Return a request's row with its power and energy, or the reasons why they are null."""
        line = self._timelines.get(_segment(row) or "")
        return powered(row, line) if line else row

    def total(self) -> Energy:
        """Return the total energy: of each timeline from its first send to its last end."""
        energies = [line.energy(*span(line)) for line in self._measuring]
        if not energies:
            reasons = [line.reason for line in self.timelines if line.reason]
            return Energy(reason=[*reasons, "no_samples" if self._timelines else "no_provider"][0])
        failed = next((energy for energy in energies if energy.reason), None)
        if failed is not None:
            return failed
        if len({tuple(d["id"] for d in line.counted) for line in self._measuring}) > 1:
            return Energy(reason="devices_differ")
        joules = sum(energy.joules or 0.0 for energy in energies)
        methods = {energy.method for energy in energies}
        return Energy(
            joules,
            joules / self.seconds if self.seconds else None,
            max(energy.peak_watts or 0.0 for energy in energies),
            min(energy.coverage for energy in energies),
            methods.pop() if len(methods) == 1 else "mixed",
        )

    @property
    def seconds(self) -> float:
        """The measured time in seconds."""
        return sum(end - start for start, end in map(span, self._measuring)) / 1e9

    def above_idle_joules(self, total: Energy) -> float | None:
        """Return the energy above idle, with the model in memory; None if unknown."""
        idle = [(line.idle_watts(IDLE_LOADED), span(line)) for line in self._measuring]
        if total.joules is None or any(watts is None for watts, _ in idle):
            return None
        spent = sum((watts or 0.0) * (end - start) / 1e9 for watts, (start, end) in idle)
        return total.joules - spent

    def package_joules(self) -> float | None:
        """Return the energy of the processors in addition to GPUs, or None if unknown."""
        joules = [line.package_joules(*span(line)) for line in self._measuring]
        return sum(j for j in joules if j is not None) if joules and None not in joules else None

    def samples(self) -> list[Sample]:
        """Return `system_profile[]`; `t_ms` counts from the start of the first profiler."""
        samples: list[Sample] = []
        for line in self.timelines:
            later = line.about["wall_ns"] - self.timelines[0].about["wall_ns"]
            samples += line.samples(line.about["perf_ns"] - later)
        return samples

    def minutes(self) -> list[tuple[int, float]]:
        """Return (minute of the local day, measured seconds in it), for prices by time of day."""
        seconds: dict[int, float] = {}
        for line in self._measuring:
            start, end = span(line)
            ahead_ns = line.about["wall_ns"] - line.about["perf_ns"]
            ahead_ns += line.about.get("utc_offset_s", 0) * 10**9
            for t in range(start, end, 10**9):
                minute = (t + ahead_ns) // (60 * 10**9) % (24 * 60)
                seconds[minute] = seconds.get(minute, 0.0) + min(1.0, (end - t) / 1e9)
        return sorted(seconds.items())

    def idle_watts(self, phase: str) -> float | None:
        """Return the last known power of an idle phase."""
        powers = [line.idle_watts(phase) for line in self.timelines]
        return next((watts for watts in reversed(powers) if watts is not None), None)

    @property
    def _measuring(self) -> list[Timeline]:
        return [line for line in self.timelines if line.requests]


_POWERED = ("power_draw_watts", "energy_wh")


def powered(row: Row, line: Timeline) -> Row:
    """Return a request's row with power and energy of its timeline, or why they are null."""
    if row["error"] is not None:
        return row
    window = _window(row)
    energy = line.energy(window.sent_ns, window.end_ns)
    reasons = {k: v for k, v in row["null_reasons"].items() if k not in _POWERED}
    if energy.reason:
        reasons.update(dict.fromkeys(_POWERED, energy.reason))
    measured = row.copy()
    measured["power_draw_watts"], measured["energy_wh"] = energy.watts, energy.wh
    measured["null_reasons"] = reasons
    return measured


def between(lines: Sequence[Timeline], start_ns: int, end_ns: int) -> Energy:
    """Return the energy of a window from the timeline that includes its start."""
    here = [line for line in lines if line.began_ns <= start_ns <= line.ended_ns]
    if here:
        return here[-1].energy(start_ns, end_ns)
    reasons = [line.reason for line in lines if line.reason]
    return Energy(reason=[*reasons, "low_coverage" if lines else "no_provider"][0])


def processes(rows: Iterable[RequestRow]) -> int | None:
    """Return how many processes sent these requests, or None if their rows do not say.

    A resumed run has several processes, and so has a run with workers.
    """
    return len({_segment(row) for row in rows} - {None}) or None


def _segment(row: RequestRow) -> str | None:
    return row["clock"]["segment"] if "clock" in row else None


def _window(row: RequestRow) -> Window:
    clock = row["clock"]
    load_ms = row["load_duration_ms"]
    return Window(clock["sent_ns"], clock["first_ns"], clock["end_ns"], load_ms)


def counted_in(file: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of the devices whose energy a result file counts."""
    return tuple(file.get("telemetry", {}).get("counted", ()))


def unlike(files: Sequence[Mapping[str, Any]]) -> str | None:
    """Return why the energy of two result files cannot be compared, or None if it can.

    On one machine the same devices must count; on two machines, devices of the same scope.
    """
    counted = [counted_in(file) for file in files]
    if not all(counted):
        return None
    machines = {file["environment"].get("fingerprint") for file in files}
    same_machine = len(machines) == 1 and None not in machines
    keys = counted if same_machine else [file["telemetry"]["scope"] for file in files]
    if keys[0] == keys[1]:
        return None
    first, second = (", ".join(ids) for ids in counted)
    return f"the energy of different devices was counted: {first} and {second}"


def facts(profile: Profile, total: Energy) -> Document:
    """Return the `telemetry` of a result file, without the server's own data."""
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
        "notes": [*{(n["code"], n["field"]): n for line in lines for n in line.notes}.values()],
    }
