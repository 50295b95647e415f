"""An imitation of a library for audio devices, for faults that no real device has on demand."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_llamaburn.audio import devices
from pytest_llamaburn.audio.devices import INPUT, OUTPUT, Device, Form, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

MIC = Device("Blue Yeti", INPUT, True, 48_000, 2, "ALSA", "fake", 0)
SPEAKERS = Device("Speakers", OUTPUT, True, 48_000, 2, "ALSA", "fake", 1)


class FakeLibrary(ModuleType):
    """A module as `audio._sounddevice`: it plays into `played`, and sends `blocks`."""

    TELLS_OVERRUNS = True

    def __init__(self, *known: Device, lost: int = 0, busy: bool = False) -> None:
        super().__init__("fake")
        self.known, self.busy = [*known], busy
        self.blocks: list[Any] = [np.full((1000, 1), 0.5, dtype=np.float32)] * 100
        self.lost = [True] * lost
        self.rates = {48_000}
        self.played: list[Any] = []
        self.opened: list[Form] = []

    def is_usable(self) -> bool:
        return True

    def devices(self) -> list[Device]:
        return self.known

    def takes(self, device: Device, form: Form) -> bool:
        return form.sample_rate in self.rates

    @contextmanager
    def capture(self, device: Device, form: Form, put: Callable[..., None]) -> Iterator[None]:
        self._open(device, form)
        for block in self.blocks:
            put(np.repeat(block, form.channels, axis=1), bool(self.lost and self.lost.pop()))
        put(None, False)
        yield

    def playback(self, device: Device, form: Form, blocks: Iterator[Any]) -> int:
        self._open(device, form)
        self.played = [*blocks]
        return len(self.lost)

    def _open(self, device: Device, form: Form) -> None:
        if self.busy:
            raise refused(device, OSError("Error opening InputStream: Device unavailable [-9985]"))
        self.opened.append(form)


def use(monkeypatch: pytest.MonkeyPatch, library: FakeLibrary) -> FakeLibrary:
    """Make a library the only one."""
    monkeypatch.setattr(devices, "DRIVERS", ("fake",))
    monkeypatch.setitem(sys.modules, "pytest_llamaburn.audio._fake", library)
    return library
