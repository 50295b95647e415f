"""What the image is built from, and the lines that its page shows."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import pytest

from pytest_llamaburn.commands import build_parser

ROOT = Path(__file__).parents[2]
RUN = "$ docker compose run --rm llamaburn "
SHOWN = (ROOT / "docs" / "docker.md").read_text(encoding="utf-8").splitlines()


def test_the_image_is_built_from_all_that_the_wheel_is_built_from() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = about["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", "hatch_build.py", about["project"]["readme"]}
    needed |= {*about["project"]["license-files"], *wheel["packages"], *wheel["force-include"]}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == needed


@pytest.mark.parametrize("line", [line for line in SHOWN if line.startswith(RUN)])
def test_a_shown_line_runs_a_command(line: str) -> None:
    assert build_parser().parse_args(shlex.split(line.removeprefix(RUN))).run
