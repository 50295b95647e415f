"""Video files: how long they are, their pictures at some times, and their sound.

A file is read as a stream: at any time only a few of its pictures are in memory. Where the next
picture that is wanted is far away, the reader seeks to the key frame before it.
"""

from __future__ import annotations

import io
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from pytest_llamaburn import files
from pytest_llamaburn.errors import DatasetError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from PIL.Image import Image

SOUND_RATE: Final = 16_000  # samples a second; what speech models hear
_SEEK_S = 1.0  # a picture that is nearer is reached by decoding
_TAIL_S = 1.5  # a file whose pictures end so much earlier than its header says is cut off
_HELD_BACK = 32  # frames: no decoder has more at work, on 16 threads and to put them in order
_SOON_S = 1e-3  # clocks of files are rounded
_SLOWEST_FPS = 5.0  # where a file does not say its rate
_MP3_BITS = 48_000  # a second


def sampled(seconds: float, rate: float, most: int) -> list[float]:
    """Return the times at which a video is sampled, in seconds.

    They are 0, 1/rate, 2/rate … If these are more than `most`, it is that many times, each in the
    middle of one of as many equal parts.
    """
    count = max(1, math.ceil(seconds * rate - _SOON_S))
    if count <= most:
        return [number / rate for number in range(count)]
    return [(number + 0.5) * seconds / most for number in range(most)]


def library() -> Any:
    """Return PyAV; raises MissingExtraError without it or Pillow."""
    try:
        import av
        import PIL  # noqa: F401 - pictures are made with it
    except ImportError:
        raise MissingExtraError("video", "an eval or a benchmark with videos") from None
    return av


@contextmanager
def opened(path: Path) -> Iterator[Footage]:
    """Open a video; raises DatasetError for a file that is missing, empty, damaged or no video."""
    av = library()
    _refuse_unreadable(path)
    try:
        with av.open(str(path)) as container:
            yield Footage(container, path)
    except (av.error.FFmpegError, EOFError, ValueError, OverflowError) as err:
        raise _unusable(path, err) from None


class Footage:
    """An open video file. Times are in seconds from its first picture."""

    def __init__(self, container: Any, path: Path) -> None:
        """Take a container of PyAV; raises DatasetError if it has no pictures or no duration."""
        if not container.streams.video:
            raise DatasetError(f"{path} has no pictures: name a video, or use it as audio")
        self._container, self.path = container, path
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._start = self._stream.start_time or 0
        self.codec = str(self._stream.codec_context.name)
        self.frames_per_second = float(self._stream.average_rate or self._stream.base_rate or 0)
        self.seconds = self._seconds()
        self.has_sound = bool(container.streams.audio)
        self._at = -math.inf  # the time of the picture that was decoded last
        self._seek_over_s = _SEEK_S
        self._near_s = _HELD_BACK / (self.frames_per_second or _SLOWEST_FPS)

    def check(self) -> Self:
        """Decode the first picture, and look whether the file is whole; raises DatasetError."""
        next(self.pictures([0.0]))
        self._seek(max(0.0, self.seconds - _TAIL_S))
        last = max((self._end(packet) for packet in self._container.demux(self._stream)), default=0)
        frame_s = 1 / self.frames_per_second if self.frames_per_second else 0.0
        if last < self.seconds - max(_TAIL_S, 2 * frame_s):
            raise DatasetError(
                f"{self.path} is cut off: its pictures end at {last:.1f} s of {self.seconds:.1f} "
                "s: copy the file again, or remove it"
            )
        return self

    def pictures(self, times: Sequence[float]) -> Iterator[tuple[float, Image]]:
        """Yield the picture that is shown at each of some rising times, with its own time."""
        frames: Iterator[Any] = iter(())
        shown: Any = None
        coming: Any = None
        for time in times:
            if time - max(self._at, 0.0) > self._seek_over_s or shown is None:
                before = self._at
                self._seek(time)
                frames = self._container.decode(self._stream)
                shown, coming = next(frames), None
                self._at = self._time(shown)
                if self._at <= before:  # all pictures in between need those before them
                    self._seek_over_s = max(self._seek_over_s, 2 * (time - self._at))
            while True:
                # Far from the picture that is wanted, those that no other needs are left out.
                far = time - self._at > self._near_s
                self._stream.codec_context.skip_frame = "NONREF" if far else "DEFAULT"
                coming = next(frames, None) if coming is None else coming
                if coming is None or self._time(coming) > time + _SOON_S:
                    break
                shown, coming = coming, None
                self._at = self._time(shown)
            yield self._at, _upright(shown)

    def _seek(self, time: float) -> None:
        place = self._start + int(max(0.0, time) / self._stream.time_base)
        self._container.seek(place, stream=self._stream)

    def _seconds(self) -> float:
        """Return the duration; that of the pictures if the file says it, else of the whole file."""
        own = self._stream.duration
        seconds = float(own * self._stream.time_base) if own else 0.0
        seconds = seconds or (self._container.duration or 0) / 1e6
        if not 0 < seconds < math.inf:
            raise DatasetError(f"{self.path} does not say how long it is: convert it to MP4")
        return seconds

    def _time(self, frame: Any) -> float:
        stamp = frame.pts if frame.pts is not None else frame.dts
        if stamp is None:
            raise DatasetError(f"{self.path} has pictures without a time: convert it to MP4")
        return float((stamp - self._start) * frame.time_base)

    def _end(self, packet: Any) -> float:
        if packet.pts is None:
            return 0.0
        return float((packet.pts + (packet.duration or 0) - self._start) * packet.time_base)


