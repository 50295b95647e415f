"""Media of questions and prompts: what a request carries, and what is recorded of each."""

from __future__ import annotations

import base64
import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.documents import Document

CACHE_VARIABLE = "LLAMABURN_CACHE_DIR"


class Base64(str):
    """Stands in a request's body for the base64 of a medium, which has many megabytes.

    As text it is a short description. `parts` are what JSON gets in its place.
    """

    __slots__ = ("parts",)
    parts: tuple[bytes, ...]

    def __new__(cls, *parts: bytes) -> Self:
        """Take the parts: the data, and what stands before them in a URL."""
        self = super().__new__(cls, f"{sum(map(len, parts))} characters")
        self.parts = parts
        return self

    def __getnewargs__(self) -> tuple[bytes, ...]:  # type: ignore[override]  # as __new__ takes
        """Return what makes a copy in another process."""
        return self.parts


class Medium(NamedTuple):
    """An image, a recording or a video as a request carries it.

    `kind` is image, audio or video; `mime` the type of the data. `facts` are recorded: bytes,
    sizes, and how long the preparation took, in ms. `text` is told before it. A video that is sent
    as pictures has these as its `parts`, and no data of its own.
    """

    kind: str
    mime: str
    data: Base64
    facts: Document
    text: str = ""
    parts: tuple[Medium, ...] = ()

    @property
    def sent(self) -> tuple[Medium, ...]:
        """What is sent of it: its parts, or itself."""
        return self.parts or (self,)

    @property
    def url(self) -> Base64:
        """The medium as a `data:` URL."""
        return Base64(f"data:{self.mime};base64,".encode(), *self.data.parts)

    @property
    def raw(self) -> bytes:
        """The bytes of the medium."""
        return base64.b64decode(b"".join(self.data.parts))


def identified(body: Document, media: Sequence[Medium]) -> Document:
    """Return a request's body with the digests of its media, as a key of what was sent."""
    sent = [part for medium in media for part in medium.sent]
    digests = [hashlib.sha256(b"".join(one.data.parts)).hexdigest() for one in sent]
    return {**body, "media_sha256": digests} if media else body


def base64_of(raw: bytes) -> Base64:
    """Return bytes as base64."""
    return Base64(base64.b64encode(raw))


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
