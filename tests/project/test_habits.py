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

MOST_LINES = 400
LONGER = {
    "capacity/search.py": "the state of one search and all that reads it",
    "capacity/loops.py": "the searches of closed and of open loops, which share that state",
    "sandbox/_remote.py": "the confined process loads it by its path, as one file",
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


def test_no_file_is_long_without_a_reason() -> None:
    package = ROOT / "pytest_llamaburn"
    lines = {
        str(path.relative_to(package)): len(path.read_text("utf-8").splitlines())
        for path in package.rglob("*.py")
    }
    assert {name for name, count in lines.items() if count > MOST_LINES} == LONGER.keys()
