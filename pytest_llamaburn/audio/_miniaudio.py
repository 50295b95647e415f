"""Devices through miniaudio, which needs no library of the system."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_llamaburn.audio.devices import INPUT, OUTPUT, Device, Form, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pytest_llamaburn.audio.clips import Samples

TELLS_OVERRUNS = False
_NOTHING = "Null"  # the system that miniaudio falls back to if there is none
_CLOSE_S = 1.0


@cache
def is_usable() -> bool:
    """Return whether the library is installed."""
    try:
        import miniaudio  # noqa: F401
    except ImportError:
        return False
    return True


def devices() -> list[Device]:
    """Return the devices that miniaudio knows; it does not tell which ones are the defaults."""
    import miniaudio

    try:
        known = miniaudio.Devices()
        if known.backend == _NOTHING:
            return []
        found = [(INPUT, known.get_captures()), (OUTPUT, known.get_playbacks())]
    except miniaudio.MiniaudioError:
        return []
    return [
        _device(about, direction, known.backend) for direction, every in found for about in every
    ]


def _device(about: dict[str, Any], direction: str, system: str) -> Device:
    best: dict[str, int] = max(about["formats"], key=lambda one: one["channels"], default={})
    return Device(
        name=about["name"],
        direction=direction,
        is_default=False,
        sample_rate=best.get("samplerate") or 48000,
        channels=best.get("channels") or 2,
        system=system,
        driver="miniaudio",
        key=about["id"],
    )


def takes(device: Device, form: Form) -> bool:  # noqa: ARG001 - as the other driver's
    """Return True: miniaudio resamples for a device."""
    return True


@contextmanager
def capture(
    device: Device, form: Form, put: Callable[[Samples | None, bool], None]
) -> Iterator[None]:
    """Record within the block: `put` gets each block; at the end, it gets None.

    miniaudio does not tell whether samples were lost. Raises AudioError.
    """
    import miniaudio

    def taken() -> Generator[None, bytes, None]:
        while True:
            raw = yield
            block = np.frombuffer(raw, dtype=np.float32).reshape(-1, form.channels)
            put(block.copy(), False)

    try:
        opened = miniaudio.CaptureDevice(**_asked(device, form, "input_format"))
        opened.stop_callback = lambda: put(None, False)
        generator = taken()
        next(generator)
        opened.start(generator)
    except miniaudio.MiniaudioError as err:
        raise refused(device, err) from err
    try:
        yield
    finally:
        opened.close()


def playback(device: Device, form: Form, blocks: Iterator[Samples]) -> None:
    """Play blocks of samples to their end; miniaudio does not tell how often it ran out of them.

    Raises AudioError.
    """
    import miniaudio

    done = threading.Event()
    try:
        opened = miniaudio.PlaybackDevice(**_asked(device, form, "output_format"))
        generator = _given(blocks, form.channels, done)
        next(generator)
        opened.start(generator)
    except miniaudio.MiniaudioError as err:
        raise refused(device, err) from err
    try:
        done.wait()
        threading.Event().wait(_CLOSE_S)  # what is in the device's buffer still sounds
    finally:
        opened.close()


def _given(
    blocks: Iterator[Samples], channels: int, done: threading.Event
) -> Generator[Samples, int, None]:
    """Yield as many frames as the device asks for, and silence after the last one."""
    rest = np.zeros((0, channels), dtype=np.float32)
    wanted = yield rest
    while True:
        while len(rest) < wanted and not done.is_set():
            block = next(blocks, None)
            if block is None:
                done.set()
            else:
                rest = np.concatenate([rest, block])
        part, rest = rest[:wanted], rest[wanted:]
        wanted = yield np.pad(part, ((0, wanted - len(part)), (0, 0)))


def _asked(device: Device, form: Form, format_name: str) -> dict[str, Any]:
    import miniaudio

    return {
        format_name: miniaudio.SampleFormat.FLOAT32,
        "nchannels": form.channels,
        "sample_rate": form.sample_rate,
        "buffersize_msec": max(10, round(1000 * form.buffer_size / form.sample_rate)),
        "device_id": device.key,
    }
