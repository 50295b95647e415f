"""Play clips and streams of samples on an output device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_llamaburn.audio.devices import fitting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_llamaburn.audio.clips import Clip, Samples
    from pytest_llamaburn.audio.devices import Device, Form


def play(device: Device, clip: Clip, form: Form) -> int | None:
    """Play a clip; return how often the device ran out of samples, None if it does not tell.

    The clip is resampled to the rate of `form`, or that of a device which cannot have it, and gets
    its channels. Raises AudioError.
    """
    form = fitting(device, form._replace(channels=max(form.channels, clip.samples.shape[1])))
    fitted = clip.with_rate(form.sample_rate).with_channels(form.channels)
    return stream(device, [fitted.samples], form)


def stream(device: Device, blocks: Iterable[Samples], form: Form) -> int | None:
    """Play samples as they come, (frames, channels) each; return what `play` returns."""
    underruns: int | None = device.module.playback(device, form, _cut(blocks, form.buffer_size))
    return underruns


def _cut(blocks: Iterable[Samples], size: int) -> Iterator[Samples]:
    """Yield blocks of at most `size` frames."""
    for block in blocks:
        rows = np.ascontiguousarray(block, dtype=np.float32)
        for start in range(0, len(rows), size):
            yield rows[start : start + size]