def sound(path: Path, form: str) -> bytes:
    """Return the sound of a video as the bytes of a WAV or MP3 file: mono, at 16 kHz."""
    target = io.BytesIO()
    av = library()
    codec, options = ("pcm_s16le", {}) if form == "wav" else ("libmp3lame", {"b": f"{_MP3_BITS}"})
    with av.open(target, "w", format=form) as written:
        stream = written.add_stream(codec, rate=SOUND_RATE, options=options)
        stream.layout = "mono"
        for block in _blocks(path, stream.codec_context.format.name):
            written.mux(stream.encode(block))
        written.mux(stream.encode(None))
    return target.getvalue()


def samples(path: Path) -> Any:
    """Return the sound of a video as one row of samples, at 16 kHz."""
    import numpy as np

    rows = [block.to_ndarray().reshape(-1) for block in _blocks(path, "flt")]
    return np.concatenate(rows) if rows else np.zeros(0, np.float32)


def _blocks(path: Path, form: str) -> Iterator[Any]:
    """Yield the sound in blocks of samples."""
    av = library()
    resampler = av.AudioResampler(form, "mono", SOUND_RATE)
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(container.streams.audio[0]):
                frame.pts = None  # counted anew: the target has a clock of its own
                yield from resampler.resample(frame)
            yield from resampler.resample(None)
    except (av.error.FFmpegError, ValueError) as err:
        raise _unusable(path, err) from None


def _upright(frame: Any) -> Image:
    """Return a picture, turned as the camera's note says."""
    image: Image = frame.to_image()
    turned = getattr(frame, "rotation", 0) % 360
    return image.rotate(turned, expand=True) if turned else image


def _refuse_unreadable(path: Path) -> None:
    """Raise DatasetError for what is no plain file, or an empty one."""
    try:
        if not path.is_file():
            why = "it is a directory" if path.is_dir() else "it does not exist"
            raise DatasetError(f"{path} cannot be read: {why}: name a readable video")
        with path.open("rb") as file:
            if not file.read(1):
                raise DatasetError(f"{path} is empty (0 bytes): replace or remove it")
    except OSError as err:
        words = f"{path} cannot be read: {files.reason(err)}: name a readable video"
        raise DatasetError(words) from None


def _unusable(path: Path, err: Exception) -> DatasetError:
    why = str(getattr(err, "strerror", "") or err).partition(":")[0].strip() or "no reason given"
    return DatasetError(
        f"{path} cannot be decoded: it is no video, or a damaged one ({why}): replace or remove it"
    )
