"""Generated code in a real browser: what is measured of it, and what it cannot reach."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from support import chromium, scenes

from pytest_llamaburn import rendering
from pytest_llamaburn.errors import MissingExtraError, UsageError
from pytest_llamaburn.rendering import Order, Rendering
from pytest_llamaburn.scorers import render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path


@pytest.fixture(scope="module", autouse=True)
def _browser() -> None:
    chromium.require()
    rendering.ready()


def drawn(code: str, seconds: float = 1.0, language: str = "javascript") -> Rendering:
    return rendering.render(Order(code, language, seconds))


def test_scene_that_moves_is_rendered_with_its_renderer_named() -> None:
    found = drawn(scenes.CUBE)
    assert render.fault(found) == ""
    assert found.draw_calls >= found.frames > 1
    assert found.fps is not None
    assert found.frame_time_p95_ms is not None
    assert found.renderer is not None
    assert found.renderer.startswith("WebGL 2: ")
    assert found.png is not None
    assert found.png.startswith(b"\x89PNG")


def test_webgpu_scene_is_rendered_by_webgpu() -> None:
    found = drawn(scenes.WEBGPU)
    assert render.fault(found) == ""
    assert (found.renderer or "").startswith("WebGPU: ")


def test_fps_and_frame_times_are_those_that_the_scene_itself_sees() -> None:
    """Each frame needs 250 ms or, on a busy machine, more: the scene tells what it needed."""
    found = drawn(scenes.telling(scenes.taking(250)), seconds=3)
    times = [float(text.removeprefix(scenes.FRAME)) for text in found.errors]
    spans = [later - before for before, later in pairwise(times)]
    spent = accumulate(spans, initial=0)
    late = [one for one, before in zip(spans, spent, strict=False) if before >= 1000]
    warm = late if len(late) > 1 else spans
    assert sum(spans) >= 250 * len(spans) - 17  # a frame begins with a refresh of the screen
    assert found.fps == pytest.approx(1000 * len(warm) / sum(warm), rel=0.1)
    assert found.frame_time_p95_ms is not None
    assert 249 <= found.frame_time_p95_ms <= max(spans) + 1


BROKEN = {
    # Those that are waited for longest come first.
    "still": (scenes.STILL, "one frame was drawn: the picture does not move"),
    "empty": (scenes.EMPTY, "nothing was drawn: there was no draw call"),
    "hangs": ("while (true) {}", "error: It did not answer for 10 s and was stopped."),
    "blank": (scenes.BLANK, "the picture is blank"),
    "throws": (scenes.THROWS, "error: TypeError: THREE.Nothing is not a constructor"),
    "syntax": ("const a = ;", "error: Uncaught SyntaxError"),
}


@pytest.fixture(scope="module")
def broken() -> Iterator[dict[str, Future[Rendering]]]:
    """Render the broken scenes side by side: most of the time they wait for what never comes."""
    with ThreadPoolExecutor(3) as pool:
        yield {name: pool.submit(drawn, code) for name, (code, _) in BROKEN.items()}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_scene_is_told_by_what_is_broken(
    name: str, broken: dict[str, Future[Rendering]]
) -> None:
    assert render.fault(broken[name].result()).startswith(BROKEN[name][1])


@contextmanager
def listening() -> Iterator[tuple[str, list[bytes]]]:
    """Listen as another machine would; yield its address and what came."""
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    came.append(server.accept()[0].recv(100))
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", came
        server.shutdown(socket.SHUT_RDWR)


def test_generated_code_reaches_no_other_machine() -> None:
    with listening() as (address, came):
        found = drawn(scenes.reaching(address), seconds=2)
    assert came == []
    assert any("blocked by the sandbox: connect-src" in one for one in found.errors)


def test_generated_code_cannot_read_the_environment_of_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The process of the browser gets no variable but the few that it needs.

    It works where the folder for temporary files has a longer path than its sockets may have.
    """
    seen: list[dict[str, str]] = []
    real = subprocess.Popen

    def spy(*args: Any, **more: Any) -> Any:
        seen.append(more["env"])
        return real(*args, **more)

    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setattr(subprocess, "Popen", spy)
    assert drawn("const a = ;").errors
    assert set(seen[0]) == {"PATH", "HOME", "TMPDIR"}


def test_without_a_browser_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"no browser is installed.*apt install chromium"):
        rendering.ready()
    monkeypatch.setenv(rendering.BROWSER_VARIABLE, "nobrowser")
    with pytest.raises(UsageError, match="LLAMABURN_BROWSER: nobrowser is no program"):
        rendering.ready()


def test_without_the_extra_a_sentence_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rendering, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pytest-llamaburn\[render\]'"):
        rendering.ready()


def test_browser_that_does_not_start_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv(rendering.BROWSER_VARIABLE, str(broken))
    with pytest.raises(UsageError, match=r"cannot render generated code: .*set LLAMABURN_BROWSER"):
        drawn(scenes.CUBE)
