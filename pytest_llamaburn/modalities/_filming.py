"""Films the clips of the shipped sets from their descriptions.

A description has `seconds`, `frames_per_second`, `size` (width and height in pixels), and a list of
`scenes`. A scene begins `at` a time in seconds and lasts until the next one; its other fields are
those of an image (`_drawing`). `sound`, if it is there, has the events of a composition
(`_scenes`). Pictures and sound are stored without loss, so that the same description always has
the same content.
"""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from pytest_llamaburn.modalities import _drawing, _footage, _scenes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from PIL.Image import Image

_CODEC: Final = "libvpx-vp9"  # browsers play it, also without loss
_LOSSLESS: Final = {"lossless": "1", "deadline": "realtime", "cpu-used": "8"}
_KEY_FRAME_S = 10  # between two key frames, to which readers seek
_BLOCK = 4096  # samples of sound that are encoded at a time


def film(spec: Mapping[str, Any], target: Path | IO[bytes]) -> None:
    """Write the clip of a description as MP4."""
    av = _footage.library()
    place = str(target) if isinstance(target, Path) else target
    with av.open(place, "w", format="mp4") as c:
        rate = Fraction(spec["frames_per_second"]).limit_denominator(1000)
        pictures = c.add_stream(_CODEC, rate=rate, options=_LOSSLESS)
        pictures.width, pictures.height = spec["size"]
        pictures.pix_fmt = "yuv420p"
        pictures.gop_size = max(1, round(_KEY_FRAME_S * rate))
        pictures.thread_count = 1
        heard = (
            c.add_stream("flac", rate=_footage.SOUND_RATE, layout="mono") if _sound(spec) else None
        )
        for frame in _frames(av, spec, rate):
            c.mux(pictures.encode(frame))
        c.mux(pictures.encode(None))
        if heard is not None:
            for block in _blocks(av, spec):
                c.mux(heard.encode(block))
            c.mux(heard.encode(None))


def second(size: tuple[int, int]) -> bytes:
    """Return a clip of one second in one colour, as the bytes of a file."""
    target = io.BytesIO()
    scene = {"at": 0, "items": [], "background": "red"}
    film({"seconds": 1, "frames_per_second": 2, "size": size, "scenes": [scene]}, target)
    return target.getvalue()


def picture(size: tuple[int, int]) -> Image:
    """Return a picture in one colour."""
    return _drawing.drawn({"size": size, "items": [], "background": "red"})


def _frames(av: Any, spec: Mapping[str, Any], rate: Fraction) -> Iterator[Any]:
    """Yield the frames; each scene is drawn once."""
    scenes = sorted(spec["scenes"], key=lambda one: float(one["at"]))
    drawn: Any = None
    number = -1
    for index in range(round(spec["seconds"] * rate)):
        while number + 1 < len(scenes) and scenes[number + 1]["at"] <= index / rate + 1e-9:
            number += 1
            image = _drawing.drawn({"size": spec["size"], **scenes[number]})
            drawn = av.VideoFrame.from_image(image).reformat(format="yuv420p")
        drawn.pts, drawn.time_base = index, 1 / rate
        yield drawn


def _sound(spec: Mapping[str, Any]) -> list[Any]:
    events: list[Any] = spec.get("sound", [])
    return events


def _blocks(av: Any, spec: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the sound in blocks of samples of 16 bits."""
    rate = _footage.SOUND_RATE
    scene = {"seconds": spec["seconds"], "sample_rate": rate, "events": _sound(spec)}
    row = (_scenes.composed(scene).mono * 32_767).round().astype("<i2")
    for start in range(0, len(row), _BLOCK):
        part = row[None, start : start + _BLOCK]
        block = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = rate, start, Fraction(1, rate)
        yield block
