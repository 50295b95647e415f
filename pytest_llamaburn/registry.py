"""A folder is a registry: each public module in it is one member, named after its file.

Members are listed without being imported, so that a heavy optional one costs nothing until it is
chosen. Other distributions add members through the entry-point group `llamaburn.<folder>`.
"""

import difflib
import importlib
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_PACKAGE = "pytest_llamaburn"


@cache
def names(folder: str) -> tuple[str, ...]:
    """Return the sorted names of a folder's members, as they are written on the command line."""
    return tuple(sorted({*own(folder), *_foreign(folder)}))


@cache
def own(folder: str) -> tuple[str, ...]:
    """Return the names of our own members; asking other distributions would cost 20 ms."""
    home = Path(__file__).parent.joinpath(*folder.split("."))
    found = (m.name.replace("_", "-") for m in pkgutil.iter_modules([str(home)]))
    return tuple(sorted(name for name in found if not name.startswith("-")))


def load(folder: str, name: str) -> ModuleType:
    """Import and return one member's module.

    Raises SettingsError for an unknown name, listing the valid ones.
    """
    if name in own(folder):
        return importlib.import_module(f"{_PACKAGE}.{folder}.{name.replace('-', '_')}")
    if name not in _foreign(folder):
        raise SettingsError(unknown(f"{folder} member", name, names(folder)))
    module: ModuleType = _foreign(folder)[name].load()
    return module


def unknown(what: str, name: str, valid: tuple[str, ...] | list[str]) -> str:
    """Return a sentence that refuses a name, with the nearest valid one and the whole list."""
    near = difflib.get_close_matches(name, valid, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return f"unknown {what} '{name}'{hint} Known: {', '.join(valid) or 'none'}"


@cache
def _foreign(folder: str) -> "dict[str, EntryPoint]":
    from importlib import metadata  # costs 20 ms: only when a member is looked up

    return {e.name: e for e in metadata.entry_points(group=f"llamaburn.{folder}")}
