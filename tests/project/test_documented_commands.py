"""The commands that the documentation shows work as they are printed, in the order of each page."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import pytest
from support.command_line import run_cli
from support.documented import PAGES, Shown, blocks, commands, prepare, settings_of, words_here
from support.documented_servers import documented_servers
from support.judge_servers import KEY
from support.processes import run_process

from pytest_llamaburn.commands import build_parser

if TYPE_CHECKING:
    import subprocess
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
    "--pyargs": "a wheel: tests/project/test_distribution.py",
    "spike": "a recovery is watched for 20 s: tests/command/test_stress.py",
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


OF_GUIDES = {tuple(one.words) for one in OURS if one.page != "README.md"}


def is_run(shown: Shown) -> bool:
    return not NOT_RUN.keys() & {*shown.words}


def is_repeated(shown: Shown) -> bool:
    """Return whether README shows a command that runs with its page, and needs it no further."""
    needed = "stress" in shown.words  # its file is what the next commands read
    return shown.page == "README.md" and tuple(shown.words) in OF_GUIDES and not needed


LEFT_OUT = [one for one in OURS if one.words[0] == "llamaburn" and not is_run(one)]


@pytest.fixture(scope="module")
def known() -> Iterator[dict[str, str]]:
    """Serve every model and judge that the pages name; return the addresses."""
    with documented_servers() as addresses:
        yield addresses


@pytest.mark.parametrize("page", sorted({one.page for one in OURS if is_run(one)}))
def test_the_commands_of_a_page_work(page: str, known: dict[str, str], tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "test_shown.py").write_text(TEST)
    wrong = [
        said
        for shown in OURS
        if shown.page == page
        and is_run(shown)
        and not is_repeated(shown)
        and (said := complaint(shown, tmp_path, known))
    ]
    assert not wrong, "\n".join(wrong)


def complaint(shown: Shown, place: Path, known: dict[str, str]) -> str:
    """Return what is wrong with an ended command, or nothing; a gate may end it with 1."""
    words = words_here(shown, place, known)
    env = {**settings_of(shown), **addresses(known)}
    if words[0] == "pytest":
        done = run_python("-m", "pytest", *words[1:], cwd=place, env=env)
    else:
        done = run_cli(*words[1:], cwd=place, check=None, **env)
    allowed = (0, 1) if any(map(GATE.match, words)) else (0,)
    said = f"{shown.page}:{shown.line}: {shown.text}: {done.returncode}\n{done.stdout[-800:]}"
    return "" if done.returncode in allowed else f"{said}\n{done.stderr[-800:]}"


@pytest.mark.parametrize("shown", LEFT_OUT, ids=lambda shown: shown.text)
def test_the_words_of_a_command_that_is_not_run_are_known(shown: Shown) -> None:
    assert build_parser().parse_args(shown.words[1:]).run


def test_each_command_that_is_not_run_has_a_reason_that_is_still_needed() -> None:
    shown = {word for one in OURS for word in one.words}
    assert NOT_RUN.keys() <= shown
    assert len(PAGES) > 30


def addresses(known: dict[str, str]) -> dict[str, str]:
    """Return the variables that lead to our servers."""
    return {
        "OLLAMA_HOST": known["ollama"],
        "ANTHROPIC_BASE_URL": known["claude"],
        "OPENAI_BASE_URL": f"{known['openai']}/v1",
        "ANTHROPIC_API_KEY": KEY,
        "OPENAI_API_KEY": KEY,
    }


def run_python(*words: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Return an ended Python, with what it printed."""
    done: subprocess.CompletedProcess[str] = run_process(
        [sys.executable, *words], cwd=cwd, env={**os.environ, **env}, text=True
    )
    return done


def test_the_tests_that_the_pages_show_pass(known: dict[str, str], tmp_path: Path) -> None:
    shown = [text for _, _, _, text in blocks("python") if "@pytest.mark" in text]
    for number, text in enumerate(shown):
        (tmp_path / f"test_{number}.py").write_text(text, encoding="utf-8")
    settings = settings_of(Shown("", 0, "stress --mode sweep"))
    env = {**settings, **addresses(known), "LLAMABURN_STRESS_MODE": "sweep"}
    words = ("-m", "pytest", "-q", "--llamaburn-levels=4")
    done = run_python(*words, cwd=tmp_path, env=env)
    assert f"{len(shown)} passed" in done.stdout, done.stdout


def test_other_python_code_of_the_pages_compiles() -> None:
    for page, _, line, text in blocks("python"):
        compile(text, f"{page}:{line}", "exec")


def test_the_frame_of_a_page_has_the_median_of_each_model(tmp_path: Path) -> None:
    prepare(tmp_path)
    (code,) = (text for _, _, _, text in blocks("python") if "to_frame(" in text)
    assert "llama3.1:8b" in run_python("-c", code, cwd=tmp_path, env={}).stdout


@pytest.mark.parametrize("block", [*blocks("toml")], ids=lambda block: f"{block[0]}:{block[2]}")
def test_shown_settings_are_in_force(block: tuple[str, str, int, str], tmp_path: Path) -> None:
    (tmp_path / "llamaburn.toml").write_text(block[3], encoding="utf-8")
    shown = run_cli("config", "show", "--origin", cwd=tmp_path).stdout
    assert "llamaburn.toml" in shown
