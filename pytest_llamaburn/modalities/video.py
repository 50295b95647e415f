"""Videos: sent as frames, each with its time, or as a file to a server that takes videos.

Frames are sampled at a rate, or, if these are too many, evenly spread; `frames` of the facts has
their times. The sound goes with them where the model hears, or as a transcript.
"""

from __future__ import annotations

import hashlib
import io
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import files, media
from pytest_llamaburn.errors import DatasetError, ServerError
from pytest_llamaburn.media import Medium
from pytest_llamaburn.modalities import _footage, _soundtrack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from PIL.Image import Image

    from pytest_llamaburn.backends._base import Model, Server
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.modalities._footage import Footage

KIND: Final = "video"
NOUN: Final = "videos"
CAPABILITY: Final = "vision"  # frames are images
GROUPED_BY: Final = "length"
SETTINGS: Final = ("video_rate", "video_frames", "video_sound")
SUFFIXES: Final = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".avi": "video/x-msvideo",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
    ".ts": "video/mp2t",
}
MADE_SUFFIX: Final = ".mp4"
# Shares of right answers to a part of the questions: those that have the option.
ACCURACIES: Final = {"temporal_accuracy": "temporal", "audio_visual_accuracy": "audio_visual"}
_LONGEST_SIDE = 512  # pixels of a frame, without --image-size
_JPEG_QUALITY = 90
_PROBE_SIZE = (512, 288)
LARGEST_FILE = 256_000_000  # bytes; a request of a larger one needs several times its memory
_SECONDS = {10: "10 s", 60: "1 min", 300: "5 min", 900: "15 min", 1800: "30 min", 3600: "1 h"}
_UNKNOWN_S = 60.0  # of a video whose length is not known yet
_COMPARED = 32  # frames of which the digest of a made video is


def ready() -> None:
    """Raise MissingExtraError without PyAV and Pillow."""
    _footage.library()


def check(path: Path) -> None:
    """Decode the first frame and look for the last one; raises DatasetError for a bad file."""
    with _footage.opened(path) as footage:
        footage.check()


def settled(settings: Any, model: Model, server: Server) -> Document:
    """Return what becomes of `auto`, by what the server says that the model takes.

    Raises ServerError if it says that it takes no videos, or no sound, and the settings want that.
    """
    told = model.capabilities
    wanted = {"video": settings.video_as == "file", "audio": settings.video_sound == "sound"}
    for capability, option in (("video", "--video-as file"), ("audio", "--video-sound sound")):
        if wanted[capability] and told and capability not in told:
            raise ServerError(
                f"{option} is refused: {server.host} says that {model.id} has {', '.join(told)}, "
                f"not {capability}: leave the option out"
            )
    if settings.video_sound != "auto":
        return {}
    return {"video_sound": "sound" if "audio" in told else "none"}


def encode(path: Path, settings: Any) -> Medium:
    """Return a video as a request carries it; its facts say what of it is sent."""
    started_ns = perf_counter_ns()
    with _footage.opened(path) as footage:
        about = {
            "kind": KIND,
            "path": str(path),
            "bytes": path.stat().st_size,
            "seconds": footage.seconds,
            "frames_per_second": footage.frames_per_second,
            "codec": footage.codec,
            "sent_as": settings.video_as,
        }
        medium = _whole(path) if settings.video_as == "file" else _as_frames(footage, settings)
        if settings.video_as == "frames":
            medium = _with_sound(medium, footage, settings)
    facts = {**about, **medium.facts, "prepare_ms": (perf_counter_ns() - started_ns) / 1e6}
    return medium._replace(facts=facts)


def still(path: Path, time: float, settings: object) -> Medium:
    """Return the picture that a video shows at a time in seconds."""
    with _footage.opened(path) as footage:
        ((_, picture),) = footage.pictures([time])
        return _frame(picture, settings)


