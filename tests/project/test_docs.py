"""What is written about the project is true of it."""

from __future__ import annotations

import argparse
import configparser
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import generate
import pytest

from pytest_llamaburn import options
from pytest_llamaburn.commands import build_parser
from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.progress import Event
from pytest_llamaburn.session import PREFIX
from pytest_llamaburn.settings import Display

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")}
GUIDES = (
    "audit.md",
    "bakeoff.md",
    "benchmark.md",
    "chat.md",
    "ci.md",
    "depth.md",
    "embed.md",
    "eval.md",
    "eval_sets.md",
    "fit.md",
    "judging.md",
    "nodes.md",
    "power.md",
    "quantization.md",
    "stress.md",
    "tools.md",
    "trend.md",
    "tune.md",
    "web.md",
)
WRITTEN = {"README.md": README, **PAGES}
ENVIRONMENTS = {"py311", "py312", "py313", "py314", "lint", "types", "live", "docs", "pkg", "bench"}


def commands(program: str) -> Iterator[str]:
    """Yield each command that a page shows, with the name of its page."""
    line = re.compile(rf"^(?:\$|- run:|   ) ({program} .*?)(?: +#.*)?$", re.MULTILINE)
    for name, text in WRITTEN.items():
        yield from (f"{name}: {command}" for command in line.findall(text))


def words_of(shown: str) -> list[str]:
    """Return the arguments of a command that `commands` yielded."""
    return shlex.split(shown.partition(": ")[2])[1:]


COMMANDS = [*commands("llamaburn")]


def test_generated_files_are_fresh() -> None:
    for path, text in (*generate.schemas().items(), *generate.pages().items()):
        assert path.read_text() == text, f"run scripts/generate.py: {path} is stale"


def test_options_page_has_a_table_for_each_command() -> None:
    page = PAGES["options.md"]
    for kind in _kind.own():
        own = page.partition(f"## `llamaburn {kind.name}`")[2].partition("\n## ")[0]
        assert "| flag |" in own
    assert "| `--spikes` |" in page.partition("## `llamaburn stress`")[2]
    assert "| `--spikes` |" not in page.partition("## `llamaburn stress`")[0]


def test_architecture_page_is_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) < 80


@pytest.mark.parametrize("shown", COMMANDS)
def test_shown_command_is_one(shown: str) -> None:
    words = words_of(shown.replace("&& pytest test_llm.py", ""))
    assert build_parser().parse_args(words).run


@pytest.mark.parametrize("shown", [c for c in commands("pytest") if "--llamaburn-" in c])
def test_pytest_options_of_a_shown_command_exist(shown: str) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    kinds = (kind.settings_class for kind in _kind.own())
    options.declare(parser.add_argument, *kinds, Display, prefix=PREFIX)
    parser.parse_args(words_of(shown))


@pytest.mark.parametrize("name", GUIDES)
def test_guide_begins_with_a_command(name: str) -> None:
    title, _, rest = PAGES[name].partition("\n\n")
    assert title.startswith("# ")
    assert rest.startswith("```console\n$ llamaburn ")


def test_readme_shows_the_commands() -> None:
    assert len([c for c in COMMANDS if c.startswith("README.md")]) > 15


def test_readme_links_each_guide() -> None:
    assert [name for name in GUIDES if f"(docs/{name})" not in README] == []


@pytest.mark.parametrize("name", WRITTEN)
def test_links_lead_somewhere(name: str) -> None:
    home = ROOT if name == "README.md" else ROOT / "docs"
    for target in re.findall(r"\]\(([^)\s]+)\)", WRITTEN[name]):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        page = (home / path) if path else home / name
        assert page.exists(), target
        assert not anchor or anchor in headings(page.read_text(encoding="utf-8")), target


def headings(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_picture_is_small() -> None:
    assert 10_000 < (ROOT / "docs" / "report.png").stat().st_size <= 200_000


def test_each_tox_environment_says_what_it_does() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    defaults = tox["tox"]["env_list"].replace("py{311,312,313,314}", "py311,py312,py313,py314")
    own = {name.removeprefix("testenv:") for name in tox if name.startswith("testenv:")}
    assert {*map(str.strip, defaults.split(",")), *own} >= ENVIRONMENTS
    assert all(tox[name]["description"] for name in tox if name.startswith("testenv"))


def test_shown_tox_line_is_an_environment_here() -> None:
    shown = re.search(r"\[testenv:regression\].*?(commands =.*?)```", PAGES["ci.md"], re.DOTALL)
    assert shown is not None
    assert shown[1].strip() in (ROOT / "tox.ini").read_text()


def test_fragments_become_a_changelog(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    shutil.copytree(ROOT / "changelog.d", tmp_path / "changelog.d")
    (tmp_path / "changelog.d" / "+sample.added.md").write_text("A sample.", encoding="utf-8")
    build = [sys.executable, "-m", "towncrier", "build", "--yes", "--version=0.2.0"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    written = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    new, first = written.index("## 0.2.0"), written.index("## 0.1.0")
    added = written[new:first].partition("### Added\n\n")[2].partition("\n###")[0]
    assert "- A sample." in added.splitlines()


def test_docs_name_every_field_of_a_progress_event() -> None:
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    section = page.partition("## How do I follow a run")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section))
    assert {one.name for one in fields(Event)} <= named
