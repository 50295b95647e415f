"""When notes begin in a sound, and how well that agrees with a score.

Onsets are the peaks of the spectral flux: the sum of the rises of the logarithmic magnitudes from
one frame to the next (Bello et al., "A tutorial on onset detection in music signals", 2005). F1 is
that of MIREX: an onset is found if one of the other side is at most 50 ms away, each used once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from pytest_llamaburn.audio.clips import Clip

    Row = npt.NDArray[np.float64]

NEAR_S: Final = 0.05
_HOP_S, _FRAME = 0.01, 2048
_GAMMA = 10.0  # of the logarithm: quiet partials count too
_NEAR_FRAMES, _AROUND_FRAMES = 3, 10
_ABOVE_MEAN, _ABOVE_ALL = 1.5, 0.1  # of the frames around; of the highest flux


def onsets_of(clip: Clip) -> list[float]:
    """Return the times at which notes begin in a clip, in seconds."""
    flux = _flux(clip)
    top = flux.max(initial=0.0)
    found: list[float] = []
    for at in range(len(flux)):
        near = flux[max(0, at - _NEAR_FRAMES) : at + _NEAR_FRAMES + 1]
        around = flux[max(0, at - _AROUND_FRAMES) : at + _AROUND_FRAMES + 1]
        rises = flux[at] > max(_ABOVE_ALL * top, _ABOVE_MEAN * around.mean())
        if rises and flux[at] == near.max() and not (found and at * _HOP_S - found[-1] < NEAR_S):
            found.append(at * _HOP_S)
    return found


def f1(score: Sequence[float], heard: Sequence[float]) -> float:
    """Return 2 × matched / (all of both), from 0 to 1; 0 if either side is empty."""
    matched, left = 0, sorted(heard)
    for onset in sorted(score):
        while left and left[0] < onset - NEAR_S:
            left.pop(0)
        if left and left[0] <= onset + NEAR_S:
            left.pop(0)
            matched += 1
    return 2 * matched / (len(score) + len(heard)) if matched else 0.0


def _flux(clip: Clip) -> Row:
    """Return the spectral flux of each frame; frame n has its middle at n × 10 ms."""
    hop = round(clip.sample_rate * _HOP_S)
    row = np.pad(clip.mono.astype(np.float64), (_FRAME, _FRAME // 2))
    starts = np.arange(0, len(row) - _FRAME - hop, hop)
    window, flux = np.hanning(_FRAME), np.zeros(len(starts))
    before: Row | None = None
    for number, start in enumerate(starts):
        magnitude = np.log1p(_GAMMA * np.abs(np.fft.rfft(row[start : start + _FRAME] * window)))
        if before is not None:
            flux[number] = np.maximum(magnitude - before, 0).sum()
        before = magnitude
    # The first frame ends where the sound begins: half a frame later it is in the middle.
    return flux[_FRAME // 2 // hop :]
