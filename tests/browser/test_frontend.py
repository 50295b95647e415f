"""The page's own checks: its types, and the unit tests of what it computes."""

from __future__ import annotations

import os
import subprocess

import pytest

from pytest_llamaburn.web import bundle


@pytest.mark.parametrize("script", ["check", "test"])
def test_the_pages_own_checks_pass(script: str) -> None:
    npm = bundle.npm()
    if npm is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(bundle.HOW)
    bundle.ensure()  # which installs what the checks need
    done = subprocess.run(
        [*npm, "run", "--silent", script],
        cwd=bundle.SOURCES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
