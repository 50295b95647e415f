"""The raw record of one request: every socket read with its stamp, later split into lines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

from pytest_llamaburn.backends._framing import Framing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_llamaburn.trace import Failed


ANSWER_LIMIT = 256_000_000  # most bytes in a response
LINE_LIMIT = 16_000_000  # most bytes in a line of its body
LINES_LIMIT = 1_000_000  # most lines, and most socket reads, in a response: each uses memory
_PART = 64  # lines decoded at a time, the newest first
_CR = ord("\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class _Splitter:
    """Splits a body that arrives in pieces into lines; keeps an unfinished line for the next call.

    LF ends a line, and so does CR alone; a CR before the LF stays in the line.
    """

    stamps: list[int]
    ends: list[int]
    open: bytearray = field(default_factory=bytearray)  # the unfinished line
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
        """Yield the unfinished line, with the stamp of the last read."""
        if self.open:
            yield self.stamps[-1], bytes(self.open)

    def copy(self) -> _Splitter:
        """Return a copy with the same state."""
        return replace(self, open=self.open.copy())

    def _at_cr(self, at: int, piece: bytes) -> tuple[int, list[bytes]]:
        """Return (offset, lines) of a piece with CR line ends, or that begins between CR and LF."""
        skipped = int(self.after_cr and piece[:1] == b"\n")
        self.after_cr = piece[-1:] == b"\r"
        text = piece[skipped:].replace(b"\r\n", b" \n").replace(b"\r", b"\n")
        return at + skipped, text.split(b"\n")


@dataclass(slots=True)
class Exchange:
    """The raw record of one request: `stamps` of the reads, and `ends`, their stream offsets."""

    sent_ns: int = 0
    stamps: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    headers_ns: int | None = None
    framing: Framing = field(default_factory=Framing)
    failure: Failed | None = None
    connect_ms: float | None = None
    has_lines: bool = True  # of a sound it is not true: its body is kept whole
    _lines: list[tuple[int, bytes]] = field(default_factory=list)  # of an answer that still streams
    _splitter: _Splitter | None = None
    _looked: int = 0  # lines that `news` has yielded
    _scanned: int = 0  # lines that `news` has searched for the end of an event

    @property
    def ended_ns(self) -> int:
        """The time when the last byte arrived; a failure has its own time."""
        return self.stamps[-1] if self.stamps else self.sent_ns

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Return (stamp, line): each body line with the stamp of the read that completed it.

        A byte-order mark is removed. An unfinished last line is included, with the stamp of the
        last read.
        """
        known = self._splitter
        splitter = known.copy() if known else _Splitter(self.stamps, self.ends)
        lines = chain(self._lines, splitter.split(self.framing.pieces), splitter.rest())
        for stamp, line in lines:
            return chain([(stamp, _unmarked(line))], lines)
        return lines

    def split(self) -> None:
        """Split the part of the body that arrived since the last call, while the answer streams."""
        if self._splitter is None:
            self._splitter = _Splitter(self.stamps, self.ends)
        self._lines.extend(self._splitter.split(self.framing.take()))
        if self._lines:
            stamp, line = self._lines[0]
            self._lines[0] = stamp, _unmarked(line)

    def news(self, ends_event: Callable[[bytes], bool]) -> Iterator[Exchange]:
        """Yield the complete events that arrived since the last call in parts, newest part first.

        `ends_event` returns whether a line ends an event.
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
        """Return a sentence about the limit that the answer exceeds, or an empty text."""
        if self.ends and self.ends[-1] > ANSWER_LIMIT:
            return f"the answer is longer than {ANSWER_LIMIT // 1_000_000} MB"
        if self._splitter and len(self._splitter.open) > LINE_LIMIT:
            return f"a line of the answer is longer than {LINE_LIMIT // 1_000_000} MB"
        if max(len(self._lines), len(self.ends)) > LINES_LIMIT:
            return f"the answer came in more than {LINES_LIMIT} lines or pieces"
        return ""


def _unmarked(line: bytes) -> bytes:
    return line.removeprefix(_BYTE_ORDER_MARK)
