"""Sound that another program writes: a file of samples that grows, read as a device is.

The file has 16-bit samples, mono, low byte first, without a header. A second file of the same name
with `.end` says that there will be no more.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_llamaburn.audio.devices import Form
from pytest_llamaburn.errors import AudioError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.audio.clips import Samples

PREFIX: Final = "stream:"
RATE: Final = 16_000
END: Final = ".end"
_PATIENCE_S = 30.0  # without anything new
_POLL_S = 0.02
_MOST_BYTES = 64_000  # of a block: two seconds


class Stream:
    """A stream as a source of blocks; a loop over it gets them until it ends."""

    def __init__(self, path: Path, patience_s: float = _PATIENCE_S) -> None:
        """Take the file; raises AudioError if it cannot be read."""
        self.name, self.form = str(path), Form(RATE, 1, 0)
        self.overruns: int | None = None  # nobody tells
        self.ended = ""
        self._path, self._patience_s = path, patience_s
        if not path.is_file():
            raise AudioError(f"--device: {path} is no file: name one that has 16-bit samples")

    def __iter__(self) -> Iterator[Samples]:
        """Yield blocks of samples as they are written."""
        with self._path.open("rb", buffering=0) as file:
            yield from self._read(file.fileno())

    def _read(self, descriptor: int) -> Iterator[Samples]:
        import numpy as np  # here, because the server of the page never needs it

        rest, newest = b"", time.monotonic()
        while True:
            over = Path(f"{self._path}{END}").exists()  # before the last samples are read
            raw = rest + os.read(descriptor, _MOST_BYTES)
            even = len(raw) // 2 * 2
            if even:
                block, rest, newest = raw[:even], raw[even:], time.monotonic()
                row = np.frombuffer(block, "<i2") / np.float32(32_768)
                yield row.astype(np.float32)[:, None]
            elif over:
                return
            elif time.monotonic() - newest > self._patience_s:
                self.ended = f"nothing was written to {self.name} for {self._patience_s:g} s"
                return
            else:
                time.sleep(_POLL_S)
