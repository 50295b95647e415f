"""`llamaburn completion`: scripts that shells accept and that complete."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.command_line import run_cli

from pytest_llamaburn import registry

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "llamaburn.bash"
    path.write_text(run_cli("completion", "bash", cwd=path.parent).stdout)
    return path


def completed(script: Path, *words: str) -> set[str]:
    """Return what bash offers for the last word."""
    source = (
        f"source {shlex.quote(str(script))}; COMP_WORDS=({shlex.join(words)}); "
        f"COMP_CWORD={len(words) - 1}; _shtab_llamaburn; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", source], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("shell", SHELLS)
def test_script_names_every_command_and_the_shell_accepts_it(shell: str, tmp_path: Path) -> None:
    text = run_cli("completion", shell, cwd=tmp_path).stdout
    assert all(name in text for name in registry.names("commands"))
    assert "results-dir" in text
    path = tmp_path / "script"
    path.write_text(text)
    if shutil.which(shell):
        subprocess.run([*SHELLS[shell], path], check=True)


def test_commands_are_completed(script: Path) -> None:
    assert completed(script, "llamaburn", "s") == {"schema", "serve", "status", "stress"}


def test_flags_are_completed(script: Path) -> None:
    assert completed(script, "llamaburn", "benchmark", "--see") == {"--seed"}


def test_words_of_a_setting_are_completed(script: Path) -> None:
    assert completed(script, "llamaburn", "benchmark", "--cache", "") == {"bust", "warm"}


def test_actions_are_completed(script: Path) -> None:
    assert {"export", "rm"} <= completed(script, "llamaburn", "results", "")


def test_unknown_shell_exits_four(tmp_path: Path) -> None:
    assert "invalid choice: 'tcsh'" in run_cli("completion", "tcsh", cwd=tmp_path, check=4).stderr
