"""Options are declared wherever they may be named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.plugin_sessions import QUIET

from pytest_llamaburn import plugin

if TYPE_CHECKING:
    import pytest


def test_options_are_declared_where_the_command_line_may_name_one(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeconftest(
        """
        def pytest_configure(config):
            print("declared:", hasattr(config.option, "llamaburn_model"))
        """
    )
    pytester.makefile(".txt", words="--llamaburn-model=m\n--co")
    plain = ("--disable-plugin-autoload", "-p", "pytest_llamaburn.plugin", *QUIET, "-s")

    def declared(*args: str) -> bool:
        lines = pytester.runpytest_inprocess(*plain, *args).outlines
        return "declared: True" in lines

    assert not declared()
    assert declared("--llamaburn-model=m")
    assert declared("@words.txt")
    assert declared("--help")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--llamaburn-model=m")
    assert declared()
    monkeypatch.delenv("PYTEST_ADDOPTS")
    pytester.makeini("[pytest]\naddopts = --llamaburn-model=m")
    assert declared()


def test_options_are_declared_where_the_plugin_is_loaded_before_any_configuration_file(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    ended = pytester.inline_run("--llamaburn-model=m", *QUIET, plugins=[plugin])
    ended.assertoutcome(passed=1)
