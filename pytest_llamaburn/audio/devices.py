"""The audio devices of this machine, from the libraries that can be used here.

PortAudio (sounddevice) comes first. miniaudio needs no system library, so it works where PortAudio
is missing; and on Linux it also knows the devices of a sound server by their names.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.errors import AudioError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

INPUT, OUTPUT = "input", "output"
DRIVERS = ("sounddevice", "miniaudio")
_NOUNS = {INPUT: "microphone or other input", OUTPUT: "loudspeaker or other output"}


class Device(NamedTuple):
    """An input or output: its name, its usual sample rate in Hz, and how many channels it has.

    `system` is the sound system that has it, such as ALSA; `driver` the library that opens it.
    """

    name: str
    direction: str
    is_default: bool
    sample_rate: int
    channels: int
    system: str
    driver: str
    key: Any = None  # how the driver calls it

    @property
    def module(self) -> ModuleType:
        """The module that opens it, with `capture` and `playback`."""
        return driver_named(self.driver)


class Form(NamedTuple):
    """How a device is opened: frames per second, channels, and frames per block."""

    sample_rate: int = 44100
    channels: int = 1
    buffer_size: int = 1024


def devices() -> list[Device]:
    """Return all devices, defaults first; one that two libraries know is there once.

    Raises MissingExtraError if there is no library, AudioError if none of them works.
    """
    found: dict[tuple[str, str], Device] = {}
    with _hushed():
        for driver in _usable():
            for device in driver.devices():
                found.setdefault((device.direction, device.name), device)
    return sorted(found.values(), key=lambda one: (one.direction, not one.is_default))


@contextmanager
def _hushed() -> Iterator[None]:
    """Discard what C libraries print: ALSA complains of every missing card on stderr."""
    sys.stderr.flush()
    kept = None
    with suppress(OSError):  # it is closed
        kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        if kept is not None:
            os.dup2(kept, 2)
            os.close(kept)


def find(name: str, direction: str) -> Device:
    """Return the device of a name, or the default one for "default".

    A part of the name is enough, in any case, if it means one device. Raises AudioError, with the
    names there are.
    """
    known = [one for one in devices() if one.direction == direction]
    if not known:
        raise AudioError(
            f"this machine has no {_NOUNS[direction]}: connect one, and see llamaburn audio list"
        )
    if name.lower() == "default":
        return known[0]  # the default one, or the first if the system names none
    exact = [one for one in known if one.name == name]
    alike = exact or [one for one in known if name.lower() in one.name.lower()]
    names = ", ".join(f"'{one.name}'" for one in (alike or known))
    if not alike:
        raise AudioError(f"no {direction} device '{name}': this machine has {names}")
    if len(alike) > 1 and not exact:
        raise AudioError(f"'{name}' is a part of several {direction} devices: {names}")
    return alike[0]


def fitting(device: Device, form: Form) -> Form:
    """Return the form with no more channels than a device has, and a sample rate that it takes."""
    form = form._replace(channels=min(form.channels, device.channels))
    takes: bool = device.module.takes(device, form)
    return form if takes else form._replace(sample_rate=device.sample_rate)


def refused(device: Device, err: Exception) -> AudioError:
    """Return the error for a device that did not open."""
    reason = str(err).split("[")[0].removeprefix("Error opening ").strip(" .")
    words = "close other programs that use it, or choose another one from llamaburn audio list"
    return AudioError(
        f"{device.direction} device '{device.name}' cannot be opened: {reason}: {words}"
    )


def libraries() -> list[str]:
    """Return the names of the libraries that open devices here; raises MissingExtraError."""
    names = {"_sounddevice": "PortAudio", "_miniaudio": "miniaudio"}
    found = [driver.__name__.rpartition(".")[2] for driver in _usable()]
    return [names.get(name, name.strip("_")) for name in found]


def _usable() -> Iterator[ModuleType]:
    """Yield the drivers whose libraries are here."""
    there = [driver for driver in map(driver_named, DRIVERS) if driver.is_usable()]
    if not there:
        raise MissingExtraError("audio", "using audio devices")
    yield from there


def driver_named(name: str) -> ModuleType:
    """Return the module of an audio library: sounddevice or miniaudio."""
    return import_module(f"pytest_llamaburn.audio._{name}")
