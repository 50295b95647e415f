"""What the tests of the page need: Debian's Chromium, Playwright, and npm to build the page."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

import pytest

from pytest_llamaburn.web import bundle

PATH = shutil.which("chromium") or "/usr/bin/chromium"


def missing() -> str | None:
    """Return why there is no browser or no page, or None."""
    if find_spec("playwright") is None:
        return "no browser: pip install playwright"
    if not os.access(PATH, os.X_OK):
        return "no browser: apt install chromium"
    try:
        bundle.ensure()
    except bundle.BundleError as err:
        return str(err)
    return None


def require() -> None:
    """Skip the test where something is missing, but fail it in CI."""
    reason = missing()
    if reason:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
