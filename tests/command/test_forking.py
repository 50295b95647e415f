"""A fork of the command does what a new interpreter does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.command_line import COMMAND
from support.processes import Process, forkable, run_process

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("words", [("results", "list"), ("bogus",), ("schema", "benchmark")])
def test_fork_says_and_returns_the_same(words: tuple[str, ...], tmp_path: Path) -> None:
    argv = [*COMMAND, *words]
    real = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    forked = run_process(argv, cwd=tmp_path, text=True)
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        real.returncode,
        real.stdout,
        real.stderr,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_fork_is_a_child_that_signals_end(number: signal.Signals, tmp_path: Path) -> None:
    argv = [*COMMAND, "status", "--watch", "--interval=10ms", "--host=127.0.0.1:1"]
    with Process[bytes](argv, cwd=tmp_path, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(number)
    assert running.returncode == -number


@pytest.mark.parametrize(
    ("argv", "more", "forks"),
    [
        ([*COMMAND, "schema"], {"HOME": "/nowhere"}, True),
        ([*COMMAND, "schema"], {"PYTHONIOENCODING": "ascii"}, False),
        ([*COMMAND, "schema"], {"LC_ALL": "C"}, False),
        ([sys.executable, "-m", "pytest"], {}, False),
    ],
)
def test_what_the_interpreter_s_start_decides_is_not_forked(
    argv: list[str], more: dict[str, str], forks: bool
) -> None:
    assert forkable(argv, {**os.environ, **more}) is (forks and sys.platform == "linux")
