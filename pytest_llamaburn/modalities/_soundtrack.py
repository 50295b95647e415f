"""What is sent of a video's sound: the sound itself, or a transcript of what is said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pytest_llamaburn import files, media
from pytest_llamaburn.backends._turns import defused
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.media import Medium
from pytest_llamaburn.modalities import _footage

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.modalities._footage import Footage

SUBTITLES: Final = ".srt"
_WAV_UP_TO_S = 60.0  # longer sound is sent as MP3, which is smaller
_TOLD = "The sound of the video:"
# A number, then the times of a subtitle; what follows is its text.
_STAMPS = re.compile(r"(?m)^(?:\d+\s*\n)?\s*\d+:\d\d:\d\d[,.]\d+\s*-->.*$")
_MARKUP = re.compile(r"<[^>]+>|\{\\[^}]*\}")


class Track(NamedTuple):
    """What is sent of the sound: told before the frames, and a medium after them."""

    facts: Document
    text: str = ""
    medium: Medium | None = None


def of(footage: Footage, wanted: str) -> Track:
    """Return what `--video-sound` wants of a video's sound; its facts say what it came to."""
    path = footage.path
    if wanted == "transcript":
        words, source = _words(path, has_sound=footage.has_sound)
        if source:
            told = (
                f"In the video is said: {defused(words)}"
                if words
                else "In the video nobody speaks."
            )
            return Track(
                {"sound": "transcript", "transcript": words, "transcript_by": source}, told
            )
    if not footage.has_sound:
        return Track({"sound": None, "sound_reason": "the video has no sound"})
    if wanted != "sound":
        return Track({"sound": None, "sound_reason": "left out: see --video-sound"})
    form = "wav" if footage.seconds <= _WAV_UP_TO_S else "mp3"
    raw = _footage.sound(path, form)
    facts = {"sound": f"audio/{form}", "sound_bytes": len(raw)}
    return Track(facts, "", Medium("audio", f"audio/{form}", media.base64_of(raw), facts, _TOLD))


def _words(path: Path, *, has_sound: bool) -> tuple[str, str]:
    """Return what is said, and who wrote it down; neither for a video without sound."""
    beside = path.with_suffix(SUBTITLES)
    if beside.is_file():
        return _of_subtitles(beside), beside.name
    if not has_sound:
        return "", ""
    from pytest_llamaburn.audio.clips import clip_of
    from pytest_llamaburn.backends import whisper
    from pytest_llamaburn.modalities import _quality

    heard = _quality.understood(clip_of(_footage.samples(path), _footage.SOUND_RATE))
    return heard, whisper.DEFAULT_MODEL


def _of_subtitles(path: Path) -> str:
    """Return the text of a file of subtitles, without its numbers, times and markup."""
    try:
        text = files.text(files.plain_bytes(path))
    except (OSError, ValueError) as err:
        raise DatasetError(
            f"{path} cannot be read: {files.reason(err)}: mend or remove these subtitles"
        ) from None
    lines = _MARKUP.sub("", _STAMPS.sub("", text.replace("\r\n", "\n"))).split("\n")
    return " ".join(line.strip() for line in lines if line.strip())
