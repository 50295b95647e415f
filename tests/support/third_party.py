"""A kind of run of another distribution, installed in a directory of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from support import echo_kind

SUITE = """
import pytest


@pytest.mark.llm_echo
def test_echo(llm_echo):
    llm_echo("Say hi.")
"""
ENTRY_POINTS = """\
[llamaburn.kinds]
echo = echo_kind

[pytest11]
echo = echo_kind
"""


def installed(site: Path) -> Path:
    """Install the distribution in a directory and return that, for PYTHONPATH."""
    package, about = site / "echo_kind", site / "echo_kind-1.0.dist-info"
    shutil.copytree(Path(echo_kind.__file__).parent, package)
    (package / "suite").mkdir()
    (package / "suite" / "test_echo.py").write_text(SUITE)
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: echo-kind\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    return site
