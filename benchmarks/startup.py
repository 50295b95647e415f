"""Measure the start-up cost of LlamaBurn: `llamaburn --help`, and a pytest session without its use.

Help is compared with an empty Python; the session (one trivial test) with our plugin is compared
with the same session without it, in turns. Other plugins are off: they take a hundred times as long
and vary more. Goals: 80 ms and 5 ms.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.metadata import entry_points
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from _report import Line, report

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_EMPTY = [sys.executable, "-c", "pass"]
_HELP = [str(Path(sys.executable).with_name("llamaburn")), "--help"]
_OTHERS = sorted({found.name for found in entry_points(group="pytest11")} - {"llamaburn"})
_PYTEST = [sys.executable, "-m", "pytest", "-q", *(f"-pno:{n}" for n in _OTHERS)]


def main() -> int:
    """Measure both; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=25)
    pairs = parser.parse_args().pairs
    return _help(pairs) | _session(pairs)


def _help(pairs: int) -> int:
    empty, ours = _alternate(_EMPTY, _HELP, Path.cwd(), pairs)
    lines = [
        Line("python -c pass, best", min(empty), "ms"),
        Line("python -c pass, median", median(empty), "ms"),
        Line("llamaburn --help, best", min(ours), "ms"),
        Line("llamaburn --help, median", median(ours), "ms"),
        Line("difference of the best", min(ours) - min(empty), "ms", 80),
        Line("median difference of a pair", _paired(empty, ours), "ms", 80),
    ]
    return report(f"llamaburn --help, {pairs} pairs", lines)


def _session(pairs: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_trivial.py").write_text("def test_trivial() -> None:\n    pass\n")
        without, ours = _alternate([*_PYTEST, "-pno:llamaburn"], _PYTEST, Path(folder), pairs)
    lines = [
        Line("without, median", median(without), "ms"),
        Line("with us, median", median(ours), "ms"),
        Line("difference of the best", min(ours) - min(without), "ms"),
        Line("median difference of a pair", _paired(without, ours), "ms", 5),
    ]
    return report(f"an unrelated pytest session, {pairs} pairs", lines)


def _alternate(
    first: list[str], second: list[str], folder: Path, pairs: int
) -> tuple[list[float], list[float]]:
    """Return the wall times of both commands in ms; every pair has the reverse order."""
    for command in (first, second):
        _wall_ms(command, folder)
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(pairs):
        for which in (0, 1) if turn % 2 else (1, 0):
            taken[which].append(_wall_ms((first, second)[which], folder))
    return taken


def _wall_ms(command: list[str], folder: Path) -> float:
    started = perf_counter()
    subprocess.run(command, cwd=folder, env=_ENVIRON, stdout=subprocess.DEVNULL, check=True)
    return (perf_counter() - started) * 1e3


def _paired(base: Sequence[float], other: Sequence[float]) -> float:
    return median(b - a for a, b in zip(base, other, strict=True))


if __name__ == "__main__":
    sys.exit(main())
