"""Devices through PortAudio, which the library sounddevice calls."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.audio.devices import INPUT, OUTPUT, Device, Form, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_llamaburn.audio.clips import Samples

TELLS_OVERRUNS = True
_LATENCY_S = 0.25  # of the device's own buffer: enough for a machine that is busy with a model


@cache
def is_usable() -> bool:
    """Return whether the library and PortAudio are installed."""
    try:
        import sounddevice  # noqa: F401
    except (ImportError, OSError):  # OSError: there is no PortAudio
        return False
    return True


def devices() -> list[Device]:
    """Return the devices that PortAudio knows."""
    import sounddevice

    systems = sounddevice.query_hostapis()
    default = dict(zip((INPUT, OUTPUT), sounddevice.default.device, strict=True))
    return [
        Device(
            name=about["name"],
            direction=direction,
            is_default=default[direction] == index,
            sample_rate=round(about["default_samplerate"]),
            channels=about[f"max_{direction}_channels"],
            system=systems[about["hostapi"]]["name"],
            driver="sounddevice",
            key=index,
        )
        for index, about in enumerate(sounddevice.query_devices())
        for direction in (INPUT, OUTPUT)
        if about[f"max_{direction}_channels"]
    ]


def takes(device: Device, form: Form) -> bool:
    """Return whether a device opens with this sample rate."""
    import sounddevice

    check = getattr(sounddevice, f"check_{device.direction}_settings")
    try:
        check(device.key, form.channels, "float32", None, form.sample_rate)
    except (sounddevice.PortAudioError, ValueError) as err:
        return "sample rate" not in str(err).lower()  # opening tells about other faults
    return True


@contextmanager
def capture(
    device: Device, form: Form, put: Callable[[Samples | None, bool], None]
) -> Iterator[None]:
    """Record within the block: `put` gets each block, and whether samples before it were lost.

    At the end, or if the device is gone, it gets None. Raises AudioError.
    """
    import sounddevice

    def called(samples: Samples, frames: int, time: Any, status: Any) -> None:  # noqa: ARG001
        put(samples.copy(), bool(status.input_overflow))

    try:
        stream = sounddevice.InputStream(
            callback=called, finished_callback=lambda: put(None, False), **_asked(device, form)
        )
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as err:
        raise refused(device, err) from err
    try:
        yield
    finally:
        _end(stream)


def playback(device: Device, form: Form, blocks: Iterator[Samples]) -> int:
    """Play blocks of samples to their end; return how often the device ran out of them.

    Raises AudioError.
    """
    import sounddevice

    underruns = 0
    try:
        with sounddevice.OutputStream(**_asked(device, form)) as stream:
            for count, block in enumerate(blocks):
                underruns += bool(stream.write(block) and count)  # it is empty before the first
    except (sounddevice.PortAudioError, ValueError) as err:
        raise refused(device, err) from err
    return underruns


def _asked(device: Device, form: Form) -> dict[str, Any]:
    return {
        "device": device.key,
        "samplerate": form.sample_rate,
        "channels": form.channels,
        "blocksize": form.buffer_size,
        "dtype": "float32",
        "latency": _LATENCY_S,
    }


def _end(stream: Any) -> None:
    """Close a stream; that of a device that is gone cannot be stopped, only aborted."""
    import sounddevice

    try:
        stream.abort()
        stream.close()
    except sounddevice.PortAudioError as err:
        print(f"llamaburn: the device did not close: {err}", file=sys.stderr)  # noqa: T201
