"""Show the settings of a run started here, and the origin of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import options
from pytest_llamaburn.commands import _toml
from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.kinds.audit.settings import Audit
from pytest_llamaburn.settings import Audio, Display

if TYPE_CHECKING:
    import argparse

HELP = "show the settings and where each comes from"
EXAMPLE = "llamaburn config show --origin"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", nargs="?", choices=("show",), default="show")
    parser.add_argument(
        "--origin", action="store_true", help="show the origin: default, file and key, or variable"
    )
    parser.add_argument("--output", "-o", choices=("toml", "json"), default="toml")


def run(arguments: argparse.Namespace) -> int:
    """Print the settings; return the exit code."""
    kinds = (*(kind.settings_class for kind in _kind.every()), Audit, Display, Audio)
    settings = {key: entry for kind in kinds for key, entry in _resolved(kind).items()}
    if arguments.output == "json":
        print(json.dumps(settings, indent=2))
        return 0
    for key, entry in settings.items():
        origin = f"  # {entry['origin']}" if arguments.origin else ""
        for line in _toml.lines(key, entry["value"]) or [f"# {key} is not set"]:
            print(line + origin)
    return 0


def _resolved(kind: type[Any]) -> dict[str, dict[str, Any]]:
    """Return the value and origin of each setting of a class, by key."""
    values, origins = options.resolve(kind, {})
    return {
        key: {"value": getattr(values, o.name), "origin": origins.get(o.name, "default")}
        for key, o in _toml.by_key(kind).items()
    }
