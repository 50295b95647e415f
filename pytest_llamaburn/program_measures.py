"""What is measured of programs that answers have: how they draw and run."""

from __future__ import annotations

from pytest_llamaburn.measures import STATISTICS, Measure

_PROGRAMS = {
    "fps": ("frames/s", "higher", "frames with draw calls / their time, after a warm-up of 1 s"),
    "frame_time_p95_ms": ("ms", "lower", "95th percentile of the time between two such frames"),
    "program_runtime_ms": (
        *("ms", "lower"),
        (
            "run time of a program with all of its tests; of a whole program from start to end, "
            "with the start of Node, without compiling"
        ),
    ),
    "program_peak_memory_mb": (
        *("MB", "lower"),
        (
            "largest resident memory of a program's process, with its interpreter, as the kernel "
            "counts it (VmHWM)"
        ),
    ),
}
PROGRAMS = tuple(
    Measure(
        *(name, unit, better, f"{formula}; of right answers", "scorer"),
        key=f"results.programs.measured.{name}",
        statistics=STATISTICS,
    )
    for name, (unit, better, formula) in _PROGRAMS.items()
)
