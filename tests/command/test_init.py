"""`llamaburn init`: what it writes is accepted, as it is and with its lines uncommented."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from support.command_line import run_cli
from support.scripted import OllamaFacade, ScriptedServer

from pytest_llamaburn import options, registry, settings
from pytest_llamaburn.commands.init import configuration
from pytest_llamaburn.option import options_of

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("llamaburn.toml", "test_llm.py")


def uncomment(directory: Path) -> None:
    """Take away the # of every line that has a default."""
    path = directory / "llamaburn.toml"
    lines = path.read_text().splitlines()
    kept = [line if "# not set" in line else re.sub(r"^#(?! )", "", line) for line in lines]
    path.write_text("\n".join(kept))


def test_files_are_written_and_named(tmp_path: Path) -> None:
    done = run_cli("init", cwd=tmp_path)
    assert done.stdout.splitlines() == [f"wrote {name}" for name in NAMES]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*NAMES]


def test_file_as_it_is_says_nothing(tmp_path: Path) -> None:
    before = run_cli("config", "show", "--origin", cwd=tmp_path).stdout
    run_cli("init", cwd=tmp_path)
    assert run_cli("config", "show", "--origin", cwd=tmp_path).stdout == before


def test_every_key_is_there_with_its_help(tmp_path: Path) -> None:
    run_cli("init", cwd=tmp_path)
    text = (tmp_path / "llamaburn.toml").read_text()
    for kind in settings.classes(registry.own("kinds")):
        for option in options_of(kind):
            table, _, name = option.toml_key.rpartition(".")
            assert f"\n[{table}]\n" in text
            assert f"\n# {option.help}" in text
            assert name == "*" or f"\n#{name} = " in text


def test_each_line_is_valid_when_its_comment_sign_is_taken_away(tmp_path: Path) -> None:
    lines = configuration().splitlines()
    path = tmp_path / "llamaburn.toml"
    places = [place for place, line in enumerate(lines) if re.match(r"#(?! )", line)]
    assert len(places) > 100
    for place in places:
        path.write_text("\n".join([*lines[:place], lines[place][1:], *lines[place + 1 :]]))
        for kind in settings.classes(registry.own("kinds")):
            _, origins = options.resolve(kind, {}, {}, tmp_path)
            if origins:
                break
        assert origins, lines[place]


def test_uncommented_defaults_change_nothing(tmp_path: Path) -> None:
    before = run_cli("config", "show", cwd=tmp_path).stdout
    run_cli("init", cwd=tmp_path)
    uncomment(tmp_path)
    assert tomllib.loads((tmp_path / "llamaburn.toml").read_text())["defaults"]["seed"] == 0
    assert run_cli("config", "show", cwd=tmp_path).stdout == before
    with ScriptedServer(OllamaFacade()) as server:
        command = ("benchmark", "tiny", f"--host={server.host}", "--iterations=1")
        assert "complete: 1 of 1" in run_cli(*command, cwd=tmp_path).stdout


def test_example_test_passes(tmp_path: Path) -> None:
    run_cli("init", cwd=tmp_path)
    with ScriptedServer(OllamaFacade(token_s=0.001)) as server:
        flags = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-pno:cacheprovider", "test_llm.py", *flags],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_overwritten(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    done = run_cli("init", cwd=tmp_path, check=4)
    assert done.stderr.startswith(f"llamaburn: {name} exists and is not overwritten")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_directory_that_takes_no_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "llamaburn.toml").symlink_to(tmp_path / "no" / "such" / "place")
    done = run_cli("init", cwd=tmp_path, check=4)
    assert done.stderr.startswith("llamaburn: llamaburn.toml cannot be written: File exists")