def stills(facts: Mapping[str, Any], settings: Any, most: int) -> list[float]:
    """Return at most so many of the times of the frames that a model saw, evenly spread.

    Of a video that was sent as a file, or not yet, they are sampled at the rate of the settings.
    """
    seconds = facts.get("seconds") or _UNKNOWN_S
    times = facts.get("frames") or _footage.sampled(seconds, settings.video_rate, most)
    count = min(most, len(times))
    return [times[(2 * number + 1) * len(times) // (2 * count)] for number in range(count)]


def make(spec: Mapping[str, object], path: Path) -> None:
    """Film a clip of a shipped set."""
    from pytest_llamaburn.modalities import _filming

    _filming.film(spec, path)


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of the pixels of some frames, spread over the clip, and of its sound."""
    digest = hashlib.sha256()
    with _footage.opened(path) as footage:
        times = _footage.sampled(footage.seconds, footage.frames_per_second, _COMPARED)
        for _, frame in footage.pictures(times):
            digest.update(frame.tobytes())
        if footage.has_sound:
            digest.update((_footage.samples(path) * 32_768).round().astype("<i2").tobytes())
    return digest.hexdigest()


def probe(settings: Any) -> Medium:
    """Return a short video, sent as the settings say: one frame, or a file of one second."""
    from pytest_llamaburn.modalities import _filming

    raw = _filming.second(_PROBE_SIZE)
    if settings.video_as == "file":
        facts = {"kind": KIND, "seconds": 1.0}
        return Medium(KIND, SUFFIXES[MADE_SUFFIX], media.base64_of(raw), facts)
    frame = _frame(_filming.picture(_PROBE_SIZE), settings)
    width, height = frame.facts["width"], frame.facts["height"]
    facts = {"kind": KIND, "width": width, "height": height, "frames": [0.0]}
    return Medium(KIND, frame.mime, frame.data, facts, parts=(frame,))


def size_of(facts: Mapping[str, Any]) -> tuple[str, float]:
    """Return the group of a video by its length, and a number to sort groups by."""
    bound = next((one for one in _SECONDS if facts["seconds"] <= one + 0.5), None)
    return (f"up to {_SECONDS[bound]}", bound) if bound else ("above 1 h", float("inf"))


def _whole(path: Path) -> Medium:
    """Return a video as its file; raises DatasetError for one that is too large for a request."""
    mime = SUFFIXES.get(path.suffix.lower(), SUFFIXES[MADE_SUFFIX])
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise DatasetError(
            f"{path} has {size / 1e6:.0f} MB, and at most {LARGEST_FILE / 1e6:.0f} MB can be sent "
            "in a request: leave out --video-as file, so that frames are sent"
        )
    facts = {"frames": [], "sent_mime": mime, "sent_bytes": size}
    return Medium(KIND, mime, media.base64_of(files.plain_bytes(path)), facts)


def _as_frames(footage: Footage, settings: Any) -> Medium:
    """Return a video as the frames that the settings ask for."""
    rate, most = settings.video_rate, settings.video_frames
    times, frames, size = [], [], (0, 0)
    for time, picture in footage.pictures(_footage.sampled(footage.seconds, rate, most)):
        times.append(round(time, 3))
        size = picture.size
        frames.append(_frame(picture, settings))
    told = _told(times, footage.seconds)
    shown = tuple(one._replace(text=text) for one, text in zip(frames, told, strict=True))
    facts = {
        "width": size[0],
        "height": size[1],
        "frames": times,
        "frame_count": len(times),
        "sampled_by": "rate" if footage.seconds * rate <= most else "budget",
        "video_rate": rate,
        "video_frames": most,
        "sent_width": shown[0].facts["width"],
        "sent_height": shown[0].facts["height"],
        "resized": (shown[0].facts["width"], shown[0].facts["height"]) != size,
        "sent_mime": shown[0].mime,
        "sent_bytes": sum(one.facts["sent_bytes"] for one in shown),
    }
    listed = ", ".join(_clock(time, footage.seconds) for time in times)
    text = (
        f"The images are {len(times)} frames of a video of {_clock(footage.seconds)}, in order, at "
        f"these times: {listed}."
    )
    return Medium(KIND, shown[0].mime, media.base64_of(b""), facts, text, shown)


def _with_sound(medium: Medium, footage: Footage, settings: Any) -> Medium:
    """Return a video with its sound, as far as the settings want it."""
    track = _soundtrack.of(footage, settings.video_sound)
    facts = {**medium.facts, **track.facts}
    facts["sent_bytes"] += track.facts.get("sound_bytes", 0)
    first, *rest = medium.parts
    shown = first._replace(text="\n\n".join(filter(None, [track.text, first.text])))
    parts = (shown, *rest, *((track.medium,) if track.medium else ()))
    text = "\n\n".join(filter(None, [medium.text, track.text]))
    return medium._replace(facts=facts, text=text, parts=parts)


def _told(times: Sequence[float], seconds: float) -> list[str]:
    """Return what is told before each frame: its time, and first what follows."""
    clocks = [f"{_clock(time, seconds)}:" for time in times]
    head = f"A video of {_clock(seconds)} follows as {len(times)} frames, each after its time."
    return [f"{head}\n{clocks[0]}", *clocks[1:]]


def _clock(time: float, whole: float | None = None) -> str:
    """Return a time of a video: in seconds, or as h:mm:ss in one that is longer than a minute."""
    if (time if whole is None else whole) <= 60:
        return f"{time:.1f} s"
    minutes, seconds = divmod(int(time), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _frame(picture: Image, settings: Any) -> Medium:
    """Return a frame as a JPEG, at most as large as the settings say."""
    most = settings.image_size or _LONGEST_SIDE
    if max(picture.size) > most:
        picture.thumbnail((most, most))
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    raw = buffer.getvalue()
    facts = {"width": picture.width, "height": picture.height, "sent_bytes": len(raw)}
    return Medium("image", "image/jpeg", media.base64_of(raw), facts)
