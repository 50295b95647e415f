"""Small video files for tests: colours one after another, and what is wrong with a file."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from PIL import Image

from pytest_llamaburn.modalities import _filming

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SIZE = (64, 48)
LIME = {"green": "lime"}  # Pillow's green is a dark one


def colours(path: Path, *names: str, seconds: float = 1.0, beep_at: float | None = None) -> Path:
    """Film colours, each for some seconds at four frames a second; with a beep of one second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scenes = [
        {"at": n * seconds, "items": [], "background": LIME.get(name, name)}
        for n, name in enumerate(names)
    ]
    about = {"seconds": seconds * len(names), "frames_per_second": 4, "size": [*SIZE]}
    beep = {"sound": "beep", "at": beep_at, "seconds": 1.0, "frequency": 440.0}
    sound = [] if beep_at is None else [beep]
    with path.open("wb") as file:
        _filming.film({**about, "scenes": scenes, "sound": sound}, file)
    return path


def other(path: Path, codec: str, seconds: int = 4, **options: str) -> Path:
    """Write a clip with another codec: red, and blue in its second half, at four frames a second.

    The option `turned` is the angle by which a camera was turned, `key` the frames between two key
    frames.
    """
    turned, key = int(options.pop("turned", "0")), int(options.pop("key", "4"))
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(codec, rate=4)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.gop_size = key
        if turned:
            stream.set_display_rotation(turned)
        for frame in _frames(4 * seconds):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def shades(path: Path, codec: str, frames: int, key: int, rate: int = 10, **options: str) -> Path:
    """Write frames of different noise, `rate` a second."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.gop_size = key
        for index in range(frames):
            noise = np.random.RandomState(index // 3).randint(0, 255, (48, 64, 3)).astype(np.uint8)
            frame: Any = av.VideoFrame.from_ndarray(noise // 2 + index % 100, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def tones(path: Path) -> Path:
    """Write an MP4 with sound alone."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=16_000, layout="mono")
        silence = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _frames(count: int) -> Iterator[Any]:
    names: Sequence[str] = ("red", "blue")
    for index in range(count):
        image = Image.new("RGB", SIZE, names[2 * index // count])
        frame: Any = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, 4)
        yield frame
