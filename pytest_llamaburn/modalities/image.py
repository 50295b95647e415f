"""Images: sent as they are in the file, or smaller with --image-size.

Formats that not every server decodes are sent as PNG.
"""

from __future__ import annotations

import io
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import files, media
from pytest_llamaburn.errors import DatasetError, MissingExtraError
from pytest_llamaburn.media import Medium

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from PIL.Image import Image

KIND: Final = "image"
NOUN: Final = "images"
CAPABILITY: Final = "vision"
SETTINGS: Final = ("image_size",)
SUFFIXES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}
MADE_SUFFIX: Final = ".png"
_SENT_AS_IS: Final = {"PNG": "image/png", "JPEG": "image/jpeg"}  # every server decodes these
_PROBE_SIZE = 336  # pixels; above the least that vision encoders take
_JPEG_QUALITY = 90
_MEGAPIXELS = (0.1, 0.5, 1.0, 2.0, 4.0)  # the bounds of the groups by size


def check(path: Path) -> None:
    """Decode an image; raises DatasetError if it is missing, empty, damaged or no image."""
    _decoded(path, _read(path)).close()


def encode(path: Path, settings: object) -> Medium:
    """Return an image as a request carries it; its facts say if it was made smaller."""
    started_ns = perf_counter_ns()
    raw = _read(path)
    most = getattr(settings, "image_size", None)
    width, height, form = _header(path, raw)
    mime, sent, size = _SENT_AS_IS.get(form), raw, (width, height)
    if mime is None or (most and max(size) > most):
        mime, sent, size = _again(path, raw, most)
    data = media.base64_of(sent)
    facts = {
        "kind": KIND,
        "path": str(path),
        "bytes": len(raw),
        "width": width,
        "height": height,
        "sent_mime": mime,
        "sent_bytes": len(sent),
        "sent_width": size[0],
        "sent_height": size[1],
        "resized": size != (width, height),
        "prepare_ms": (perf_counter_ns() - started_ns) / 1e6,
    }
    return Medium(KIND, mime, data, facts)


def make(spec: Mapping[str, object], path: Path) -> None:
    """Draw an image of a shipped set."""
    from pytest_llamaburn.modalities import _drawing

    imported()
    _drawing.drawn(spec).save(path, format="PNG")


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of an image's pixels: that of the file depends on the compression."""
    import hashlib

    with _decoded(path, _read(path)) as image:
        return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def probe(settings: object = None) -> Medium:  # noqa: ARG001 - as of videos
    """Return a small image in two colours."""
    image = imported().new("RGB", (_PROBE_SIZE, _PROBE_SIZE), "white")
    image.paste((200, 30, 30), (0, 0, _PROBE_SIZE // 2, _PROBE_SIZE))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    facts = {"kind": KIND, "width": _PROBE_SIZE, "height": _PROBE_SIZE}
    return Medium(KIND, "image/png", media.base64_of(buffer.getvalue()), facts)


def size_of(facts: Mapping[str, Any]) -> tuple[str, float]:
    """Return the group of an image by its size as sent, and a number that sorts the groups."""
    megapixels = facts["sent_width"] * facts["sent_height"] / 1e6
    bound = next((one for one in _MEGAPIXELS if megapixels <= one), None)
    return (f"up to {bound:g} MP", bound) if bound else (f"above {_MEGAPIXELS[-1]:g} MP", 1e9)


def ready() -> None:
    """Raise MissingExtraError without Pillow."""
    imported()


def imported() -> Any:
    """Return the module Image of Pillow; raises MissingExtraError."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("image", "an eval or a benchmark with images") from None
    return Image


def _read(path: Path) -> bytes:
    try:
        raw = files.plain_bytes(path)
    except (OSError, ValueError) as err:
        raise DatasetError(
            f"{path} cannot be read: {files.reason(err)}: name a readable image"
        ) from None
    if not raw:
        raise DatasetError(f"{path} is empty (0 bytes): replace or remove it")
    return raw


def _header(path: Path, raw: bytes) -> tuple[int, int, str]:
    """Return width, height and format of an image, without decoding its pixels."""
    pillow = imported()
    try:
        with pillow.open(io.BytesIO(raw)) as image:
            return image.width, image.height, str(image.format)
    except Exception as err:  # noqa: BLE001 - Pillow's readers raise anything for damaged files
        raise _unusable(path, err) from None


def _decoded(path: Path, raw: bytes) -> Image:
    """Return an image with its pixels; raises DatasetError if it cannot be decoded whole."""
    pillow = imported()
    try:
        image: Image = pillow.open(io.BytesIO(raw))
        image.load()
    except Exception as err:  # noqa: BLE001 - as above
        raise _unusable(path, err) from None
    return image


def _unusable(path: Path, err: Exception) -> DatasetError:
    cut = isinstance(err, OSError) and "truncated" in str(err).lower()
    why = "it is cut off" if cut else "it is no image, or a damaged one"
    return DatasetError(f"{path} cannot be decoded: {why}: replace or remove it")


def _again(path: Path, raw: bytes, most: int | None) -> tuple[str, bytes, tuple[int, int]]:
    """Return an image in a format of all servers, upright and at most `most` pixels long."""
    from PIL import ImageOps

    with _decoded(path, raw) as source:
        photo = source.format == "JPEG"
        image = ImageOps.exif_transpose(source)
        if most and max(image.size) > most:
            image.thumbnail((most, most))
        buffer = io.BytesIO()
        if photo:
            image.convert("RGB").save(buffer, format="JPEG", quality=_JPEG_QUALITY)
        else:
            transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            image.convert("RGBA" if transparent else "RGB").save(buffer, format="PNG")
        return ("image/jpeg" if photo else "image/png"), buffer.getvalue(), image.size
