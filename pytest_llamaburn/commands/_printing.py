"""The option `--wide` of commands that print a table, and the table itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_llamaburn import grids, options
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.settings import Layout

if TYPE_CHECKING:
    import argparse


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare `--wide`."""
    options.declare(parser.add_argument, Layout)


def width(arguments: argparse.Namespace) -> int | None:
    """Return the columns for a table on standard output; None for all.

    A configuration that cannot be read is no reason to show nothing: then only the flag counts.
    """
    given = options.given(arguments, Layout)
    try:
        wide = options.resolve(Layout, given)[0].wide
    except SettingsError:
        wide = bool(given.get("wide"))
    return grids.columns_of(sys.stdout, wide=wide)


def fitted(table: grids.Table, arguments: argparse.Namespace) -> str:
    """Return a table as text, fitted to standard output."""
    return grids.text(table, width(arguments))
