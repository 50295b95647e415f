"""What speech and music share: the answer is sound, which is kept in a file and measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from pytest_llamaburn import kept_media
from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.errors import AudioError
from pytest_llamaburn.modalities import _requests
from pytest_llamaburn.trace import Delta, Failed, Finished, Sent, Trace, fold

if TYPE_CHECKING:
    from pytest_llamaburn.audio.clips import Clip
    from pytest_llamaburn.backends._exchange import Exchange

# The unit of each number of a sound.
MEASURED: Final = {
    "generation_time_ms": "ms",
    "time_to_first_audio_ms": "ms",
    "audio_seconds": "s",
    "real_time_factor": "ratio",
    "silent_share": "share",
    "clipped_share": "share",
}
_FAR = 4096  # bytes of a WAV file; its samples begin earlier
_PCM_RATE = 24_000


class Sound(NamedTuple):
    """A sound that was generated, and the numbers of it."""

    clip: Clip
    raw: bytes
    measured: dict[str, Any]


def heard(exchange: Exchange, form: str) -> Sound | Failed:
    """Return the sound in an answer, or why there is none."""
    failure = _requests.failure_of(exchange)
    if failure:
        return failure
    raw = exchange.framing.body
    try:
        clip = _pcm(raw) if form == "pcm" else clips.decode(raw, "the answer")
    except AudioError as err:
        return Failed(
            exchange.ended_ns, "malformed_chunk", "stream", exchange.framing.status, str(err)
        )
    return Sound(clip, raw, _measured(exchange, clip, raw))


def trace_of(exchange: Exchange, outcome: Sound | Failed, text: str) -> Trace:
    """Return the trace of an answer with sound; `text` is what scorers read of it."""
    sent = Sent(exchange.sent_ns)
    if isinstance(outcome, Failed):
        return fold([sent, outcome], exchange.connect_ms)
    first = exchange.sent_ns + round(outcome.measured["time_to_first_audio_ms"] * 1e6)
    events = [Delta(first, "audio", ""), Delta(exchange.ended_ns, "content", text)]
    return fold([sent, *events, Finished(exchange.ended_ns, "stop")], exchange.connect_ms)


def kept(clip: Clip, settings: Any) -> dict[str, str | None]:
    """Return the path and the id of the file in which a sound is kept, as WAV.

    The path is that of --output, if it is given.
    """
    name = kept_media.keep(Path(settings.results_dir), clips.encode(clip), ".wav")
    if settings.save_audio:
        clips.write(clip, Path(settings.save_audio))
        path: str | None = settings.save_audio
    else:
        path = str(Path(settings.results_dir) / kept_media.FOLDER / name) if name else None
    return {"audio_path": path, "audio_id": name}


def _measured(exchange: Exchange, clip: Clip, raw: bytes) -> dict[str, Any]:
    generation_ms = (exchange.ended_ns - exchange.sent_ns) / 1e6
    found = levels.levels(clip)
    return {
        "generation_time_ms": generation_ms,
        "time_to_first_audio_ms": (_first_ns(exchange, raw) - exchange.sent_ns) / 1e6,
        "audio_seconds": clip.seconds,
        "real_time_factor": generation_ms / 1000 / clip.seconds,
        "silent_share": found.silent_share,
        "clipped_share": found.clipped_share,
        "sample_rate": clip.sample_rate,
        "bytes": len(raw),
    }


def _first_ns(exchange: Exchange, raw: bytes) -> int:
    """Return the time of the read with the first byte of sound: the file's header is none."""
    left, first = min(_header_bytes(raw), len(raw) - 1), 0
    for at, piece in exchange.framing.pieces:
        if left < len(piece):
            first = at + left
            break
        left -= len(piece)
    reads = zip(exchange.stamps, exchange.ends, strict=True)
    return next(stamp for stamp, end in reads if end > first)


def _header_bytes(raw: bytes) -> int:
    """Return how many bytes of a file are before its sound: of WAV, FLAC, and MP3 with a tag."""
    if raw[:4] == b"RIFF":
        return raw.find(b"data", 12, _FAR) + 8
    if raw[:3] == b"ID3":  # its size has seven bits in a byte
        return 10 + int("".join(f"{part:07b}" for part in raw[6:10]) or "0", 2)
    if raw[:4] != b"fLaC":
        return 0
    at, is_last = 4, False
    while not is_last and at < len(raw):  # blocks, each with its size; a bit marks the last one
        is_last = raw[at] >= 0x80
        at += 4 + int.from_bytes(raw[at + 1 : at + 4], "big")
    return at


def _pcm(raw: bytes) -> Clip:
    """Return samples without a header: 24 kHz, 16 bits, mono, as OpenAI's API sends them."""
    if len(raw) < 2:
        raise AudioError("the answer: it has no samples")
    rows = np.frombuffer(raw[: len(raw) // 2 * 2], dtype="<i2").astype(np.float32) / 32_768
    return clips.clip_of(rows, _PCM_RATE)
