"""The numbers of a clip: peak, RMS, clipping, silence, frequency; and its waveform as text.

Levels are in dBFS: 0 is the loudest sample that a file can have. Digital silence has none: None.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_llamaburn.audio.clips import Clip, clip_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Row = npt.NDArray[np.float32]

FULL_SCALE = 0.999  # samples from here on have met the limit
_CLIPPED_RUN = 3  # so many of them in a row are clipping, not the crest of a wave
SILENT_DBFS = -50.0
_FRAME_S = 0.02
_FADE_S = 0.01


class Levels(NamedTuple):
    """The levels of a clip; shares are from 0 to 1."""

    peak_dbfs: float | None
    rms_dbfs: float | None
    clipped_share: float
    silent_share: float


def levels(clip: Clip) -> Levels:
    """Return the levels of a clip.

    Clipped are the samples in runs of at least three at full scale, in any channel. Silent are the
    frames of 20 ms whose RMS is below -50 dBFS.
    """
    samples = clip.samples
    if not samples.size:
        return Levels(None, None, 0.0, 1.0)
    peak = float(np.abs(samples).max())
    rms = math.sqrt(float(np.square(samples, dtype=np.float64).mean()))
    clipped = np.mean([_clipped(column) for column in samples.T])
    return Levels(_dbfs(peak), _dbfs(rms), float(clipped), float(1 - sounding(clip).mean()))


def sounding(clip: Clip) -> npt.NDArray[np.bool_]:
    """Return for each frame of 20 ms whether it is louder than silence."""
    size = max(1, round(clip.sample_rate * _FRAME_S))
    row = clip.mono
    padded = np.pad(row, (0, -len(row) % size)).reshape(-1, size)
    rms = np.sqrt(np.square(padded, dtype=np.float64).mean(axis=1))
    loud: npt.NDArray[np.bool_] = rms >= 10 ** (SILENT_DBFS / 20)
    return loud


def frequency_hz(clip: Clip) -> float | None:
    """Return the strongest frequency in hertz; None for silence or fewer than 64 samples."""
    row = clip.mono
    if len(row) < 64 or not row.any():
        return None
    power = np.abs(np.fft.rfft(row * np.hanning(len(row))))
    power[0] = 0
    peak = int(power.argmax())
    return (peak + _offset(power, peak)) * clip.sample_rate / len(row)


def flatness(clip: Clip) -> float | None:
    """Return the spectral flatness from 0 (a tone) to 1 (white noise); None for silence.

    It is the mean over the frames that sound of geometric mean / arithmetic mean of the power.
    """
    size = 2048
    row = clip.mono
    if len(row) < size:
        return None
    frames = row[: len(row) // size * size].reshape(-1, size) * np.hanning(size)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1))[:, 1:]) + 1e-12
    loud = np.sqrt(np.square(frames).mean(axis=1)) >= 10 ** (SILENT_DBFS / 20)
    if not loud.any():
        return None
    ratio = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
    return float(ratio[loud].mean())


def tone(frequency: float, seconds: float, sample_rate: int, amplitude: float = 0.5) -> Clip:
    """Return a sine tone that fades in and out within 10 ms, so that it does not click."""
    at = np.arange(round(seconds * sample_rate)) / sample_rate
    fade = np.clip(np.minimum(at, seconds - at) / _FADE_S, 0, 1)
    return clip_of(amplitude * fade * np.sin(2 * math.pi * frequency * at), sample_rate)


def waveform(clip: Clip, width: int, height: int = 8, *, blocks: bool = True) -> list[str]:
    """Return the waveform as lines of text: the range of the samples in each column.

    It is drawn to its own peak. Without `blocks`, it has ASCII characters only.
    """
    row = clip.mono
    if not len(row) or width < 1:
        return [" " * max(width, 0)] * height
    parts = np.array_split(row, min(width, len(row)))
    scale = max(float(np.abs(row).max()), 1e-9)
    cells = height * 2 if blocks else height
    tops = [_cell(float(part.max()) / scale, cells) for part in parts]
    ends = [_cell(float(part.min()) / scale, cells) for part in parts]
    filled = [
        [top <= cell <= end for top, end in zip(tops, ends, strict=True)] for cell in range(cells)
    ]
    if not blocks:
        return ["".join(" #"[on] for on in line) for line in filled]
    pairs = zip(filled[::2], filled[1::2], strict=True)
    return ["".join(" ▄▀█"[2 * a + b] for a, b in zip(*pair, strict=True)) for pair in pairs]


def _cell(value: float, cells: int) -> int:
    """Return the line, from the top, in which a value from -1 to 1 lies."""
    return min(cells - 1, int((1 - value) / 2 * cells))


def _clipped(column: Row) -> float:
    """Return the share of samples that are in runs at full scale."""
    at_limit = np.concatenate(([0], np.abs(column) >= FULL_SCALE, [0])).astype(np.int8)
    edges = np.flatnonzero(np.diff(at_limit))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= _CLIPPED_RUN].sum() / len(column))


def _offset(power: npt.NDArray[np.float64], peak: int) -> float:
    """Return how far the true peak lies from the highest bin: the crest of a parabola."""
    if not 0 < peak < len(power) - 1:
        return 0.0
    below, here, above = np.log(power[peak - 1 : peak + 2] + 1e-20)
    bend = below - 2 * here + above
    return float((below - above) / (2 * bend)) if bend else 0.0


def _dbfs(amplitude: float) -> float | None:
    return 20 * math.log10(amplitude) if amplitude else None
