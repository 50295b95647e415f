"""What clients send to be asked about: files, or sound while it is spoken.

Each upload has a private folder in the results directory, in which the server names the files. It
is removed when the job that uses it is over, or after half an hour in which nothing came. If the
run was cut, its journal names the folder: it is kept until the run is complete.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import files, registry
from pytest_llamaburn.audio import stream
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.store import journal
from pytest_llamaburn.web.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FOLDER = ".uploads"
ID = r"^[0-9a-f]{16}$"
PREFIX = "upload:"  # before an id, where a setting names an upload
MOST_UPLOADS = 8
MOST_FILES = 100
MOST_BYTES = 256_000_000  # of the files of an upload
MOST_FILE_BYTES = 64_000_000
_MOST_SOUND_BYTES = 3600 * stream.RATE * 2  # an hour
_SOUND = "sound.pcm"
_IDLE_S = 1800.0
SWEPT_EVERY_S = 1.0


class Sample(NamedTuple):
    """What is asked about a file, if not what the set asks."""

    file: int
    prompt: str | None
    reference: str | None


class _Upload:
    """The files of an upload, in the order in which they came."""

    def __init__(self, folder: Path, suffixes: Sequence[str]) -> None:
        self.folder, self.suffixes = folder, suffixes
        self.names: list[str] = []
        self.paths: list[str] = []
        self.size = 0
        self.used = False
        self.touched = time.monotonic()


class Uploads:
    """The uploads of a server, and those of earlier ones that runs can be continued with."""

    def __init__(self, results_dir: Path) -> None:
        """Keep uploads in a results directory; nothing is written yet."""
        self._home = results_dir / FOLDER
        self._known: dict[str, _Upload] = {}
        self._journals: dict[str, Path] = {}  # of cut runs, by the upload that they name

    def begin(self, suffixes: Sequence[str]) -> str:
        """Return the id of a new upload of files with these suffixes, or of sound without any."""
        if len(self._known) >= MOST_UPLOADS:
            raise Refusal(409, f"{MOST_UPLOADS} uploads are there already: remove one, or wait")
        upload_id = secrets.token_hex(8)
        folder = self._home / upload_id
        try:
            folder.mkdir(parents=True, mode=0o700)
            self._home.chmod(0o700)
            if not suffixes:
                (folder / _SOUND).touch()
        except OSError as err:
            raise _unwritable(folder, err) from err
        self._known[upload_id] = _Upload(folder, suffixes)
        return upload_id

    def add(self, upload_id: str, name: str, raw: bytes) -> int:
        """Keep a file; return its number. Only the suffix of its name is used."""
        upload = self._of(upload_id)
        suffix = Path(name).suffix.lower()
        if suffix not in upload.suffixes:
            known = ", ".join(upload.suffixes) or "no files"
            raise Refusal(422, f"{name!r} is refused: this upload takes {known}", "name")
        if len(upload.paths) >= MOST_FILES:
            raise Refusal(413, f"an upload has at most {MOST_FILES} files")
        if not raw or upload.size + len(raw) > MOST_BYTES:
            why = f"an upload has at most {MOST_BYTES:,} bytes" if raw else f"{name!r} is empty"
            raise Refusal(413 if raw else 422, why)
        number = len(upload.paths)
        self._write(upload, f"{number}{suffix}", raw)
        upload.paths.append(f"{number}{suffix}")
        upload.names.append(name)
        return number

    def describe(self, upload_id: str, samples: Iterable[Sample]) -> None:
        """Write what is asked about the files, in the layout that readers of media know."""
        upload = self._of(upload_id)
        entries = [_entry(upload, sample) for sample in samples]
        self._write(upload, "manifest.json", json.dumps(entries).encode())

    def hear(self, upload_id: str, raw: bytes, *, last: bool) -> None:
        """Append samples of sound; after the last ones, there are no more."""
        upload = self._of(upload_id)
        path = upload.folder / _SOUND
        if upload.suffixes:
            raise Refusal(422, "this upload is one of files: begin another one for sound")
        if upload.size + len(raw) > _MOST_SOUND_BYTES:
            raise Refusal(413, "an hour of sound is the most that is heard")
        upload.size, upload.touched = upload.size + len(raw), time.monotonic()
        try:
            with path.open("ab") as file:
                file.write(raw)
            if last:
                Path(f"{path}{stream.END}").touch()
        except OSError as err:
            raise _unwritable(upload.folder, err) from err

    def remove(self, upload_id: str) -> None:
        """Remove an upload and its files."""
        shutil.rmtree(self._of(upload_id).folder, ignore_errors=True)
        del self._known[upload_id]

    def clear(self) -> None:
        """Remove all uploads, except those of runs that can be continued."""
        self._known.clear()
        for path in files.found(self._home, "*"):
            self._drop(path)
        with suppress(OSError):  # some are kept, or there are none
            self._home.rmdir()

    def sweep(self, commands: Sequence[str]) -> None:
        """Remove what no job uses any more; `commands` are those of the jobs that are not over."""
        now = time.monotonic()
        for path in files.found(self._home, "*"):
            known = self._known.get(path.name)
            if any(path.name in command for command in commands):
                if known:
                    known.used, known.touched = True, now
            elif known is None or known.used or now - known.touched > _IDLE_S:
                self._known.pop(path.name, None)
                self._drop(path)

    def _drop(self, path: Path) -> None:
        """Remove the folder of an upload, unless a run can be continued with it."""
        found = self._journals.pop(path.name, None)
        if found is None or not found.is_dir():
            found = _journal_of(self._home.parent, path.name)
        if found is None:
            shutil.rmtree(path, ignore_errors=True)
        else:
            self._journals[path.name] = found

    def _of(self, upload_id: str) -> _Upload:
        upload = self._known.get(upload_id)
        if upload is None or not upload.folder.is_dir():
            raise Refusal(404, "there is no such upload: it was removed, or never begun", "id")
        return upload

    def _write(self, upload: _Upload, name: str, raw: bytes) -> None:
        try:
            (upload.folder / name).write_bytes(raw)
        except OSError as err:
            raise _unwritable(upload.folder, err) from err
        upload.size += len(raw)
        upload.touched = time.monotonic()


def placed(given: Mapping[str, Any], results_dir: str) -> dict[str, Any]:
    """Return settings in which an upload that they name is its folder, or its sound.

    Raises Refusal for an upload that is not there.
    """
    return {
        name: _placed(name, value, results_dir) if name in ("input", "device") else value
        for name, value in given.items()
    }


def _placed(name: str, value: Any, results_dir: str) -> Any:
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return value
    upload_id = value.removeprefix(PREFIX)
    folder = Path(results_dir) / FOLDER / upload_id
    if not re.fullmatch(ID, upload_id) or not folder.is_dir():
        words = "the files were removed: choose them again"
        raise Refusal(422, f"{name}: {words}", name)
    return str(folder) if name == "input" else f"{stream.PREFIX}{folder / _SOUND}"


def suffixes_of(modality: str) -> list[str]:
    """Return the suffixes of the files that a modality takes; none where it takes no files."""
    found = registry.load("modalities", modality)
    return sorted(found.SUFFIXES) if hasattr(found, "KIND") else []


def _journal_of(results_dir: Path, upload_id: str) -> Path | None:
    """Return the directory of the journal whose settings name an upload, or None."""
    for folder in files.found(results_dir / journal.FOLDER, "*/"):
        with suppress(ResultsError):  # it cannot be read, so its run cannot be continued
            header = journal.read(folder).header
            if header and upload_id in str(header.get("config")):
                return folder
    return None


def _entry(upload: _Upload, sample: Sample) -> dict[str, Any]:
    if sample.file >= len(upload.paths):
        raise Refusal(422, f"file {sample.file}: it was not sent", "file")
    name = upload.names[sample.file]
    if upload.names.count(name) > 1:
        name = f"{name} ({sample.file + 1})"
    texts = {"prompt": sample.prompt, "reference": sample.reference}
    given = {field: text for field, text in texts.items() if text and text.strip()}
    return {"id": name, "media": [upload.paths[sample.file]], **given}


def _unwritable(folder: Path, err: OSError) -> Refusal:
    return Refusal(503, f"{folder} cannot be written: {err.strerror or err}")
