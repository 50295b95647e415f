"""The standard streams of a program, served by its tests.

The confined process loads this file by its path. What the program prints while a test calls it is
written to `sys.stdout` of the tests, and what it reads comes from `input` and `sys.stdin` of the
tests. So tests can read the output and replace the input, although they run in another process.
While the program loads, it prints to its own descriptors and has no input.
"""

from __future__ import annotations

import builtins
import codecs
import io
import os
import sys
from contextlib import suppress
from typing import Any


class Streams:
    """The streams of a program; its tests serve them once `connected` is True."""

    def __init__(self, link: Any) -> None:
        """Replace the standard streams and `input` of this process."""
        self.link, self.connected = link, False
        sys.stdout = _printing(_Output(self, "stdout", 1))
        sys.stderr = _printing(_Output(self, "stderr", 2), line_buffering=True)
        sys.stdin = _Input(self)
        builtins.input = self._input
        self._own = (sys.stdout, sys.stderr)

    def flush(self) -> None:
        """Pass on what was printed, even if the program has replaced its streams."""
        for stream in (sys.stdout, sys.stderr, *self._own):
            with suppress(BaseException):  # the program may have closed it
                stream.flush()

    def asked(self, operation: str, *values: Any) -> str:
        """Return what the tests' streams have to read; nothing while the program loads."""
        self.flush()
        return str(self.link.ask(operation, *values)) if self.connected else ""

    def _input(self, prompt: object = "", /) -> str:
        if not self.connected:
            raise EOFError("EOF when reading a line")
        return self.asked("input", str(prompt))


def _printing(raw: io.RawIOBase, *, line_buffering: bool = False) -> io.TextIOWrapper:
    buffered = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffered, "utf-8", "backslashreplace", line_buffering=line_buffering)


class _Output(io.RawIOBase):
    """An output stream of the program."""

    def __init__(self, streams: Streams, name: str, descriptor: int) -> None:
        self._streams, self._stream, self._descriptor = streams, name, descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any, /) -> int:
        if not self._streams.connected:
            return os.write(self._descriptor, data)
        text = self._decoder.decode(bytes(data))
        self._streams.link.ask("print", self._stream, text)
        return len(data)


class _Input(io.TextIOBase):
    """The input stream of the program; it reads no further than the program asks."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> str:
        return self._streams.asked("read", -1 if size is None else size)

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        return self._streams.asked("readline", size)

    @property
    def buffer(self) -> io.BufferedIOBase:
        return _Bytes(self)


class _Bytes(io.BufferedIOBase):
    """The input stream of the program as bytes."""

    def __init__(self, text: _Input) -> None:
        self._text = text

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        return self._text.read(size).encode()

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._text.readline(-1 if size is None else size).encode()
