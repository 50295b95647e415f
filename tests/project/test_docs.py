"""What is written about the project is true of it."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import generate
import pytest

from pytest_llamaburn.commands import build_parser

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(?:\$|- run:|   ) (llamaburn .*?)(?: +#.*)?$", README, re.MULTILINE)
ENVIRONMENTS = {"py311", "py312", "py313", "py314", "lint", "types", "live", "docs", "pkg", "bench"}


def test_generated_files_are_fresh() -> None:
    for path, text in (*generate.schemas().items(), *generate.pages().items()):
        assert path.read_text() == text, f"run scripts/generate.py: {path} is stale"


def test_architecture_page_is_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) < 80


@pytest.mark.parametrize("line", COMMANDS)
def test_command_in_the_readme_is_one(line: str) -> None:
    words = shlex.split(line.replace("&& pytest test_llm.py", ""))
    assert build_parser().parse_args(words[1:]).run


def test_readme_shows_the_commands() -> None:
    assert len(COMMANDS) > 20


def test_each_tox_environment_says_what_it_does() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    defaults = tox["tox"]["env_list"].replace("py{311,312,313,314}", "py311,py312,py313,py314")
    own = {name.removeprefix("testenv:") for name in tox if name.startswith("testenv:")}
    assert {*map(str.strip, defaults.split(",")), *own} >= ENVIRONMENTS
    assert all(tox[name]["description"] for name in tox if name.startswith("testenv"))


def test_readme_s_tox_line_is_an_environment_here() -> None:
    commands = re.search(r"\[testenv:regression\].*?(commands =.*?)```", README, re.DOTALL)
    assert commands is not None
    assert commands[1].strip() in (ROOT / "tox.ini").read_text()
