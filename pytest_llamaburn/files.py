"""Read files of users, in any common encoding; write files that are whole or not there."""

import os
import stat
from functools import cache
from pathlib import Path

MOST_BYTES = 1 << 30  # size limit of a file
# Byte order marks; the mark of UTF-32 begins with the mark of UTF-16, so it comes first.
_MARKS = {
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}


def plain_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file.

    Pipes, sockets and devices are refused, since they could block; so are files of more than `most`
    bytes. Raises OSError, or ValueError if the path is invalid.
    """
    status = os.stat(path)  # noqa: PTH116 - twice as fast as Path.stat
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a regular file")
    if status.st_size > most:
        raise OSError(f"it is larger than {most / (1 << 30):.3g} GB")
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - three times as fast as Path.open
        return file.readall()


def text(raw: bytes) -> str:
    r"""Return the text of a file's content, with `\n` as line ends.

    The encoding is UTF-8, unless the file begins with the byte order mark of UTF-16 or UTF-32.
    Raises UnicodeDecodeError, a ValueError.
    """
    mark = next((mark for mark in _MARKS if raw.startswith(mark)), b"")
    decoded = raw[len(mark) :].decode(_MARKS.get(mark, "utf-8"))
    return decoded.replace("\r\n", "\n").replace("\r", "\n")


def exists(path: str | Path) -> bool:
    """Return whether a path is a regular file; False for an invalid path."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises OSError for a long name


def found(folder: Path, pattern: str) -> list[Path]:
    """Return the sorted matches in a folder; empty if the folder is missing or unreadable."""
    try:
        return sorted(folder.glob(pattern))
    except (OSError, ValueError):
        return []


def home(path: str | Path) -> Path:
    """Return a path with `~` expanded; the `~` of an unknown user stays."""
    try:
        return Path(path).expanduser()
    except (RuntimeError, ValueError):
        return Path(path)


def lasting() -> Path:
    """Return the user's home directory, or a temporary directory if there is no home."""
    folder = home("~")
    return folder if folder.is_dir() else temporary()


@cache
def temporary() -> Path:
    """Return a temporary directory, one per process; raises OSError."""
    import tempfile  # not for the help of all commands

    return Path(tempfile.mkdtemp(prefix="llamaburn-"))


def reason(err: Exception) -> str:
    """Return the reason in an error of the file system, without the path."""
    return getattr(err, "strerror", None) or str(err) or type(err).__name__


def written(temporary: Path, content: bytes, *, sync: bool = True) -> Path:
    """Write a file and return its path; nothing is left of it after an OSError.

    With `sync`, the content is on the disk when this returns; that can take 50 ms.
    """
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def save(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Replace a file in one step, so that it is never half-written; raises OSError."""
    temporary = written(path.with_name(f".{path.name}.{os.getpid()}"), content, sync=sync)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink()
        raise


def named(temporary: Path, folder: Path, stem: str) -> Path:
    """Move a file to the first free name `stem.json`, `stem_2.json` …; return its path.

    A link fails where a rename would overwrite.
    """
    number = 0
    while True:
        number += 1
        target = folder / (f"{stem}.json" if number == 1 else f"{stem}_{number}.json")
        try:
            os.link(temporary, target)
        except FileExistsError:
            continue
        except OSError:  # a file system without links
            if target.exists():
                continue
            return temporary.replace(target)
        temporary.unlink()
        return target
