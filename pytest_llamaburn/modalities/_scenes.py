"""Composes the scenes of the shipped sets from their descriptions.

A description has `seconds`, `sample_rate` and a list of `events`: each has a `sound`, `at` and
`seconds`, and may have `level` (the amplitude, from 0 to 1), `frequency` in hertz and `seed`.
`noise` is the amplitude of noise over the whole scene.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pytest_llamaburn.audio.clips import clip_of
from pytest_llamaburn.audio.levels import tone

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from pytest_llamaburn.audio.clips import Clip

    Row = npt.NDArray[np.float64]

SOUNDS: Final = ("beep", "noise", "clicks", "siren", "chord")
_CLICKS_A_SECOND = 4


def composed(spec: Mapping[str, Any]) -> Clip:
    """Return the clip of a description; the same one gives the same samples."""
    rate = spec["sample_rate"]
    row = np.zeros(round(spec["seconds"] * rate))
    for number, event in enumerate(spec["events"]):
        sound = _sound(event, rate, event.get("seed", number)) * event.get("level", 0.4)
        start = round(event["at"] * rate)
        row[start : start + len(sound)] += sound[: len(row) - start]
    if spec.get("noise"):
        row += spec["noise"] * _noise(len(row), seed=spec.get("seed", 0))
    return clip_of(np.clip(row, -1, 1), rate)


def _sound(event: Mapping[str, Any], rate: int, seed: int) -> Row:
    """Return the samples of an event at full level."""
    seconds, frequency = event["seconds"], event.get("frequency", 880.0)
    at = np.arange(round(seconds * rate)) / rate
    if event["sound"] == "noise":
        return _noise(len(at), seed)
    if event["sound"] == "clicks":
        return (at % (1 / _CLICKS_A_SECOND) < 0.004).astype(np.float64)
    if event["sound"] == "siren":
        phase: Row = 2 * np.pi * (frequency * at - 60 * np.cos(2 * np.pi * at))
        return np.sin(phase)
    if event["sound"] == "chord":
        one, two, three = (tone(frequency * n, seconds, rate, 0.3).mono for n in (1, 1.25, 1.5))
        return (one + two + three).astype(np.float64)
    return tone(frequency, seconds, rate, 1.0).mono.astype(np.float64)


def _noise(size: int, seed: int) -> Row:
    """Return white noise from integers, which is the same with every version of numpy."""
    return np.random.RandomState(seed).randint(-32_768, 32_768, size) / 32_768
