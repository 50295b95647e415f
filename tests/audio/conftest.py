"""What tests with real audio devices share: a sound server, or the reason why there is none."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import sound_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.sound_server import SoundServer


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    """Give a sound server, to which this process and the commands it starts are connected."""
    if not sound_server.is_installed():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(sound_server.HOW)
    folder = Path(tempfile.mkdtemp(prefix="llb-", dir="/tmp"))
    for server in sound_server.running(folder):
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield server
    shutil.rmtree(folder, ignore_errors=True)
