"""A kind of run of another distribution gets what ours have, with no edit outside its package."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import third_party
from support.scripted import OllamaFacade, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS_TEST = """
import pytest


@pytest.mark.llm_echo(thresholds=["ttft_ms.max<60000"])
def test_mine(llm_echo):
    assert len(llm_echo("Hello?")) == 2
"""


class Place:
    """A directory with the distribution installed, to run commands in."""

    def __init__(self, home: Path, server: ScriptedServer) -> None:
        self.cwd, self.server, self.said = home / "cwd", server, ""
        self.cwd.mkdir()
        self.env = {**os.environ, "PYTHONPATH": str(third_party.installed(home / "site"))}

    def run(self, module: str, *args: str, check: int = 0) -> str:
        """Run a module as a command; return what it writes."""
        words = [sys.executable, "-m", module, *args]
        done = subprocess.run(
            words, cwd=self.cwd, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == check, done.stdout + done.stderr
        return done.stdout + done.stderr

    def echo(self, *args: str, check: int = 0) -> str:
        """Run `llamaburn echo`."""
        asked = (f"--host={self.server.host}", "--gpu-provider=host", "--warmup=0", *args)
        return self.run("pytest_llamaburn", "echo", "tiny:latest", *asked, check=check)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a place where the kind ran once, with a gate that holds."""
    with ScriptedServer(OllamaFacade()) as server:
        made = Place(tmp_path_factory.mktemp("third"), server)
        gate = "--threshold=ttft_ms.max<60s"
        made.said = made.echo("--times=4", gate, "-o", "table", "-o", "rows.csv", "-o", "page.html")
        yield made


def file_of(place: Place) -> Path:
    return min((place.cwd / "results" / "echoes").glob("*.json"))


def test_its_command_journals_and_files_a_run(place: Place) -> None:
    document = json.loads(file_of(place).read_text())
    assert document["schema"] == "llamaburn/echo"
    assert document["status"] == "complete"
    assert document["results"]["totals"]["requests"] == 4
    assert document["config"]["times"] == 4
    assert file_of(place).name.startswith("tiny_latest_")
    assert not (place.cwd / "results" / ".journal").exists()


def test_its_gates_are_on_its_measures(place: Place) -> None:
    assert "gate ttft_ms.max<60s: " in place.said
    assert "pass" in place.said
    refused = place.echo("--threshold=accuracy>1", check=4)
    assert "accuracy" in refused
    failed = place.echo("--times=1", "--threshold=ttft_ms.max<0.000001", check=1)
    assert "ttft_ms.max<0.000001" in failed


def test_its_table_rows_and_charts_are_in_every_format(place: Place) -> None:
    assert "time to first token" in place.said
    rows = [*csv.DictReader((place.cwd / "rows.csv").read_text().splitlines())]
    assert [row["iteration"] for row in rows] == ["0", "1", "2", "3"]
    assert "<svg" in (place.cwd / "page.html").read_text()


def test_its_schema_is_printed_and_files_are_held_against_it(place: Place) -> None:
    schema = json.loads(place.run("pytest_llamaburn", "schema", "echo"))
    assert schema["properties"]["schema"]["const"] == "llamaburn/echo"
    assert "valid" in place.run("pytest_llamaburn", "results", "validate", str(file_of(place)))


def test_its_files_are_listed_and_shown(place: Place) -> None:
    listed = place.run("pytest_llamaburn", "results", "list", "echoes")
    assert "complete" in listed
    assert "4/4" in listed
    assert "time to first token" in place.run(
        "pytest_llamaburn", "results", "show", file_of(place).stem
    )


def test_its_command_and_options_are_in_help_file_and_environment(place: Place) -> None:
    assert "--times TIMES" in place.run("pytest_llamaburn", "echo", "--help")
    toml = place.cwd / "llamaburn.toml"
    toml.write_text("[defaults]\necho_times = 7\n")
    try:
        shown = place.run("pytest_llamaburn", "config", "show", "--origin")
    finally:
        toml.unlink()
    assert "defaults.echo_times = 7  # " in shown
    assert "--llamaburn-echo-times=3" in place.echo("--print-pytest")


def test_its_fixtures_and_options_are_there_in_a_session_of_pytest(place: Place) -> None:
    (place.cwd / "test_mine.py").write_text(USERS_TEST)
    options = (f"--llamaburn-host={place.server.host}", "--llamaburn-echo-times=2")
    quiet = ("-pno:cacheprovider", "-pno:randomly", "--llamaburn-warmup=0")
    said = place.run("pytest", *options, *quiet, "--llamaburn-gpu-provider=host", "test_mine.py")
    assert "1 passed" in said
    assert "llm_echo(**options): sends a text" in place.run("pytest", "--markers", *quiet[:1])


def test_its_options_and_measures_are_in_the_docs(place: Place) -> None:
    words = "import generate; from pytest_llamaburn.kinds import _kind; "
    words += "print(generate.options_page(_kind.every()), generate.metrics_page(_kind.every()))"
    scripts = str(Path(__file__).parents[2] / "scripts")
    env = {**place.env, "PYTHONPATH": f"{place.env['PYTHONPATH']}{os.pathsep}{scripts}"}
    done = subprocess.run(
        [sys.executable, "-c", words], env=env, capture_output=True, text=True, check=True
    )
    assert "| `--times` | `LLAMABURN_ECHO_TIMES` | `defaults.echo_times` | `3` |" in done.stdout
    assert "## Of an echo" in done.stdout


def test_its_files_are_compared_and_gated_by_what_its_measures_say(place: Place) -> None:
    shutil.copy(file_of(place), place.cwd / "again.json")
    names = (str(file_of(place)), "again.json")
    gate = "--fail-if=osl.mean:+5%"
    said = place.run("pytest_llamaburn", "compare", *names, gate, "-o", "table", "-o", "c.csv")
    assert "2 files, compared with A" in said
    assert "gate osl.mean:+5%: B: pass: +0.0% [+0.0%, +0.0%]" in said
    (written,) = (place.cwd / "results" / "echo_comparisons").glob("*.json")
    assert "valid" in place.run("pytest_llamaburn", "results", "validate", str(written))
    rows = [*csv.DictReader((place.cwd / "c.csv").read_text().splitlines())]
    assert {row["change"] for row in rows} <= {"0.0", ""}
    schema = json.loads(place.run("pytest_llamaburn", "schema", "echo-comparison"))
    assert schema["properties"]["schema"]["const"] == "llamaburn/echo-comparison"
