"""Commands fit their tables to the terminal; `--wide` and a pipe have all columns."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path

import pytest
from rich.cells import cell_len

from pytest_llamaburn.commands import main

GOLDEN = Path(__file__).parents[1] / "golden" / "journals"
COMMANDS = {
    "doctor": ("doctor", "--host=http://127.0.0.1:9"),
    "evalset": ("evalset", "list"),
    "models": ("models", "list", "--host=http://127.0.0.1:9"),
    "results": ("results", "list"),
    "show": ("results", "show", "load.json"),
    "compare": ("compare", "load.json", "again.json"),
}
every_command = pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)


class Screen(io.StringIO):
    """A terminal of 72 columns."""

    def isatty(self) -> bool:
        return True

    def run(self, *words: str) -> int:
        """Run a command, which writes to this terminal; return its exit code."""
        with contextlib.redirect_stdout(self):
            return main(words)


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Return what a command writes, in a directory with two results."""
    for name in ("load", "again"):
        shutil.copy(GOLDEN / "stress-complete" / "result.json", tmp_path / f"{name}.json")
    (tmp_path / "results" / "stress").mkdir(parents=True)
    shutil.copy(tmp_path / "load.json", tmp_path / "results" / "stress")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "72")
    return Screen()


def longest(screen: Screen) -> int:
    return max(map(cell_len, screen.getvalue().splitlines()))


@every_command
def test_no_line_is_longer_than_the_terminal(shown: Screen, words: tuple[str, ...]) -> None:
    shown.run(*words)
    assert 40 < longest(shown) <= 72


@every_command
def test_wide_shows_all_columns(shown: Screen, words: tuple[str, ...]) -> None:
    shown.run(*words, "--wide")
    assert longest(shown) > 72
    assert "columns have no room" not in shown.getvalue()


@every_command
def test_a_pipe_gets_what_wide_shows(
    shown: Screen, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Screen, "isatty", lambda _: False)
    shown.run(*words)
    assert longest(shown) > 72


def test_the_environment_and_the_file_can_ask_for_all_columns(
    shown: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMABURN_WIDE", "1")
    shown.run("evalset", "list")
    assert longest(shown) > 72


def test_a_broken_configuration_hides_no_table(shown: Screen) -> None:
    Path("llamaburn.toml").write_text("[defaults]\nno_such_key = 1\n", encoding="utf-8")
    assert shown.run("evalset", "list", "--wide") == 0
    assert longest(shown) > 72
