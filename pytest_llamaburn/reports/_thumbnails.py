"""Small pictures of samples and answers, inside of the page: images, and sound as its waveform."""

from __future__ import annotations

import base64
import io
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_llamaburn import kept_media
from pytest_llamaburn.audio import clips
from pytest_llamaburn.errors import LlamaBurnError, MissingExtraError
from pytest_llamaburn.reports._svg import text
from pytest_llamaburn.tables import number
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_llamaburn.charts import Entry, Shown

_SIZES = (160, 96)  # pixels of an image's longer side: smaller where there are many
_QUALITY = 55
_MOST_BYTES = 20_000_000  # of a sound file; a longer one is not drawn
_COLUMNS, _HALF = 120, 20  # of a waveform
_MOST_PICTURES = 200


class Pictures(NamedTuple):
    """The pictures of each entry as HTML, and a sentence on those that are left out."""

    of: Sequence[str]
    note: str


def drawn(entries: Sequence[Entry], path: Path, room: float) -> Pictures:
    """Return the pictures of the media of entries in so many bytes, those of the first ones."""
    if not any(entry.media for entry in entries):
        return Pictures([""] * len(entries), "")
    home = path.parent.parent.parent  # a file of an eval with media is in multimodal/MODALITY
    for size in _SIZES:
        made = _Drawing(home, size, room)
        found = [made.all_of(entry) for entry in entries]
        if not made.left_out:
            break
    return Pictures(found, made.note)


class _Drawing:
    """Draws pictures until there is no room for more, and counts what is not drawn."""

    def __init__(self, home: Path, size: int, room: float) -> None:
        self._home, self._size, self._room = home, size, room
        self.left_out = self._unknown = self._drawn = 0
        self._lacks: dict[str, None] = {}

    def all_of(self, entry: Entry) -> str:
        pictures = "".join(chain.from_iterable(map(self._one, entry.media)))
        return f'<div class="shown">{pictures}</div>' if pictures else ""

    @property
    def note(self) -> str:
        """What is not shown, and why; empty if all is."""
        why = (
            (self.left_out, "left out, because they would make this page too large"),
            (self._unknown, "not kept beside the result file, or cannot be drawn"),
        )
        told = [f"{counted(n, 'picture')} {'is' if n == 1 else 'are'} {w}" for n, w in why if n]
        return "; ".join([*told, *self._lacks])

    def _one(self, shown: Shown) -> list[str]:
        path = kept_media.found(self._home, shown.id or "")
        if path is None:
            self._unknown += 1
            return []
        if self.left_out or self._drawn >= _MOST_PICTURES:
            self.left_out += 1
            return []
        try:
            picture = _picture(path, self._size)
        except MissingExtraError as err:
            self._lacks[str(err)] = None
            return []
        except LlamaBurnError:
            picture = None
        if picture is None:
            self._unknown += 1
            return []
        label = text(shown.label)
        made = f"<figure>{picture}<figcaption>{label}</figcaption></figure>"
        if len(made.encode()) > self._room:
            self.left_out += 1
            return []
        self._room -= len(made.encode())
        self._drawn += 1
        return [made]


def _picture(path: Path, size: int) -> str | None:
    """Return a medium as HTML; None for what cannot be drawn. Raises LlamaBurnError."""
    kind = kept_media.TYPES[path.suffix].partition("/")[0]
    if kind == "audio":
        return _waveform(path)
    return _image(path, size) if kind == "image" else _still(path, size)


def _image(path: Path, size: int) -> str | None:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise MissingExtraError("image", "pictures in a report") from None
    try:
        with Image.open(path) as source:
            source.draft("RGB", (size, size))  # a JPEG is decoded at about this size
            return _small(ImageOps.exif_transpose(source), size)
    except Exception:  # noqa: BLE001 - Pillow's readers raise anything for damaged files
        return None


def _still(path: Path, size: int) -> str | None:
    """Return the first frame of a video."""
    try:
        import av
    except ImportError:
        raise MissingExtraError("video", "pictures of videos in a report") from None
    try:
        with av.open(str(path)) as container:
            frame: Any = next(container.decode(video=0))
            return _small(frame.to_image(), size)
    except (av.FFmpegError, StopIteration, LookupError):
        return None


def _small(image: Any, size: int) -> str:
    buffer = io.BytesIO()
    image.thumbnail((size, size))
    mode = "RGBA" if _is_transparent(image) else "RGB"
    image.convert(mode).save(buffer, format="WEBP", quality=_QUALITY, method=4)
    data = base64.b64encode(buffer.getvalue()).decode()
    width, height = image.size
    return f'<img alt="" width="{width}" height="{height}" src="data:image/webp;base64,{data}">'


def _is_transparent(image: object) -> bool:
    mode, info = getattr(image, "mode", ""), getattr(image, "info", {})
    return mode in ("RGBA", "LA", "PA") or "transparency" in info


def _waveform(path: Path) -> str | None:
    """Return the waveform of a sound file as SVG: the range of its samples in each column."""
    if path.stat().st_size > _MOST_BYTES:
        return None
    clip = clips.read(path)
    parts = np.array_split(clip.mono, min(_COLUMNS, len(clip.samples)))
    ends = [(_height(part.max()), _height(part.min())) for part in parts]
    lines = "".join(
        f"M{column} {top}V{max(bottom, top + 1)}" for column, (top, bottom) in enumerate(ends)
    )
    label = f"{number(clip.seconds)} s of sound"
    return (
        f'<svg class="wave" viewBox="0 0 {_COLUMNS} {2 * _HALF}" role="img" '
        f'aria-label="{text(label)}"><path d="{lines}"/></svg>'
    )


def _height(sample: float) -> int:
    """Return where a sample from -1 to 1 lies, from the top."""
    return round(_HALF * (1 - max(-1.0, min(1.0, float(sample)))))
