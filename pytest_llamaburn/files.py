"""Reading files that others made: in any common encoding, and only regular files."""

import os
import stat
import tempfile
from functools import cache
from pathlib import Path

MOST_BYTES = 1 << 30  # of a file that is read whole
# The marks that Windows programs put first; that of UTF-32 begins with that of UTF-16.
_MARKS = {
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}


def plain_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file.

    A pipe, a socket or a device would block the reader, so they are refused unread, like a file of
    more than `most` bytes. Raises OSError, and ValueError for a path that no file can have.
    """
    about = os.stat(path)  # noqa: PTH116 - twice as fast as Path.stat
    if not stat.S_ISREG(about.st_mode):
        raise OSError("it is not a regular file")
    if about.st_size > most:
        raise OSError(f"it is larger than {most / (1 << 30):.3g} GB")
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - thrice as fast as Path.open
        return file.readall()


def text(raw: bytes) -> str:
    r"""Return the text of a file's content, with `\n` as line ends.

    The encoding is UTF-8 unless the file begins with the mark of UTF-16 or UTF-32. Raises
    UnicodeDecodeError, a ValueError.
    """
    mark = next((mark for mark in _MARKS if raw.startswith(mark)), b"")
    decoded = raw[len(mark) :].decode(_MARKS.get(mark, "utf-8"))
    return decoded.replace("\r\n", "\n").replace("\r", "\n")


def exists(path: str | Path) -> bool:
    """Return whether a path is of a regular file; False for a name that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises OSError for a long name


def found(folder: Path, pattern: str) -> list[Path]:
    """Return what matches in a folder, sorted; nothing in one that cannot be, or be read."""
    try:
        return sorted(folder.glob(pattern))
    except (OSError, ValueError):
        return []


def home(path: str | Path) -> Path:
    """Return a path with its `~` resolved; one of an unknown user stays as it is."""
    try:
        return Path(path).expanduser()
    except (RuntimeError, ValueError):
        return Path(path)


def lasting() -> Path:
    """Return a directory that stays: the user's home or, where there is none, a temporary one."""
    place = home("~")
    return place if place.is_dir() else temporary()


@cache
def temporary() -> Path:
    """Return a new temporary directory, the same in all of this process; raises OSError."""
    return Path(tempfile.mkdtemp(prefix="llamaburn-"))


def reason(err: Exception) -> str:
    """Return why the system refused a file, in its own words without the path."""
    return getattr(err, "strerror", None) or str(err) or type(err).__name__
