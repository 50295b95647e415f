"""Clips: samples with their rate, as WAV, FLAC, OGG or MP3, at any sample rate."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_llamaburn import files
from pytest_llamaburn.errors import AudioError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]

FORMATS = ("wav", "flac", "ogg", "mp3")
_SUBTYPES = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}
_ENDLESS = 0x7FFF0000  # a stream's WAV header has at least this size: its length was not known


class Clip(NamedTuple):
    """Sound: samples as (frames, channels), and the frames per second."""

    samples: Samples
    sample_rate: int

    @property
    def seconds(self) -> float:
        """The duration in seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def mono(self) -> Samples:
        """The mean of the channels, as one row of samples."""
        row: Samples = self.samples.mean(axis=1, dtype=np.float32)
        return row

    def with_rate(self, sample_rate: int) -> Clip:
        """Return the clip at another sample rate, resampled by soxr."""
        if sample_rate == self.sample_rate or not len(self.samples):
            return Clip(self.samples, sample_rate)
        resampled = _soxr().resample(self.samples, self.sample_rate, sample_rate)
        return Clip(resampled.astype(np.float32), sample_rate)

    def with_channels(self, channels: int) -> Clip:
        """Return the clip with that many channels, each the mean of those it has."""
        if self.samples.shape[1] == channels:
            return self
        return Clip(np.repeat(self.mono[:, None], channels, axis=1), self.sample_rate)

    def part(self, start_s: float, end_s: float) -> Clip:
        """Return the part between two times in seconds."""
        first, last = (round(at * self.sample_rate) for at in (start_s, end_s))
        return Clip(self.samples[first:last], self.sample_rate)


def clip_of(samples: object, sample_rate: int) -> Clip:
    """Return a clip of any array of samples, also of one row."""
    rows = np.asarray(samples, dtype=np.float32)
    return Clip(rows[:, None] if rows.ndim == 1 else rows, sample_rate)


def joined(clips: list[Clip]) -> Clip:
    """Return clips of one sample rate one after another, in mono."""
    rate = clips[0].sample_rate
    return clip_of(np.concatenate([clip.with_rate(rate).mono for clip in clips]), rate)


def read(path: Path) -> Clip:
    """Return the clip of a file; raises AudioError for a file that has no whole sound."""
    try:
        raw = files.plain_bytes(path)
    except (OSError, ValueError) as err:
        raise AudioError(f"{path}: cannot be read: {files.reason(err)}") from err
    return decode(raw, str(path))


def decode(raw: bytes, name: str) -> Clip:
    """Return the clip in the bytes of a file; `name` is how errors call it.

    Raises AudioError for an unknown format, a file that is cut off, or one without samples.
    """
    soundfile = soundfile_library()
    missing = _missing_bytes(raw)
    if missing:
        raise AudioError(f"{name}: cut off: {missing} bytes are missing; copy the file again")
    try:
        samples, rate = soundfile.read(io.BytesIO(raw), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as err:
        reason = "it is empty" if not raw else _reason(err)
        raise AudioError(
            f"{name}: cannot be read as sound: {reason}; use a WAV, FLAC, OGG or MP3 file"
        ) from err
    if not len(samples):
        raise AudioError(f"{name}: it has no samples; record it again")
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: it has samples that are no numbers; export it again")
    return Clip(samples, int(rate))


def encode(clip: Clip, form: str = "wav") -> bytes:
    """Return the clip as the bytes of a file; raises AudioError for an unknown format."""
    if form not in FORMATS:
        raise AudioError(f"'{form}' is no format of sound files: use {', '.join(FORMATS)}")
    soundfile, target = soundfile_library(), io.BytesIO()
    try:
        soundfile.write(
            target, clip.samples, clip.sample_rate, format=form.upper(), subtype=_SUBTYPES[form]
        )
    except (soundfile.LibsndfileError, ValueError) as err:
        words = f"{clip.sample_rate} Hz and {clip.samples.shape[1]} channels"
        raise AudioError(f"{form} cannot have {words}: {_reason(err)}; use wav") from err
    return target.getvalue()


def write(clip: Clip, path: Path) -> None:
    """Write the clip to a file whose suffix names the format.

    Raises AudioError for an unknown suffix or a file that cannot be written.
    """
    content = encode(clip, form_of(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as err:
        raise AudioError(f"{path}: cannot be written: {files.reason(err)}") from err


def form_of(path: Path) -> str:
    """Return the format that a path's suffix names; raises AudioError for another one."""
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        words = f"its suffix names no format of sound files: use .{', .'.join(FORMATS)}"
        raise AudioError(f"{path}: {words}")
    return form


def _missing_bytes(raw: bytes) -> int:
    """Return how many bytes a WAV file lacks that its header promises; 0 for other formats."""
    if raw[:4] != b"RIFF" or raw[8:12] != b"WAVE":
        return 0
    promised = int.from_bytes(raw[4:8], "little")
    return 0 if promised >= _ENDLESS else max(0, promised + 8 - len(raw))


def _reason(err: Exception) -> str:
    text = str(err).rsplit(": ", 1)[-1].strip().rstrip(".")
    return f"{text[:1].lower()}{text[1:]}"


def soundfile_library() -> Any:
    """Return the library soundfile; raises MissingExtraError."""
    try:
        import soundfile
    except (ImportError, OSError):
        raise MissingExtraError("audio", "reading and writing sound files") from None
    return soundfile


def _soxr() -> Any:
    try:
        import soxr
    except ImportError:
        raise MissingExtraError("audio", "changing a sample rate") from None
    return soxr
