"""Sessions of pytest inside a test: cheap, and without a trace in this process."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest.pytester import SysModulesSnapshot
from support.scripted import OllamaFacade, ScriptedServer

import pytest_llamaburn

if TYPE_CHECKING:
    from collections.abc import Iterator

_INSTALLED = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
LIBRARIES = (*_INSTALLED, str(Path(pytest_llamaburn.__file__).parent))


def is_library(name: str) -> bool:
    file = getattr(sys.modules[name], "__file__", None)
    return file is None or file.startswith(LIBRARIES)


class Snapshot(SysModulesSnapshot):
    """What pytester restores after a run: it drops test modules and keeps libraries."""

    def __init__(self, preserve: object = None) -> None:
        super().__init__(preserve=is_library)


@pytest.fixture(scope="session", autouse=True)
def libraries_stay_loaded() -> Iterator[None]:
    """Without this, pytester drops every library that a run loads first, and it is loaded again.

    httpx then no longer knows the errors of the new httpcore, numpy refuses a second load, and
    the loading takes more time than the tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("_pytest.pytester.SysModulesSnapshot", Snapshot)
        yield


@pytest.fixture(autouse=True)
def only_our_plugin_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finding and loading all installed plugins takes longer than most sessions here."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_llamaburn.plugin,xdist.plugin")


@pytest.fixture
def installed_plugins_are_loaded(
    only_our_plugin_is_loaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.delenv("PYTEST_PLUGINS")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(OllamaFacade()) as running:
        yield running
