"""Runs the real command as its users do: a child process, its output kept apart."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from support.processes import run_process

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

COMMAND = (sys.executable, "-m", "pytest_llamaburn")


def run_cli(
    *args: str, cwd: Path, check: int | None = 0, **env: str
) -> subprocess.CompletedProcess[str]:
    """Return the ended command; `check` is the exit code it must have, None for any."""
    done = run_process([*COMMAND, *args], cwd=cwd, env={**os.environ, **env}, text=True)
    if check is not None:
        assert done.returncode == check, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def results_in(directory: Path) -> list[dict[str, Any]]:
    """Return the benchmark files of a results directory, by name."""
    paths = sorted((directory / "benchmarks").glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]
