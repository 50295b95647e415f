"""Recordings: sent to a server for transcription, or in a chat as `input_audio`.

Questions that the scorer `wer` or `cer` scores are transcriptions: `/v1/audio/transcriptions`, or
the engine in this process. Others are asked in a chat. `--audio-api` chooses one for all.
"""

from __future__ import annotations

import hashlib
import json
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import files, media
from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.errors import AudioError, DatasetError
from pytest_llamaburn.media import Medium
from pytest_llamaburn.modalities import _requests, _scenes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_llamaburn.audio.clips import Clip
    from pytest_llamaburn.backends._base import Backend, Model
    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.trace import Trace

KIND: Final = "audio"
NOUN: Final = "recordings"
CAPABILITY: Final = "audio"
SETTINGS: Final = ("language", "audio_api")
GROUPED_BY: Final = "length"
SUFFIXES: Final = {
    ".wav": "audio/wav",
    ".mp3": "audio/mp3",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
}
MADE_SUFFIX: Final = ".wav"
# The unit of each number that `ask` measures.
MEASURED: Final = {"latency_ms": "ms", "audio_seconds": "s", "real_time_factor": "ratio"}
_PATH = "/audio/transcriptions"
_RATE = 16_000
_TRANSCRIBED = ("wer", "cer")  # scorers of transcriptions
_IN_CHAT = ("audio/wav", "audio/mp3")  # the formats of `input_audio`
_SECONDS = (5, 15, 30, 60, 300, 3600)  # the bounds of the groups by length


def ready() -> None:
    """Raise MissingExtraError without the libraries for sound files."""
    clips.soundfile_library()


def check(path: Path) -> None:
    """Decode a recording; raises DatasetError if it is missing, empty, damaged or unknown."""
    _clip(path, _read(path))


def encode(path: Path, settings: object) -> Medium:  # noqa: ARG001 - as of other modalities
    """Return a recording as a request carries it; formats that a chat does not take become WAV."""
    started_ns = perf_counter_ns()
    raw = _read(path)
    clip, mime = _clip(path, raw), SUFFIXES.get(path.suffix.lower(), "")
    sent = raw
    if mime not in _IN_CHAT:
        mime, sent = "audio/wav", clips.encode(clip)
    facts = {
        "kind": KIND,
        "path": str(path),
        "bytes": len(raw),
        "seconds": clip.seconds,
        "sample_rate": clip.sample_rate,
        "channels": clip.samples.shape[1],
        "sent_mime": mime,
        "sent_bytes": len(sent),
    }
    data = media.base64_of(sent)
    facts["prepare_ms"] = (perf_counter_ns() - started_ns) / 1e6
    return Medium(KIND, mime, data, facts)


def make(spec: Mapping[str, object], path: Path) -> None:
    """Compose a scene of a shipped set."""
    path.write_bytes(clips.encode(_scenes.composed(spec)))


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of the samples."""
    samples = clips.read(path).samples
    return hashlib.sha256((samples * 32_768).round().astype("<i2").tobytes()).hexdigest()


def probe(settings: object = None) -> Medium:  # noqa: ARG001 - as of videos
    """Return half a second of a tone."""
    raw = clips.encode(levels.tone(440, 0.5, _RATE))
    return Medium(KIND, "audio/wav", media.base64_of(raw), {"kind": KIND, "seconds": 0.5})


def size_of(facts: Mapping[str, Any]) -> tuple[str, float]:
    """Return the group of a recording by its length, and a number to sort groups by."""
    bound = next((one for one in _SECONDS if facts["seconds"] <= one), None)
    return (f"up to {bound} s", bound) if bound else (f"above {_SECONDS[-1]} s", float("inf"))


def asks(question: Question, settings: Any) -> bool:
    """Return whether a question is a transcription, not a chat."""
    api = settings.audio_api
    return api == "transcriptions" or (api == "auto" and question.scorer in _TRANSCRIBED)


async def ask(
    backend: Backend,
    model: Model,
    question: Question,  # noqa: ARG001 - the recording is the question
    sent: Sequence[Medium],
    settings: Any,
) -> tuple[Trace, dict[str, Any]]:
    """Return the trace of a transcription, and its measured numbers.

    `real_time_factor` is the latency over the duration of the recording.
    """
    seconds = sum(medium.facts["seconds"] for medium in sent)
    heard = await transcribed(backend, model, [medium.raw for medium in sent], settings)
    latency_ms = (heard.end_ns - heard.sent_ns) / 1e6
    if heard.failure:
        return heard, {}
    factor = latency_ms / 1000 / seconds
    return heard, {
        "latency_ms": latency_ms,
        "audio_seconds": seconds,
        "real_time_factor": factor,
        "api": "in this process" if hasattr(backend, "transcribe") else _PATH,
    }


async def transcribed(
    backend: Backend, model: Model, recordings: Sequence[bytes], settings: Any
) -> Trace:
    """Return the trace of the transcription of one recording, or of several one after another."""
    if hasattr(backend, "transcribe"):
        clip = clips.joined([clips.decode(raw, "a recording") for raw in recordings])
        found: Trace = await backend.transcribe(clip.with_rate(_RATE).mono)
        return found
    raw = recordings[0]
    if len(recordings) > 1:
        raw = clips.encode(clips.joined([clips.decode(one, "a recording") for one in recordings]))
    form = settings.stt_format
    fields = {"model": model.id, "response_format": form, "temperature": str(settings.temperature)}
    if settings.language:
        fields["language"] = settings.language
    name = "audio.wav" if raw[:4] == b"RIFF" else "audio.mp3"
    exchange = await _requests.post_file(backend, _PATH, fields, name, raw)
    return _requests.text_trace(exchange, _plain if form == "text" else _of_json)


def _plain(body: bytes) -> str:
    return body.decode().strip()


def _of_json(body: bytes) -> str:
    text = json.loads(body)["text"]
    if not isinstance(text, str):
        raise TypeError("its text is no text")
    return text.strip()


def _read(path: Path) -> bytes:
    try:
        return files.plain_bytes(path)
    except (OSError, ValueError) as err:
        words = f"{path} cannot be read: {files.reason(err)}: name a readable recording"
        raise DatasetError(words) from None


def _clip(path: Path, raw: bytes) -> Clip:
    try:
        return clips.decode(raw, str(path))
    except AudioError as err:
        raise DatasetError(str(err)) from None
