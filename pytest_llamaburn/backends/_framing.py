"""HTTP/1.1 response framing of data in pieces of any size.

The timed path only appends reads to a list. This parser runs when a response may have ended, after
the reads were stamped. It keeps the raw-stream offset of every piece of body, so that a line can be
traced back to the read that completed it.

Its work is linear in the bytes, however they are split, and its memory is bounded.
"""

from __future__ import annotations

import re
from functools import lru_cache

HEAD_LIMIT = 256_000  # most bytes in a response's head, including interim heads
_SHORT_LIMIT = 16_000  # most bytes in a chunk's size line, and in all trailers
_OPENING = 64_000  # the first bytes of a response, kept even after `take`
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})[ \r\n]")
_SIZE = re.compile(rb"([0-9a-fA-F]+)[ \t]*(?:;|\r?$)")
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_BODILESS = (204, 304)


class FramingError(ValueError):
    """The bytes are not valid HTTP/1.1; `kind` is the failure kind."""

    kind = "malformed_chunk"


class OversizedError(FramingError):
    """A part of the response exceeds its limit."""

    kind = "oversized_answer"


class Framing:
    """The state of one response.

    `pieces` are (offset in the raw stream, body bytes); `done` is True once the body is complete.
    """

    def __init__(self) -> None:
        """Start before the first byte."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[tuple[int, bytes]] = []
        self.done = False
        self.chunked = False
        self.strict = True
        self.until_close = False
        self.keep_alive = True
        self._opening: list[tuple[int, bytes]] = []
        self._heads = bytearray()
        self._rest = b""
        self._at = 0
        self._left = 0  # bytes still missing from the body or from the current chunk
        self._closing = False  # a chunk's data are complete, but the line end after them is not
        self._last_chunk = False

    @property
    def succeeded(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def body(self) -> bytes:
        """The body so far; only its start and its newest pieces once `take` was called."""
        return b"".join(piece for _, piece in (*self._opening, *self.pieces))

    def take(self) -> list[tuple[int, bytes]]:
        """Return the pieces since the last call and drop them; the first ones stay in `body`."""
        taken, self.pieces = self.pieces, []
        if not self._opening or self._opening[-1][0] < _OPENING:
            self._opening += taken
        return taken

    def feed(self, data: bytes) -> None:
        """Parse more bytes. Raises FramingError if they are not HTTP/1.1 or exceed a limit."""
        if not self.status:
            data = self._head(data)
        if not self.status:
            return
        if self.chunked:
            self._chunks(self._rest + data if self._rest else data)
        else:
            self._plain(data)

    def eof(self) -> None:
        """Handle a closed connection: a body without a length is now complete."""
        self.done = self.done or (self.until_close and bool(self.status))

    def _head(self, data: bytes) -> bytes:
        """Parse bytes of the head; return the bytes after it.

        Interim responses such as 100 Continue have a head of their own and are skipped.
        """
        heads, begin = self._heads, 0
        searched = max(0, len(heads) - 2)
        heads += data
        while not self.status and (end := _EMPTY_LINE.search(heads, searched)):
            self._read_head(bytes(heads[begin : end.start()]))
            begin = searched = end.end()
        if not self.status and len(heads) - begin > 12 and not _STATUS.match(heads, begin):
            raise FramingError("not an HTTP/1.1 status line")
        self._at += begin
        if self._at + (0 if self.status else len(heads) - begin) > HEAD_LIMIT:
            raise OversizedError(f"its head is longer than {HEAD_LIMIT // 1000} kB")
        del heads[:begin]
        if not self.status:
            return b""
        self._heads = bytearray()
        return bytes(heads)

    def _read_head(self, head: bytes) -> None:
        lines = [line.removesuffix(b"\r") for line in head.split(b"\n")]
        match = _STATUS.match(lines[0] + b"\r")
        if not match:
            raise FramingError("not an HTTP/1.1 status line")
        if int(match[2]) >= 200:  # 1xx is an interim response
            self.status = int(match[2])
            self.strict = head.count(b"\r\n") == len(lines) - 1
            self._read_headers(lines[1:], old=match[1] == b"0")

    def _read_headers(self, lines: list[bytes], *, old: bool) -> None:
        for line in lines:
            name, _, value = line.decode("latin-1").partition(":")
            self.headers[name.strip().lower()] = value.strip()
        connection = self.headers.get("connection", "").lower()
        self.keep_alive = connection == "keep-alive" if old else connection != "close"
        self.chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        if self.chunked and self.headers.get("server") == "llama.cpp":
            self.keep_alive = False  # it announces keep-alive on a stream but closes
        length = self.headers.get("content-length", "")
        if self.status in _BODILESS:
            self.chunked = False
        elif _LENGTH.fullmatch(length) and not self.chunked:
            self._left = int(length)
        elif not self.chunked:
            self.until_close, self.keep_alive = True, False

    def _plain(self, data: bytes) -> None:
        body = data if self.until_close else data[: self._left]
        if body:
            self._take(body)
        if not self.until_close:
            self._left -= len(body)
            self._end(self._left == 0, data[len(body) :])

    def _end(self, done: bool, more: bytes) -> None:
        self.done = done
        if done and more:  # unexpected bytes: do not reuse the connection
            self.keep_alive = False

    def _chunks(self, buf: bytes) -> None:
        pos = self._rest_of_chunk(buf) if self._left or self._closing else 0
        at, pieces = self._at, self.pieces
        while not (self._last_chunk or self._left or self._closing):
            line = buf.find(b"\n", pos)
            if line < 0:
                break
            size = _size(buf[pos:line])
            start, end = line + 1, line + 1 + size
            if size < 0:
                raise self._lost(f"chunk size {buf[pos:line][:20]!r} is not hexadecimal")
            if size == 0:
                self._last_chunk = True
                pos = line
            elif buf[end : end + 2] == b"\r\n":
                pieces.append((at + start, buf[start:end]))
                pos = end + 2
            else:
                self._left = size
                pos = self._rest_of_chunk(buf, start)
        self._rest = buf[pos:]
        self._at += pos
        if self._last_chunk:
            self._trailers()
        elif len(self._rest) > _SHORT_LIMIT:
            raise self._lost("the line of a chunk's size does not end")

    def _rest_of_chunk(self, buf: bytes, start: int = 0) -> int:
        """Read the available part of the current chunk; return the position after it in `buf`.

        A chunk is read as it arrives, so that each of its bytes is read once.
        """
        if self._left:
            part = buf[start : start + self._left]
            if part:
                self.pieces.append((self._at + start, part))
            self._left -= len(part)
            self._closing = not self._left
            start += len(part)
        if self._closing:
            mark = buf[start : start + 2]
            if mark in (b"", b"\r"):
                return start
            if mark[:1] != b"\n" and mark != b"\r\n":
                raise self._lost("chunk longer than its size says")
            self._closing = False
            start += 1 if mark[:1] == b"\n" else 2
        return start

    def _trailers(self) -> None:
        """Search for the empty line that ends the body, after the last chunk's size."""
        end = _EMPTY_LINE.search(self._rest)
        if end is None and len(self._rest) > _SHORT_LIMIT:
            raise self._lost("the trailers after the last chunk do not end")
        self._end(end is not None, self._rest[end.end() :] if end else b"")

    def _lost(self, why: str) -> FramingError:
        self._rest = b""  # which of these bytes are body is unknown
        return FramingError(why)

    def _take(self, data: bytes) -> None:
        self.pieces.append((self._at, data))
        self._at += len(data)


@lru_cache(4096)
def _size(line: bytes) -> int:
    """Return the size in a chunk's size line, or -1 if invalid; cached, since sizes repeat."""
    match = _SIZE.match(line)
    return int(match[1], 16) if match else -1
