"""Media that results show, kept beside their files: what models were shown and what they made.

`multimodal/media` in the results directory has each medium once. Its name, which is its id, is made
of its content: the id in the row of an answer is all that a page or a report needs to find it.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_llamaburn import files, media

if TYPE_CHECKING:
    from pytest_llamaburn.media import Medium

FOLDER: Final = "multimodal/media"
ID: Final = r"^[0-9a-f]{32}\.[a-z0-9]{3,4}$"
# What browsers show and play, by suffix.
TYPES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
}
_MOST_BYTES = 256_000_000  # of the samples of one run
_NAMED = 32  # hexadecimal digits of a digest


class Keeper:
    """Keeps the samples of a run, as long as they are not too many bytes together."""

    def __init__(self, results_dir: Path, most_bytes: int = _MOST_BYTES) -> None:
        """Keep media in a results directory; nothing is written yet."""
        self._results_dir, self._left = results_dir, most_bytes
        self._ids: dict[str, str | None] = {}

    def of_file(self, path: str | Path) -> str | None:
        """Return the id of a copy of a file; None where it is not kept."""
        name = str(path)
        if name not in self._ids:
            self._ids[name] = self._copied(Path(path))
        return self._ids[name]

    def of_sent(self, medium: Medium) -> str | None:
        """Return the id of a medium that is sent; if no browser shows its file, as it is sent."""
        path = str(medium.facts.get("path", ""))
        found = self.of_file(path) if path else None
        suffix = _suffix_of(medium.mime)
        fits = suffix is not None and TYPES[suffix].startswith(medium.kind)
        if found or not fits or Path(path).suffix.lower() in TYPES:
            return found
        return keep(self._results_dir, medium.raw, str(suffix))

    def _copied(self, path: Path) -> str | None:
        suffix = path.suffix.lower()
        with suppress(OSError):
            size = os.stat(path).st_size  # noqa: PTH116 - as in `files`
            if suffix in TYPES and size <= self._left:
                self._left -= size
                name = f"{media.sha256_of(path)[:_NAMED]}{suffix}"
                target = self._results_dir / FOLDER / name
                if not target.is_file():
                    _written(target, files.plain_bytes(path))
                return name
        return None


def keep(results_dir: Path, raw: bytes, suffix: str) -> str | None:
    """Keep the bytes of a medium and return its id; None where they cannot be written."""
    name = f"{hashlib.sha256(raw).hexdigest()[:_NAMED]}{suffix}"
    with suppress(OSError):
        _written(results_dir / FOLDER / name, raw)
        return name
    return None


def found(results_dir: Path, name: str) -> Path | None:
    """Return the path of a medium by its id; None for what is no id or not kept."""
    if not re.fullmatch(ID, name) or Path(name).suffix not in TYPES:
        return None
    folder = (results_dir / FOLDER).resolve()
    path = folder / name
    return path if path.is_file() and path.resolve().parent == folder else None


def _suffix_of(mime: str) -> str | None:
    known = {kind: suffix for suffix, kind in reversed(TYPES.items())}
    return known.get({"audio/mp3": "audio/mpeg"}.get(mime, mime))


def _written(path: Path, raw: bytes) -> None:
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        temporary.write_bytes(raw)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
