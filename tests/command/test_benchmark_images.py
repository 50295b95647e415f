"""Benchmarks with images in the prompt: what is sent, and what the file and the table say of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from PIL import Image
from support.command_line import run_cli
from support.scripted import OllamaFacade, ScriptedServer

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

SEES = ("completion", "vision")


def benchmark(
    tmp_path: Path, server: ScriptedServer, *options: str, check: int = 0
) -> subprocess.CompletedProcess[str]:
    usual = (f"--host={server.host}", "--iterations=2", "--warmup=1", "--no-profile")
    return run_cli("benchmark", "tiny", *usual, *options, cwd=tmp_path, check=check)


def test_images_go_with_every_prompt_and_two_files_with_different_ones_are_told_apart(
    tmp_path: Path,
) -> None:
    for name in ("red", "blue"):
        Image.new("RGB", (400, 300), name).save(tmp_path / f"{name}.png")
    facade = OllamaFacade(capabilities=SEES)
    with ScriptedServer(facade) as server:
        options = ("--image=red.png", "--image=blue.png", "--image-size=200")
        done = benchmark(tmp_path, server, *options)
        bodies = [request for request in server.requests if b'"images"' in request]
        benchmark(tmp_path, server)
    assert len(bodies) == 1 + 1 + 2  # a warm-up, the probe, two timed requests
    files = {bool(f["results"].get("media")): f for f in map(results.load, _files(tmp_path))}
    sent = files[True]["results"]["media"]["sent"]
    assert [(one["width"], one["sent_width"]) for one in sent] == [(400, 200), (400, 200)]
    assert [run["media_tokens"] for run in files[True]["results"]["runs"]] == [None, None]
    assert "with each prompt: red.png 200 × 150, blue.png 200 × 150" in done.stdout
    compared = run_cli("compare", *map(str, _files(tmp_path)), cwd=tmp_path)
    assert "media with each prompt differs" in compared.stdout


def _files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "results" / "benchmarks").glob("*.json"))


def test_an_image_that_cannot_be_sent_ends_the_run_before_a_request(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(base64.b64decode("aGVsbG8="))
    facade = OllamaFacade(capabilities=SEES)
    with ScriptedServer(facade) as server:
        done = benchmark(tmp_path, server, "--image=bad.png", check=4)
    assert "bad.png cannot be decoded: it is no image" in done.stderr
    assert facade.chats == 0
    assert _files(tmp_path) == []


def test_a_model_without_vision_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    facade = OllamaFacade()
    with ScriptedServer(facade) as server:
        done = benchmark(tmp_path, server, "--image=a.png", check=4)
    assert "tiny:latest takes no images" in done.stderr
    assert facade.chats == 0
