"""Check that memory use stays constant: resident memory of the real command under sustained load.

The slope is the Theil–Sen slope of the readings after minute two. Goal: at most 5 MB per hour with
200 streams for 15 minutes; `--minutes 4` is a shorter form.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from statistics import median

import psutil
from _report import Line, report

from pytest_llamaburn.load._metronome import Schedule, Server

_EVERY_S = 2.0
_SETTLED_S = 120.0


def main() -> int:
    """Measure; return 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=15.0)
    chosen = parser.parse_args()
    with Server(Schedule(0.05, 50.0, 50)) as server, tempfile.TemporaryDirectory() as results:
        samples = watch(
            "--backend=openai",
            "--mode=sustained",
            f"--host={server.url}",
            f"--concurrency={chosen.streams}",
            f"--duration={chosen.minutes}m",
            f"--results-dir={results}",
        )
    if not samples:
        raise SystemExit("the command failed: see its output")
    settled = [(t, mb) for t, mb in samples if t > min(_SETTLED_S, samples[-1][0] / 2)]
    lines = [
        Line("resident memory at the end", settled[-1][1], "MB"),
        Line("slope", slope(settled) * 3600, "MB per hour", 5.0),
    ]
    return report(f"{chosen.streams} streams, {chosen.minutes:g} minutes", lines)


def watch(*args: str) -> list[tuple[float, float]]:
    """Return (seconds, resident MB) readings of the command while it sends."""
    command = [sys.executable, "-m", "pytest_llamaburn", "stress", "scheduled", *args]
    began, found = time.monotonic(), []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        process = psutil.Process(running.pid)
        while running.poll() is None:
            found.append((time.monotonic() - began, process.memory_info().rss / 1e6))
            time.sleep(_EVERY_S)
    return found[: -int(10 / _EVERY_S)]  # at the end it writes the result file


def slope(samples: list[tuple[float, float]]) -> float:
    """Return the median slope between all pairs, in MB per second."""
    thinned = samples[:: max(1, len(samples) // 300)]
    return median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(thinned, 2))


if __name__ == "__main__":
    sys.exit(main())
