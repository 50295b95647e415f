"""The commands that the documentation shows work as they are printed, in the order of each page."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import pytest
from support.command_line import run_cli
from support.documented import PAGES, Shown, commands, prepare, settings_of, words_here
from support.documented_servers import documented_servers
from support.judge_servers import KEY
from support.processes import run_process

from pytest_llamaburn.commands import build_parser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What cannot run here, by a word of the command, and why. Its words are checked all the same.
NOT_RUN = {
    "./model.gguf": "the embedded engine: tests/embedded",
    "model.gguf": "the embedded engine: tests/embedded",
    "smollm2-135m": "the embedded engine: tests/embedded",
    "--resume": "needs a run that was cut: tests/command/test_resume.py",
    "--ray": "a cluster: tests/command/test_stress_nodes.py",
    "--image": "a photo: tests/command/test_benchmark_images.py",
    "--input": "media of the user: tests/command/test_eval_media.py",
    "--video": "a video: tests/command/test_eval_video.py",
    "--video-frames": "a video: tests/command/test_eval_video.py",
    "--render": "a browser: tests/command/test_eval_render.py",
    "audio": "sound devices: tests/command/test_audio.py",
    "audio_stt": "a server of speech: tests/command/test_eval_sound.py",
    "tts": "a server of speech: tests/command/test_eval_sound.py",
    "--live-audio": "sound devices: tests/command/test_eval_sound.py",
    "--text": "a server of speech: tests/command/test_eval_sound.py",
    "--prompt": "a server of music: tests/command/test_eval_sound.py",
    "serve": "runs until it is ended: tests/web",
}
PROGRAMS = ("llamaburn", "pytest")
GATE = re.compile(r"--(llamaburn-)?(threshold|fail-if|require|min-qwk|min-noticed)(=|$)")
TEST = """
import pytest


@pytest.mark.llm_benchmark(iterations=3)
def test_answers(measure):
    assert measure("Name three colours.").osl.mean > 1


@pytest.mark.llm_stress
def test_load(llm_stress):
    assert llm_stress()["levels"][0]["failed"] == 0
"""
OURS = [one for one in commands() if one.words and one.words[0] in PROGRAMS]


def is_run(shown: Shown) -> bool:
    return not NOT_RUN.keys() & {*shown.words}


@pytest.fixture(scope="module")
def known() -> Iterator[dict[str, str]]:
    """Serve every model and judge that the pages name; return the addresses."""
    with documented_servers() as addresses:
        yield addresses


@pytest.mark.parametrize("page", sorted({one.page for one in OURS if is_run(one)}))
def test_the_commands_of_a_page_work(page: str, known: dict[str, str], tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "test_llm.py").write_text(TEST)
    wrong = [
        said
        for shown in OURS
        if shown.page == page and is_run(shown) and (said := complaint(shown, tmp_path, known))
    ]
    assert not wrong, "\n".join(wrong)


def complaint(shown: Shown, place: Path, known: dict[str, str]) -> str:
    """Return what is wrong with an ended command, or nothing; a gate may end it with 1."""
    words = words_here(shown, place, known)
    env = {
        **settings_of(shown),
        "OLLAMA_HOST": known["ollama"],
        "ANTHROPIC_BASE_URL": known["claude"],
        "OPENAI_BASE_URL": f"{known['openai']}/v1",
        "ANTHROPIC_API_KEY": KEY,
        "OPENAI_API_KEY": KEY,
    }
    if words[0] == "pytest":
        start = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words[1:]]
        done = run_process(start, cwd=place, env={**os.environ, **env}, text=True)
    else:
        done = run_cli(*words[1:], cwd=place, check=None, **env)
    allowed = (0, 1) if any(map(GATE.match, words)) else (0,)
    said = f"{shown.page}:{shown.line}: {shown.text}: {done.returncode}\n{done.stdout[-800:]}"
    return "" if done.returncode in allowed else f"{said}\n{done.stderr[-800:]}"


@pytest.mark.parametrize("shown", [one for one in OURS if not is_run(one)], ids=lambda s: s.text)
def test_the_words_of_a_command_that_is_not_run_are_known(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert build_parser().parse_args(shown.words[1:]).run


def test_each_command_that_is_not_run_has_a_reason_that_is_still_needed() -> None:
    shown = {word for one in OURS for word in one.words}
    assert NOT_RUN.keys() <= shown
    assert len(PAGES) > 30
