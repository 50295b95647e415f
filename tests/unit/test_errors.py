"""What errors say."""

from __future__ import annotations

import sys
from importlib import util
from typing import TYPE_CHECKING

from pytest_llamaburn import errors

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PACKAGE = "'pytest-llamaburn[web,ocr]'"


def environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run, as it seems, on the Python of an environment that has a pip."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "pip"):
        (programs / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    return programs


def test_extras_are_installed_by_a_plain_pip_if_it_is_that_of_the_python_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(environment(tmp_path, monkeypatch)))
    assert errors.installing("web", "ocr") == f"pip install {PACKAGE}"


def test_extras_are_installed_by_the_python_of_an_environment_that_is_not_activated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = environment(tmp_path, monkeypatch) / "python"
    monkeypatch.setenv("PATH", "/nowhere")
    assert errors.installing("web", "ocr") == f"{python} -m pip install {PACKAGE}"
    monkeypatch.chdir(tmp_path)
    assert errors.installing("web", "ocr") == f".venv/bin/python -m pip install {PACKAGE}"


def test_extras_are_installed_by_uv_where_there_is_no_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(util, "find_spec", lambda _: None)
    line = f"uv pip install --python .venv/bin/python {PACKAGE}"
    assert errors.installing("web", "ocr") == line
