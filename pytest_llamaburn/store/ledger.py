"""An append-only file, which can be moved to another place while it is open."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_BLOCK = 1 << 20


class Ledger:
    """An append-only file; each piece is given to the kernel at once.

    While it is open, it can be moved to another place, even if its directory is gone.
    """

    def __init__(self, path: Path) -> None:
        """Open or create it; raises OSError."""
        self._fd = _opened(path)
        self.path, self._whole = path, path.absolute()

    @property
    def here(self) -> bool:
        """Whether the file can still be found by its path.

        The current directory may have changed, or have been moved with the file in it.
        """
        return any(_same(path, self._fd) for path in (self.path, self._whole))

    def write(self, data: bytes) -> None:
        """Append all of it; raises OSError."""
        _write(self._fd, data)

    def read(self) -> bytes:
        """Return the content, even if the file was moved."""
        return b"".join(self._blocks())

    def sync(self) -> None:
        """Write the content to disk."""
        os.fsync(self._fd)

    def move(self, path: Path) -> None:
        """Copy the content to a new file and continue there; raises OSError."""
        part = path.with_name(f".{path.name}.part")
        fresh = _opened(part)
        try:
            os.ftruncate(fresh, 0)  # remove the rest of an earlier attempt
            for block in self._blocks():
                _write(fresh, block)
            part.replace(path)
        except OSError:
            os.close(fresh)
            raise
        os.close(self._fd)
        self._fd = fresh
        self.path, self._whole = path, path.absolute()

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)

    def _blocks(self) -> Iterator[bytes]:
        os.lseek(self._fd, 0, os.SEEK_SET)
        return iter(lambda: os.read(self._fd, _BLOCK), b"")


def _opened(path: Path) -> int:
    binary = getattr(os, "O_BINARY", 0)  # otherwise Windows changes line ends
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | binary, 0o666)


def _write(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]


def _same(path: Path, number: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(number))
    except OSError:
        return False
