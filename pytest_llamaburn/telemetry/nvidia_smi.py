"""NVIDIA's command line tool, for a machine with the driver but without the extra [nvidia].

One child process streams CSV: its column names are stable across versions, those of XML are not.
"""

from __future__ import annotations

import csv

from pytest_llamaburn.telemetry._base import Base, Device, Done, Machine, Probe, Reading, Stream
from pytest_llamaburn.telemetry._parsing import number, pci, plausible

_IDENTITY = ("pci.bus_id", "name", "driver_version")
_COLUMNS = {
    "power.draw.instant": ("power_w", 1.0),
    "power.draw": ("power_w", 1.0),
    "utilization.gpu": ("util_pct", 1.0),
    "memory.used": ("vram_used_mb", 1.048576),
    "memory.total": ("vram_total_mb", 1.048576),
    "temperature.gpu": ("temp_c", 1.0),
    "temperature.memory": ("temp_mem_c", 1.0),
    "enforced.power.limit": ("power_limit_w", 1.0),
    "clocks.sm": ("clock_mhz", 1.0),
}
_PERIOD_MS = 100
_AVERAGING = (
    8.6  # compute capability since which power.draw is a mean over one second; 8.0 is older
)


class Provider(Base):
    """nvidia-smi: power, utilization, memory, temperature, clock; it has no energy counter."""

    vendor = "nvidia"
    rank = 1
    min_period_s = _PERIOD_MS / 1e3

    def __init__(self, machine: Machine) -> None:
        """Take the machine; the tool is searched on its PATH."""
        super().__init__(machine)
        self._columns: list[str] = []
        self._power: dict[str, str] = {}
        self._stream: Stream | None = None

    def probe(self) -> Probe:
        """List the GPUs and the columns that this version knows, then start to stream."""
        tool = self.machine.tool("nvidia-smi")
        if tool is None:
            return Probe(ok=False, reason="no_tool", message="nvidia-smi is not on PATH")
        known = self.machine.run([tool, "--help-query-gpu"]).stdout
        self._columns = [c for c in _COLUMNS if f'"{c}"' in known] or [*_COLUMNS][1:]
        identity = [*_IDENTITY, *(c for c in ("compute_cap", "uuid") if f'"{c}"' in known)]
        done = self.machine.run([tool, _query([*identity, *self._columns]), *_FORM])
        rows = _rows(done.stdout, len(identity) + len(self._columns))
        if not rows:
            return Probe(ok=False, reason="no_data", message=_complaint(done))
        now = self.machine.clock()
        facts = [dict(zip([*identity, *self._columns], row, strict=True)) for row in rows]
        devices = [self._device(fact) for fact in facts]
        readings = [self._reading([row[0], *row[len(identity) :]], now) for row in rows]
        version = facts[0]["driver_version"]
        probe = self.probed(readings, devices, version, "nvidia-smi reports no value for any GPU")
        if probe.ok:
            self._stream = Stream(
                self.machine,
                [tool, _query(["pci.bus_id", *self._columns]), *_FORM, f"--loop-ms={_PERIOD_MS}"],
            )
        return probe

    def read(self) -> list[Reading]:
        """Return the tool's readings since the last call; none once it has ended."""
        readings = []
        for t_ns, line in self._stream.lines() if self._stream else ():
            readings += [self._reading(row, t_ns) for row in _rows(line, 1 + len(self._columns))]
        if self._stream and self._stream.ended:
            self.note("provider_ended", "power_w", "nvidia-smi ended: there are no more readings")
        return readings

    def close(self) -> None:
        """End the tool."""
        if self._stream is not None:
            self._stream.close()

    def _reading(self, row: list[str], t_ns: int) -> Reading:
        raw: dict[str, float | None] = {}
        own_id = pci(row[0]) or row[0]
        for column, text in zip(self._columns, row[1:], strict=True):
            field, scale = _COLUMNS[column]
            if field != "power_w" or column == self._power.get(own_id):
                raw[field] = number(text, scale)
        return Reading(own_id, t_ns, 0.0, plausible(self, raw))

    def _device(self, fact: dict[str, str]) -> Device:
        """Return a GPU; decide which of the two power columns is read from now on."""
        own_id = pci(fact["pci.bus_id"]) or fact["pci.bus_id"]
        instant = number(fact.get("power.draw.instant")) is not None
        self._power[own_id] = "power.draw.instant" if instant else "power.draw"
        generation = number(fact.get("compute_cap"))
        averages = generation is None or generation >= _AVERAGING
        unified = number(fact.get("memory.total")) is None
        return Device(
            own_id,
            fact.get("name"),
            "nvidia",
            power_kind="instant" if instant or not averages else "avg_1s",
            memory_kind="unified" if unified else "vram",
            uuid=fact.get("uuid"),
        )


_FORM = ("--format=csv,noheader,nounits",)


def _query(columns: list[str]) -> str:
    return f"--query-gpu={','.join(columns)}"


def _rows(text: str, width: int) -> list[list[str]]:
    """Return the complete rows of the table; warnings and incomplete lines are skipped."""
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in rows if len(row) == width]


def _complaint(done: Done) -> str:
    words = done.problem or (done.stderr or done.stdout).strip().partition("\n")[0]
    return f"nvidia-smi: {words or f'no output, exit code {done.code}'}"
