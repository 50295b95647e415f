"""What judges of an eval see and hear: media of a question, and picture or sound of an answer.

Images are sent to judges at most 1568 pixels long, which is what providers look at. Of a video,
they get some of the frames that the model saw.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import modalities
from pytest_llamaburn.judges import Shown
from pytest_llamaburn.media import Base64, Medium
from pytest_llamaburn.modalities import video
from pytest_llamaburn.option import changed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.kinds.eval.settings import Eval

_MOST_PIXELS: Final = 1568
_IMAGE_TOKENS, _PICTURE_TOKENS = 5000, 1600  # the most that is billed; of a picture of 640 × 480
_TOKENS_A_SECOND: Final = 35  # the most that is billed for sound
_UNKNOWN_S: Final = 60.0
_STILLS: Final = 8  # frames of a video


def media(
    question: Question, row: Mapping[str, object] | None, settings: Eval, picture: str | None = None
) -> tuple[Shown, ...]:
    """Return what judges are shown; `picture` is what the code of the answer drew, as base64."""
    drawn = [_picture(picture)] if picture else []
    return (*_of_question(question, row or {}, settings), *drawn, *_of_answer(row or {}, settings))


def _of_question(question: Question, row: Mapping[str, Any], settings: Eval) -> Iterator[Shown]:
    most = min(settings.image_size or _MOST_PIXELS, _MOST_PIXELS)
    small = changed(settings, {"image_size": most})
    facts = row.get("media") or [{}] * len(question.media)
    for entry, one in zip(question.media, facts, strict=False):
        read = partial(_read, dict(entry), small)
        if entry["kind"] == "image":
            yield Shown("image", "question", _IMAGE_TOKENS, read)
        elif entry["kind"] == "audio":
            yield Shown("audio", "question", _sound_tokens(one.get("seconds")), read)
        elif entry["kind"] == "video":
            for time in video.stills(one, settings, _STILLS):
                frame = partial(_still, dict(entry), time, settings)
                yield Shown("image", "video", _PICTURE_TOKENS, frame)


def _of_answer(row: Mapping[str, Any], settings: Eval) -> Iterator[Shown]:
    measured = row.get("measured") or {}
    if measured.get("audio_path"):
        entry = {"kind": "audio", "path": measured["audio_path"]}
        tokens = _sound_tokens(measured.get("audio_seconds"))
        yield Shown("audio", "answer", tokens, partial(_read, entry, settings))


def _picture(data: str) -> Shown:
    medium = Medium("image", "image/png", Base64(data.encode()), {})
    return Shown("image", "answer", _PICTURE_TOKENS, lambda: medium)


def _sound_tokens(seconds: float | None) -> int:
    return math.ceil((seconds or _UNKNOWN_S) * _TOKENS_A_SECOND)


def _still(entry: dict[str, Any], time: float, settings: Eval) -> Medium:
    """Return a frame of a video; raises DatasetError if it cannot be read any more."""
    return video.still(modalities.located(entry), time, settings)


def _read(entry: dict[str, Any], settings: Eval) -> Medium:
    """Return a medium; raises DatasetError if it cannot be read any more."""
    (found,) = modalities.encoded([entry], settings)
    return found
