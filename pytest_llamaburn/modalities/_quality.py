"""How good speech sounds, without a person: DNSMOS P.835, and how well it is understood.

DNSMOS was trained on the opinions of people about speech; its overall score is from 1 to 5. Its
model hears 9.01 s at 16 kHz; a shorter clip is repeated, as in its authors' program.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pytest_llamaburn.backends import _weights, whisper
from pytest_llamaburn.errors import MissingExtraError

if TYPE_CHECKING:
    from pytest_llamaburn.audio.clips import Clip

METHOD: Final = "DNSMOS P.835, overall"
_RATE = 16_000
_HEARD = 144_160  # samples: 9.01 s
# Of the authors: overall quality from the model's raw output.
_OVERALL = np.poly1d([-0.06766283, 1.11546468, 0.04602535])


def score(clip: Clip) -> float:
    """Return the overall score of a clip, from 1 to 5; raises MissingExtraError, ModelError."""
    session = _session()
    row = clip.with_rate(_RATE).mono
    row = np.tile(row, -(-_HEARD // len(row)) if len(row) < _HEARD else 1)
    starts = range(0, len(row) - _HEARD + 1, _RATE)
    raw = [
        session.run(None, {"input_1": row[None, start : start + _HEARD]})[0][0][2]
        for start in starts
    ]
    return float(np.clip(_OVERALL(np.mean(raw)), 1, 5))


def understands() -> None:
    """Raise MissingExtraError or ModelError if this machine cannot transcribe."""
    _engine()


def understood(clip: Clip) -> str:
    """Return the words in a clip, as Whisper tiny.en hears them."""
    segments, _ = _engine().transcribe(clip.with_rate(_RATE).mono, **whisper.DECODING)
    return "".join(segment.text for segment in segments).strip()


@cache
def _engine() -> Any:
    return whisper.engine(whisper.DEFAULT_MODEL)


@cache
def _session() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("tts", "scoring the quality of speech") from None
    path = _weights.folder("dnsmos") / "sig_bak_ovr.onnx"
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
