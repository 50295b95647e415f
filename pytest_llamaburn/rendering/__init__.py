"""Render generated code for WebGL or WebGPU in a browser, and measure how it draws.

The code runs in the frame that the web page has for generated code: an origin of its own, without
network and storage. The browser runs in a process of its own with an empty environment, for one
program; its addresses lead to the files of the frame and nowhere else. It ends with the program, at
the latest after `_MOST_S`.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from pytest_llamaburn.errors import MissingExtraError, UsageError

BROWSER_VARIABLE = "LLAMABURN_BROWSER"
FRAME: Final = Path(__file__).parent.parent / "web" / "static" / "sandbox"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MOST_S = 60.0  # for the browser to start, to render and to end
_ENDS_S = 5.0
_LONGEST_FOLDER = 40  # characters; the browser adds about 65


class Order(NamedTuple):
    """What to render: `language` is javascript or html, `seconds` is measured after a warm-up."""

    code: str
    language: str
    seconds: float = 3.0
    width: int = 640
    height: int = 480


class Rendering(NamedTuple):
    """How code drew.

    `errors` has what the frame and the code complained of, and why it was stopped. `frames` counts
    frames with draw calls. `fps` and `frame_time_p95_ms` are of the frames after the warm-up, None
    with fewer than two. `colours` counts those of the picture without text and background, and
    `contrast` is the standard deviation of its grey values from 0 to 255. `blocked` has the
    addresses that the code asked for. `png` is the picture.
    """

    errors: tuple[str, ...]
    frames: int
    draw_calls: int
    fps: float | None
    frame_time_p95_ms: float | None
    renderer: str | None
    colours: int | None
    contrast: float | None
    blocked: tuple[str, ...]
    png: bytes | None


def render(order: Order) -> Rendering:
    """Render code in a browser; raises UsageError if the browser cannot do it."""
    folder = tempfile.TemporaryDirectory(
        prefix="llamaburn-", dir=_short_folder(), ignore_cleanup_errors=True
    )
    with folder as home:
        output = _run(msgspec.json.encode([order, browser()]), home)
    try:
        return msgspec.json.decode(output, type=Rendering)
    except msgspec.MsgspecError:
        said = output.decode("utf-8", "replace").strip().rpartition("\n")[2][:300]
        raise UsageError(
            f"{browser()} cannot render generated code: {said or 'it ended without a word'}: set "
            f"{BROWSER_VARIABLE} to another Chromium"
        ) from None


def _short_folder() -> str | None:
    """Return a folder for the browser's files whose path is short, None for that of the system.

    The browser makes a socket in it, whose path has at most 107 characters (unix(7)).
    """
    usual = tempfile.gettempdir()
    short = "/tmp"  # noqa: S108 - the folder in it has a random name, and is its owner's alone
    return short if len(usual) > _LONGEST_FOLDER and os.access(short, os.W_OK) else None


def ready() -> None:
    """Raise UsageError, with what to install, if this machine cannot render."""
    if find_spec("playwright") is None or find_spec("PIL") is None:
        raise MissingExtraError("render", "rendering generated code (--render)")
    browser()
    words = [sys.executable, "-m", "pytest_llamaburn.web.bundle"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise UsageError(done.stderr.strip().rpartition("\n")[2])


def browser() -> str:
    """Return the path of a Chromium; raises UsageError without one."""
    chosen = os.environ.get(BROWSER_VARIABLE)
    if chosen:
        found = shutil.which(chosen)
        why = f"{BROWSER_VARIABLE}: {chosen} is no program: name the program of a Chromium"
    else:
        found = next(filter(None, map(shutil.which, _BROWSERS)), None) or _of_playwright()
        why = (
            "--render: no browser is installed to render generated code: install Chromium (apt "
            f"install chromium, or playwright install chromium), or set {BROWSER_VARIABLE}"
        )
    if found is None:
        raise UsageError(why)
    return found


def _of_playwright() -> str | None:
    """Return the newest Chromium that Playwright has installed for this user."""
    default = Path.home() / ".cache/ms-playwright"
    folder = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or default)
    found = sorted(folder.glob("chromium-*/chrome-linux*/chrome"))
    return str(found[-1]) if found else None


def _run(order: bytes, home: str) -> bytes:
    """Run the process of one rendering; return what it printed. Its group is ended with it."""
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "TMPDIR": home}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_llamaburn.rendering"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
        start_new_session=True,
    )
    try:
        return process.communicate(order, _MOST_S)[0]
    except subprocess.TimeoutExpired:
        return f"it did not end within {_MOST_S:g} s".encode()
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_ENDS_S)


def picture(rendering: Rendering) -> str | None:
    """Return the picture of a rendering as base64."""
    return base64.b64encode(rendering.png).decode() if rendering.png else None
