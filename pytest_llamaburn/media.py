"""Media of questions and prompts: what a request carries, and what is recorded of each."""

from __future__ import annotations

import base64
import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

CACHE_VARIABLE = "LLAMABURN_CACHE_DIR"


class Medium(NamedTuple):
    """An image, a recording or a video as a request carries it.

    `kind` is image, audio or video; `mime` the type of `data`, which is base64. `facts` are
    recorded: bytes, sizes, and how long the preparation took, in ms.
    """

    kind: str
    mime: str
    data: str
    facts: dict[str, Any]

    @property
    def url(self) -> str:
        """The medium as a `data:` URL."""
        return f"data:{self.mime};base64,{self.data}"


def base64_of(raw: bytes) -> str:
    """Return bytes as base64 text."""
    return base64.b64encode(raw).decode("ascii")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file; an unchanged file is read once per process. Raises OSError."""
    status = os.stat(path)  # noqa: PTH116 - as in `files`
    return _sha256(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _sha256(path: str, _size: int, _changed_ns: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_dir() -> Path:
    """Return the directory of media that were made from their descriptions."""
    from platformdirs import user_cache_path

    chosen = os.environ.get(CACHE_VARIABLE)
    return (Path(chosen) if chosen else user_cache_path("llamaburn")) / "media"
