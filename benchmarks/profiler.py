"""Measure the cost of the profiler, and whether it keeps its schedule next to a busy event loop.

An event loop in the main thread decodes large JSON without a pause and holds Python's global lock.
Meanwhile the profiler reads the host and a fake AMD GPU (real files), in a thread and then in a
process. Both are repeated with an idle event loop, which shows the profiler's own cost.

Goals: at most 1 % of one core; no drift: the last reading is within one period of its scheduled
time. Late readings count as missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from _report import Line, report

from pytest_llamaburn.energy.profiler import Profiler
from pytest_llamaburn.option import model_of
from pytest_llamaburn.settings import Run
from pytest_llamaburn.telemetry._base import Machine

_FILES = {
    "vendor": "0x1002",
    "uevent": "PCI_SLOT_NAME=0000:03:00.0",
    "gpu_busy_percent": "42",
    "mem_info_vram_used": "8000000000",
    "mem_info_vram_total": "16000000000",
    "power/runtime_status": "active",
    "hwmon/hwmon0/power1_average": "150000000",
    "hwmon/hwmon0/power1_cap": "300000000",
    "hwmon/hwmon0/temp1_input": "60000",
}
_PERIOD_NS = 100_000_000
_TEXT = json.dumps([{"token": "word", "n": n} for n in range(200_000)])


def main() -> int:
    """Measure all four; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        _plant(Path(folder))
        for sampler in ("thread", "process"):
            for load in (_idle, _busy):
                missed |= _measure(Path(folder), sampler, load, seconds)
    return missed


def _plant(root: Path) -> None:
    for name, text in _FILES.items():
        path = root / "sys/class/drm/card0/device" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


async def _idle(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _busy(seconds: float) -> None:
    until = perf_counter() + seconds
    while perf_counter() < until:
        json.loads(_TEXT)
        await asyncio.sleep(0)


def _measure(root: Path, sampler: str, load: Any, seconds: float) -> int:
    settings: Any = model_of(Run)(sampler=sampler)
    profiler = Profiler(settings, machine=Machine(root=root)).start()
    asyncio.run(load(seconds))
    profiler.stop()
    line = profiler.timeline()
    times = line.sources["03:00.0"].power.times
    steps = [(b - a) / 1e6 for a, b in pairwise(times[:-1])]  # the last reading is at the stop
    off = (times[-2] - times[0] + _PERIOD_NS // 2) % _PERIOD_NS - _PERIOD_NS // 2
    loops = {loop["provider"]: loop for loop in line.about["loops"]}
    busy = load is _busy
    lines = [
        Line("cost", line.about["cpu_pct"], "%", None if busy else 1.0),
        Line("off the schedule after all", abs(off) / 1e6, "ms", None if busy else 100.0),
        Line("median time between readings", median(steps), "ms"),
        Line("longest", max(steps), "ms"),
        Line("readings", loops["amd-sysfs"]["reads"], ""),
        Line("missed ticks", loops["amd-sysfs"]["missed_ticks"], ""),
    ]
    name = "busy" if busy else "idle"
    return report(f"{sampler} beside a loop that is {name}, {seconds:g} s", lines)


if __name__ == "__main__":
    sys.exit(main())
