"""A folder is a registry: each public module in it is a member, named after its file.

Members are listed without importing them, so that an unused optional member costs nothing. Other
distributions add members through the entry-point group `llamaburn.<folder>`. A member that is a
package is a registry too: its modules are its members.
"""

import importlib
import os
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

_PACKAGE = "pytest_llamaburn"


@cache
def names(folder: str) -> tuple[str, ...]:
    """Return the sorted names of a folder's members, as used on the command line."""
    return tuple(sorted({*own(folder), *foreign(folder)}))


@cache
def own(folder: str) -> tuple[str, ...]:
    """Return the names of the members in the folder; asking other distributions costs 20 ms."""
    names = {name for place in _places(folder) for name in _modules(place)}
    return tuple(sorted(name.replace("_", "-") for name in names if not name.startswith("_")))


def has(folder: str, name: str) -> bool:
    """Return whether a folder has a module of this name; faster than listing all of them."""
    return any(os.path.exists(f"{place}/{name}.py") for place in _places(folder))  # noqa: PTH110


def load(folder: str, name: str) -> ModuleType:
    """Import and return one member's module.

    Raises SettingsError if the name is unknown; the message lists the valid names.
    """
    if name in own(folder):
        return importlib.import_module(f"{package(folder)}.{name.replace('-', '_')}")
    if name not in foreign(folder):
        raise SettingsError(unknown(f"{folder} member", name, names(folder)))
    module: ModuleType = foreign(folder)[name].load()
    return module


@cache
def package(folder: str) -> str:
    """Return the full name of a folder's package, of LlamaBurn or of another distribution."""
    parent, _, name = folder.replace("_", "-").rpartition(".")
    if not parent or name in own(parent) or name not in foreign(parent):
        return f"{_PACKAGE}.{folder.replace('-', '_')}"
    return foreign(parent)[name].module


def _modules(place: str) -> list[str]:
    """Return the modules in a directory; `pkgutil` takes ten times as long."""
    names = []
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            name, dot, suffix = entry.name.partition(".")
            if (dot, suffix) == (".", "py") or os.path.exists(f"{entry.path}/__init__.py"):  # noqa: PTH110
                names.append(name)
    return names


def _places(folder: str) -> list[str]:
    """Return the directories of a folder."""
    name = package(folder)
    if name.startswith(f"{_PACKAGE}."):
        return [str(Path(__file__).parent.joinpath(*name.split(".")[1:]))]
    spec = find_spec(name)
    return [*((spec and spec.submodule_search_locations) or ())]


def unknown(what: str, name: str, valid: tuple[str, ...] | list[str]) -> str:
    """Return the error message for an unknown name, with the most similar and all valid names."""
    import difflib  # not for every pytest session

    near = difflib.get_close_matches(name, valid, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return f"unknown {what} '{name}'{hint} Known: {', '.join(valid) or 'none'}"


@cache
def foreign(folder: str) -> "dict[str, EntryPoint]":
    """Return the members of a folder that other distributions add, by name."""
    found: EntryPoints = advertised().select(group=f"llamaburn.{folder}")
    return {entry.name.replace("_", "-"): entry for entry in found}


@cache
def advertised() -> Any:
    """Return what all distributions advertise, to `select` from; reading it takes 20 ms.

    Its type is another in Python 3.11 than in later versions.
    """
    from importlib import metadata  # takes as long, so only when needed

    return metadata.entry_points()
