"""The web page: its files, which need no token because they hold no data."""

from __future__ import annotations

import gzip
import mimetypes
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pytest_llamaburn.web import bundle
from pytest_llamaburn.web.refusals import Refusal

if TYPE_CHECKING:
    from pathlib import Path

ASSETS = "/assets/"
_FOREVER = "public, max-age=31536000, immutable"  # each name has the hash of its content
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".txt": "text/plain"}

router = APIRouter(include_in_schema=False)


class File:
    """A file of the bundle, in memory, as it is and compressed."""

    def __init__(self, path: Path) -> None:
        """Read and compress the file."""
        self.plain = path.read_bytes()
        self.packed = gzip.compress(self.plain, 9, mtime=0)
        guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self.media_type = _TYPES.get(path.suffix, guessed)


class Files:
    """The files of the bundle; each is read once."""

    def __init__(self, folder: Path) -> None:
        """Serve a folder."""
        self._folder = folder
        self._known: dict[str, File] = {}

    @property
    def there(self) -> bool:
        """Whether the page has been built."""
        return (self._folder / "index.html").is_file()

    def answer(self, name: str, request: Request, **headers: str) -> Response:
        """Return a file, compressed where the client takes that; raises Refusal."""
        if name not in self._known:
            path = self._folder / name
            if path.parent != self._folder or name.startswith(".") or not path.is_file():
                raise Refusal(404, "there is nothing here: /docs names all paths")
            self._known[name] = File(path)
        found = self._known[name]
        known = {"vary": "accept-encoding", **headers}
        if "gzip" in request.headers.get("accept-encoding", ""):
            known["content-encoding"] = "gzip"
        content = found.packed if "content-encoding" in known else found.plain
        return Response(content, media_type=found.media_type, headers=known)


FILES = Files(bundle.BUNDLE)


def first(request: Request) -> Response | None:
    """Return the page, or None where it has not been built."""
    return FILES.answer("index.html", request) if FILES.there else None


@router.get(ASSETS + "{name}")
async def asset(name: str, request: Request) -> Response:
    """Return a file of the page."""
    return FILES.answer(name, request, **{"cache-control": _FOREVER})
