"""The settings of judging in each of their places."""

from __future__ import annotations

import argparse
import tomllib
from typing import TYPE_CHECKING

import pytest

from pytest_llamaburn import options
from pytest_llamaburn.commands import _toml
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.settings import Judging

if TYPE_CHECKING:
    from pathlib import Path

FILE = """\
[defaults]
judge_provider = "claude"
[judge.models]
claude = "claude-opus-5-5"
[judge.prices."gpt-5.5"]
input = 1.25
output = 10
[judge.prices]
"a/b".input = 2
"""
PRICES = ("gpt-5.5.input=1.25", "gpt-5.5.output=10", "a/b.input=2")


def from_file(directory: Path, text: str) -> Judging:
    (directory / "llamaburn.toml").write_text(text)
    return options.resolve(Judging, {}, {}, directory)[0]


def test_file_names_judges_models_and_prices(tmp_path: Path) -> None:
    found = from_file(tmp_path, FILE)
    assert found.judge == ("claude",)
    assert found.judge_model == ("claude=claude-opus-5-5",)
    assert found.judge_price == PRICES


def test_jury_in_a_file_is_a_list(tmp_path: Path) -> None:
    found = from_file(tmp_path, '[defaults]\njudge_provider = ["claude", "openai:o3"]\n')
    assert found.judge == ("claude", "openai:o3")


def test_other_keys_of_the_judges_table_are_unknown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"unknown key 'judge\.model\.claude'"):
        from_file(tmp_path, '[judge.model]\nclaude = "x"\n')


def test_settings_written_as_toml_are_read_back(tmp_path: Path) -> None:
    found = from_file(tmp_path, FILE)
    lines = [
        line
        for key, option in _toml.by_key(Judging).items()
        for line in _toml.lines(key, getattr(found, option.name))
    ]
    text = "\n".join(lines)
    assert tomllib.loads(text)["judge"]["models"] == {"claude": "claude-opus-5-5"}
    assert from_file(tmp_path, text) == found


def test_settings_written_as_flags_are_read_back(tmp_path: Path) -> None:
    found = from_file(tmp_path, FILE)
    parser = argparse.ArgumentParser()
    options.declare(parser.add_argument, Judging)
    flags = options.given(parser.parse_args(options.to_argv(found, Judging)), Judging)
    assert options.resolve(Judging, flags, {}, tmp_path / "none")[0] == found


def test_variable_names_a_jury() -> None:
    found, _ = options.resolve(Judging, {}, {"LLAMABURN_JUDGE": "claude,openai"})
    assert found.judge == ("claude", "openai")
