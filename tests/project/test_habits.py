"""The project's own rules, as its tools check them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKS = {
    "ruff's rules": ["ruff", "check", "."],
    "ruff's format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_source_keeps(name: str) -> None:
    assert_succeeds([sys.executable, "-m", *CHECKS[name]])


def test_imports_point_downwards() -> None:
    assert_succeeds(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    )


def assert_succeeds(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
