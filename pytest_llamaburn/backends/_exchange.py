"""One request as the wire saw it: every socket read with its stamp, split into lines afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

from pytest_llamaburn.backends._framing import Framing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_llamaburn.trace import Failed


ANSWER_LIMIT = 256_000_000  # bytes of a response
LINE_LIMIT = 16_000_000  # bytes of a line of its body
LINES_LIMIT = 1_000_000  # lines, and socket reads, of a response; each costs memory of its own
_PART = 64  # lines of it that are decoded at a time, the newest first
_CR = ord("\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class _Splitter:
    """Splits a body that comes in pieces into lines; it keeps what one call leaves to the next.

    LF ends a line, and so does CR alone; a CR before the LF stays.
    """

    stamps: list[int]
    ends: list[int]
    open: bytearray = field(default_factory=bytearray)  # the line that has not ended
    read_no: int = 0
    after_cr: bool = False

    def split(self, pieces: list[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """Yield (stamp, line) for each line that ends in these pieces."""
        ends, stamps, read_no, opened = self.ends, self.stamps, self.read_no, self.open
        for at, piece in pieces:
            end = at
            lines = piece.split(b"\n")
            if self.after_cr or (len(lines) == 1 and _CR in piece):
                end, lines = self._at_cr(at, piece)
            rest = lines.pop()
            for line in lines:
                end += len(line) + 1
                while ends[read_no] < end:
                    read_no += 1
                if opened:
                    yield stamps[read_no], bytes(opened + line)
                    opened.clear()
                else:
                    yield stamps[read_no], line
            if rest:
                opened += rest
        self.read_no = read_no

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """Yield what has no end, with the last read's stamp."""
        if self.open:
            yield self.stamps[-1], bytes(self.open)

    def copy(self) -> _Splitter:
        """Return another at the same place."""
        return replace(self, open=self.open.copy())

    def _at_cr(self, at: int, piece: bytes) -> tuple[int, list[bytes]]:
        """Return where a piece that has only CR, or begins between CR and LF, starts; its lines."""
        skipped = int(self.after_cr and piece[:1] == b"\n")
        self.after_cr = piece[-1:] == b"\r"
        text = piece[skipped:].replace(b"\r\n", b" \n").replace(b"\r", b"\n")
        return at + skipped, text.split(b"\n")


@dataclass(slots=True)
class Exchange:
    """One request as the wire saw it: `stamps` of the reads, and where in the stream each ended."""

    sent_ns: int = 0
    stamps: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    headers_ns: int | None = None
    framing: Framing = field(default_factory=Framing)
    failure: Failed | None = None
    connect_ms: float | None = None
    _lines: list[tuple[int, bytes]] = field(default_factory=list)  # of an answer while it streams
    _splitter: _Splitter | None = None
    _looked: int = 0  # lines that `news` has given
    _scanned: int = 0  # lines in which it has looked for the end of an event

    @property
    def ended_ns(self) -> int:
        """When the last byte arrived; a failure has its own time."""
        return self.stamps[-1] if self.stamps else self.sent_ns

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Return (stamp, line): each body line with the stamp of the read that completed it.

        A byte-order mark is left out. A last line without its end is there too, with the stamp of
        the last read.
        """
        known = self._splitter
        splitter = known.copy() if known else _Splitter(self.stamps, self.ends)
        found = chain(self._lines, splitter.split(self.framing.pieces), splitter.rest())
        for stamp, line in found:
            return chain([(stamp, _unmarked(line))], found)
        return found

    def split(self) -> None:
        """Split what came of the body since the last time, while the answer streams."""
        if self._splitter is None:
            self._splitter = _Splitter(self.stamps, self.ends)
        self._lines.extend(self._splitter.split(self.framing.take()))
        if self._lines:
            stamp, line = self._lines[0]
            self._lines[0] = stamp, _unmarked(line)

    def news(self, ends_event: Callable[[bytes], bool]) -> Iterator[Exchange]:
        """Yield the whole events that came since the last call in parts, the newest part first.

        `ends_event` tells whether a line is the last of an event.
        """
        self.split()
        lines, begin, scanned = self._lines, self._looked, self._scanned
        self._scanned = len(lines)
        ended = (n for n in range(len(lines), scanned, -1) if ends_event(lines[n - 1][1]))
        end = self._looked = next(ended, begin)
        while end > begin:
            start = max(begin, end - _PART)
            while start > begin and not ends_event(lines[start - 1][1]):
                start -= 1
            yield replace(self, _lines=lines[start:end], _splitter=None)
            end = start

    def oversized(self) -> str:
        """Return what of the answer is more than we take, nothing if all of it may be."""
        if self.ends and self.ends[-1] > ANSWER_LIMIT:
            return f"the answer is longer than {ANSWER_LIMIT // 1_000_000} MB"
        if self._splitter and len(self._splitter.open) > LINE_LIMIT:
            return f"a line of the answer is longer than {LINE_LIMIT // 1_000_000} MB"
        if max(len(self._lines), len(self.ends)) > LINES_LIMIT:
            return f"the answer came in more than {LINES_LIMIT} lines or pieces"
        return ""


def _unmarked(line: bytes) -> bytes:
    return line.removeprefix(_BYTE_ORDER_MARK)
