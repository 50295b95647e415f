"""LibriSpeech: `speaker/chapter/*.flac`, with a `*.trans.txt` of all transcripts of a chapter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import files
from pytest_llamaburn.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

RANK: Final = 3
HELP: Final = "LibriSpeech: folders with *.trans.txt"
_TRANSCRIPTS: Final = "**/*.trans.txt"


def finds(folder: Path) -> bool:
    """Return whether there is a file of transcripts."""
    return bool(files.found(folder, _TRANSCRIPTS))


def read(folder: Path, suffixes: Collection[str]) -> list[dict[str, Any]]:
    """Return an entry for each line of a transcript; its category is the speaker's number."""
    return [
        entry
        for path in files.found(folder, _TRANSCRIPTS)
        for entry in _entries(folder, path, suffixes)
    ]


def _entries(folder: Path, path: Path, suffixes: Collection[str]) -> Iterator[dict[str, Any]]:
    beside = {one.stem: one for one in path.parent.iterdir() if one.suffix.lower() in suffixes}
    for number, line in enumerate(_text(path).splitlines(), 1):
        name, _, said = line.strip().partition(" ")
        if not name:
            continue
        if not said.strip():
            raise DatasetError(f"{path}: line {number}: should have a name and a transcript")
        medium = beside.get(name, path.parent / f"{name}.flac")
        yield {
            "id": name,
            "media": [str(medium.relative_to(folder))],
            "reference": said.strip(),
            "category": name.partition("-")[0],
        }


def _text(path: Path) -> str:
    try:
        return files.text(files.plain_bytes(path))
    except (OSError, ValueError) as err:
        raise DatasetError(f"{path} cannot be read: {files.reason(err)}") from None
