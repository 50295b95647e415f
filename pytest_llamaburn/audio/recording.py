"""Record from an input device, block by block or to its end."""

from __future__ import annotations

import queue
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_llamaburn import files
from pytest_llamaburn.audio.clips import Clip, form_of, soundfile_library
from pytest_llamaburn.audio.devices import fitting
from pytest_llamaburn.errors import AudioError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_llamaburn.audio.clips import Samples
    from pytest_llamaburn.audio.devices import Device, Form

FIRST_S = 15.0  # sound servers take seconds to open a device for the first time
NEXT_S = 3.0


class Recording(NamedTuple):
    """What was recorded, how often samples were lost, and why it ended early.

    `overruns` is None if the driver does not tell. `ended` is empty if the recording is whole.
    """

    clip: Clip
    overruns: int | None
    ended: str = ""


class Capture:
    """An input device that records; a loop over it gets the blocks until the device is gone."""

    def __init__(self, device: Device, form: Form) -> None:
        """Take a device and how to open it, as far as it can be opened so."""
        self.form = fitting(device, form)
        self.overruns = 0 if device.module.TELLS_OVERRUNS else None
        self.ended = ""
        self._device = device
        self._blocks: queue.SimpleQueue[tuple[Samples | None, bool]] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[Samples]:
        """Record and yield blocks of samples; raises AudioError if the device does not open."""
        with self._device.module.capture(
            self._device, self.form, lambda *block: self._blocks.put(block)
        ):
            yield from self._taken()

    def _taken(self) -> Iterator[Samples]:
        patience = FIRST_S
        while True:
            try:
                block, lost = self._blocks.get(timeout=patience)
            except queue.Empty:
                block = None
            if block is None:
                self.ended = f"the device '{self._device.name}' stopped sending sound"
                return
            if lost and self.overruns is not None:
                self.overruns += 1
            patience = NEXT_S
            yield block


def record(
    device: Device,
    form: Form,
    seconds: float,
    path: Path | None = None,
    meter: Callable[[Samples, float], None] | None = None,
) -> Recording:
    """Return what a device records in so many seconds, and write it to a WAV file as it comes.

    If the device is gone before, the recording has what came until then. `meter` is called with
    each block and its time in the recording. Raises AudioError if nothing came.
    """
    capture, blocks, frames = Capture(device, form), [], 0
    rate = capture.form.sample_rate
    wanted = round(seconds * rate)
    with _file(path, capture.form) as keep:
        for block in capture:
            part = block[: wanted - frames]
            frames += len(part)
            blocks.append(part)
            keep(part)
            if meter:
                meter(part, frames / rate)
            if frames >= wanted:
                break
    if not blocks:
        raise AudioError(f"{capture.ended}: connect it again, or see llamaburn audio list")
    clip = Clip(np.concatenate(blocks), rate).with_rate(form.sample_rate)
    return Recording(clip, capture.overruns, capture.ended)


@contextmanager
def _file(path: Path | None, form: Form) -> Iterator[Callable[[Any], Any]]:
    """Yield a function that appends samples to a WAV file, or does nothing without a path."""
    if path is None:
        yield lambda block: None  # noqa: ARG005
        return
    form_of(path)
    library = soundfile_library()
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            target = stack.enter_context(
                library.SoundFile(path, "w", form.sample_rate, form.channels)
            )
        except (OSError, library.LibsndfileError) as err:
            raise AudioError(f"{path}: cannot be written: {files.reason(err)}") from err
        yield target.write
