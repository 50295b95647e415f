"""A folder's modules and other distributions' entry points are its members."""

from __future__ import annotations

import sys
from importlib import metadata
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from pytest_llamaburn import registry
from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Have another distribution add the report format `xml`, and a kind, which is a package."""
    module = ModuleType("their_reports")
    monkeypatch.setitem(sys.modules, "their_reports", module)
    entries = [
        metadata.EntryPoint("xml", "their_reports", "llamaburn.reports"),
        metadata.EntryPoint("odd_echo", "support.echo_kind", "llamaburn.kinds"),
    ]

    monkeypatch.setattr(metadata, "entry_points", lambda: metadata.EntryPoints(entries))
    forget()
    yield module
    forget()


def forget() -> None:
    registry.names.cache_clear()
    registry.own.cache_clear()
    registry.advertised.cache_clear()
    registry.foreign.cache_clear()
    registry.package.cache_clear()


def test_members_are_the_public_modules_of_a_folder() -> None:
    assert registry.names("reports") == (
        *("benchstat", "csv", "html", "json", "jsonl", "markdown", "table"),
    )
    assert registry.names("backends") == ("embedded", "ollama", "openai", "whisper")
    assert registry.names("nosuch") == ()


def test_a_member_is_imported_when_it_is_chosen() -> None:
    module = registry.load("reports", "markdown")
    assert module.__name__ == "pytest_llamaburn.reports.markdown"


@pytest.mark.parametrize("name", ["_rows", "-rows", "", "..errors", "htm"])
def test_what_is_no_member_cannot_be_loaded(name: str) -> None:
    with pytest.raises(
        SettingsError, match="Known: benchstat, csv, html, json, jsonl, markdown, table"
    ):
        registry.load("reports", name)


def test_another_distribution_adds_a_member(foreign: ModuleType) -> None:
    assert registry.names("reports") == (
        *("benchstat", "csv", "html", "json", "jsonl", "markdown", "table", "xml"),
    )
    assert registry.load("reports", "xml") is foreign
    assert "xml" not in registry.names("backends")


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("name", ["odd-echo", "odd_echo"])
def test_a_member_that_is_a_package_is_a_registry_wherever_it_is(name: str) -> None:
    assert "odd-echo" in registry.names("kinds")
    assert {"settings", "result", "table"} <= set(registry.own(f"kinds.{name}"))
    assert registry.has(f"kinds.{name}", "settings")
    assert not registry.has(f"kinds.{name}", "nothing")
    assert registry.load(f"kinds.{name}", "measures").__name__ == "support.echo_kind.measures"
    assert registry.package("kinds.eval_x") == "pytest_llamaburn.kinds.eval_x"
    assert registry.own("kinds.nowhere") == ()


def test_a_name_is_refused_with_the_nearest_and_all() -> None:
    message = registry.unknown("format", "tabel", ("csv", "table"))
    assert message == "unknown format 'tabel'; did you mean 'table'? Known: csv, table"


def test_a_name_like_no_other_is_refused_with_all() -> None:
    assert registry.unknown("set", "zzz", ["csv"]) == "unknown set 'zzz'. Known: csv"
    assert registry.unknown("set", "zzz", []) == "unknown set 'zzz'. Known: none"
