"""The devices that the settings choose, ready to record and play."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.audio import devices, playing, recording
from pytest_llamaburn.audio.devices import INPUT, OUTPUT, Device, Form

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_llamaburn.audio.clips import Clip
    from pytest_llamaburn.audio.recording import Recording


class AudioDevice:
    """An input and an output device; each is looked for when it is first used."""

    def __init__(self, settings: Any) -> None:
        """Take the settings: names of the devices, sample rate, channels and buffer size."""
        self.settings = settings
        self.form = Form(settings.sample_rate, settings.channels, settings.buffer_size)

    @cached_property
    def input(self) -> Device:
        """The device that records; raises AudioError if there is none of this name."""
        return devices.find(self.settings.input_device, INPUT)

    @cached_property
    def output(self) -> Device:
        """The device that plays; raises AudioError if there is none of this name."""
        return devices.find(self.settings.output_device, OUTPUT)

    def record(
        self,
        seconds: float,
        path: Path | None = None,
        meter: Callable[[Any, float], None] | None = None,
    ) -> Recording:
        """Return a recording of so many seconds, also kept in a WAV file if a path is given.

        `meter` is called with each block and its time. Raises AudioError.
        """
        return recording.record(self.input, self.form, seconds, path, meter)

    def play(self, clip: Clip) -> int | None:
        """Play a clip; return how often the device ran out of samples, None if it does not tell.

        Raises AudioError.
        """
        return playing.play(self.output, clip, self.form)
