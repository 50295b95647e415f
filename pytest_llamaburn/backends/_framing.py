"""HTTP/1.1 response framing, fed with pieces of any size.

The timed path only appends reads to a list; this parser runs over them when a response may have
ended, so that its cost falls after the stamps it needs. It keeps, for every piece of body, where
in the raw stream it stood: that is how a line is traced back to the read that completed it.
"""

from __future__ import annotations

import re
from functools import lru_cache

_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})[ \r]")
_SIZE = re.compile(rb"([0-9a-fA-F]+)[ \t]*(?:;|$)")
_BODILESS = (204, 304)


class FramingError(ValueError):
    """The bytes are not HTTP/1.1."""


class Framing:
    """The state of one response.

    `pieces` are (offset in the raw stream, body bytes); `done` says that the body is whole.
    """

    def __init__(self) -> None:
        """Start before the first byte."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[tuple[int, bytes]] = []
        self.done = False
        self.chunked = False
        self.until_close = False
        self.keep_alive = True
        self._rest = b""
        self._at = 0
        self._left: int | None = None
        self._last_chunk = False

    @property
    def body(self) -> bytes:
        """The body so far."""
        return b"".join(piece for _, piece in self.pieces)

    def feed(self, data: bytes) -> None:
        """Take more bytes. Raises FramingError where they are not HTTP/1.1."""
        self._rest = self._rest + data if self._rest else data
        if not self.status and not self._head():
            return
        if self.chunked:
            self._chunks()
        else:
            self._plain()

    def flush(self) -> None:
        """Keep what a response that was cut had sent of its last, unfinished chunk."""
        if self.chunked and not self.done and self._rest:
            head, _, partial = self._rest.partition(b"\r\n")
            if partial:
                self._take(len(head) + 2, partial)

    def eof(self) -> None:
        """Note that the server closed; a body delimited by that is now whole."""
        self.done = self.done or (self.until_close and bool(self.status))

    def _head(self) -> bool:
        end = self._rest.find(b"\r\n\r\n")
        if end < 0:
            if len(self._rest) > 12 and not _STATUS.match(self._rest):
                raise FramingError("not an HTTP/1.1 status line")
            return False
        lines = self._rest[:end].split(b"\r\n")
        self._skip(end + 4)
        match = _STATUS.match(lines[0] + b"\r")
        if not match:
            raise FramingError("not an HTTP/1.1 status line")
        status = int(match[2])
        if status < 200:  # 100 Continue and its like announce the real head
            return self._head()
        self.status = status
        self._read_headers(lines[1:], old=match[1] == b"0")
        return True

    def _read_headers(self, lines: list[bytes], *, old: bool) -> None:
        for line in lines:
            name, _, value = line.decode("latin-1").partition(":")
            self.headers[name.strip().lower()] = value.strip()
        connection = self.headers.get("connection", "").lower()
        self.keep_alive = connection == "keep-alive" if old else connection != "close"
        self.chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        if self.chunked and self.headers.get("server") == "llama.cpp":
            self.keep_alive = False  # it announces keep-alive on a stream, and closes all the same
        length = self.headers.get("content-length", "")
        if self.status in _BODILESS:
            self._left = 0
        elif length.isdigit() and not self.chunked:
            self._left = int(length)
        elif not self.chunked:
            self.until_close, self.keep_alive = True, False

    def _plain(self) -> None:
        data = self._rest if self._left is None else self._rest[: self._left]
        if data:
            self._take(0, data)
        self._skip(len(data))
        if self._left is not None:
            self._left -= len(data)
            self._end(self._left == 0, self._rest)

    def _end(self, done: bool, more: bytes) -> None:
        self.done = done
        if done and more:  # bytes nobody asked for: the connection is not to be trusted
            self.keep_alive = False

    def _chunks(self) -> None:
        buf, pos, at, pieces = self._rest, 0, self._at, self.pieces
        while not self._last_chunk:
            line = buf.find(b"\r\n", pos)
            if line < 0:
                break
            size = _size(buf[pos:line])
            end = line + 2 + size
            if size < 0:
                raise self._lost(f"chunk size {buf[pos:line][:20]!r} is not hexadecimal")
            if size == 0:
                self._last_chunk = True
                pos = line
            elif len(buf) < end + 2:
                break
            elif buf[end : end + 2] != b"\r\n":
                raise self._lost("chunk longer than its size says")
            else:
                pieces.append((at + line + 2, buf[line + 2 : end]))
                pos = end + 2
        self._skip(pos)
        if self._last_chunk:
            _, mark, more = self._rest.partition(b"\r\n\r\n")  # trailers end with an empty line
            self._end(bool(mark), more)

    def _lost(self, why: str) -> FramingError:
        self._rest = b""  # nobody can say which of these bytes are body
        return FramingError(why)

    def _take(self, start: int, data: bytes) -> None:
        self.pieces.append((self._at + start, data))

    def _skip(self, count: int) -> None:
        self._rest = self._rest[count:]
        self._at += count


@lru_cache(4096)
def _size(line: bytes) -> int:
    """Return the size in a chunk's first line, -1 for none; the sizes of a stream repeat."""
    match = _SIZE.match(line)
    return int(match[1], 16) if match else -1
