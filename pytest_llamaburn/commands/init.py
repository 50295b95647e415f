"""Write a commented llamaburn.toml and an example test into the current directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llamaburn import registry, settings
from pytest_llamaburn.commands import _toml
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.options import CONFIG_NAME

if TYPE_CHECKING:
    import argparse

    from pytest_llamaburn.option import Option

HELP = "write a configuration file and an example test"
EXAMPLE = "llamaburn init && pytest test_llm.py"
_TEST_NAME = "test_llm.py"
_UNSET = "  # not set by default"
_HEAD = """\
# Settings of LlamaBurn for this directory, each with its default or, if it has none, an example.
# To change a setting, remove its #.
# Environment variables and flags override this file: LLAMABURN_ITERATIONS=20, --iterations 20.
# `llamaburn config show --origin` shows the current settings and their sources.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments."""


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001
    """Write both files, or none if one of them exists; return the exit code."""
    example = next(kind.example_test for kind in _kind.own() if kind.example_test)
    files = {Path(CONFIG_NAME): configuration(), Path(_TEST_NAME): example}
    for path in files:
        if path.exists():
            raise SettingsError(f"{path} exists and is not overwritten: move it away first")
    for path, text in files.items():
        _write(path, text)
        print(f"wrote {path}")
    return 0


def configuration() -> str:
    """Return a configuration file with all keys, their help and defaults, as comments."""
    classes = settings.classes(registry.names("kinds"))
    kinds = sorted(classes, key=lambda kind: (len(kind.__mro__), kind.__name__))
    tables: dict[str, list[str]] = {}
    for key, option in _toml.by_key(*kinds).items():
        table, _, name = key.rpartition(".")
        tables.setdefault(table, []).append(_entry(name, option))
    return _HEAD + "".join(f"\n[{table}]\n{''.join(tables[table])}" for table in tables)


def _entry(name: str, option: Option) -> str:
    """Return the help and the default of an option, or its example if it has no default."""
    if name == "*":
        return f"# {option.help}; in this file, one line each:\n#{option.example}{_UNSET}\n"
    unit = f", in {'seconds' if option.unit == 's' else option.unit}" if option.unit else ""
    unset = option.default is None
    (line,) = _toml.lines(name, option.example if unset else option.default)
    return f"# {option.help}{unit}\n#{line}{_UNSET if unset else ''}\n"


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as err:
        raise ResultsError(f"{path} cannot be written: {err.strerror or err}") from err
