"""Print the JSON Schema of result files, eval sets, prompt sets or settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "print the JSON Schema of a file"
EXAMPLE = "llamaburn schema prompts"
SCHEMAS = Path(__file__).parent.parent / "schemas"
KINDS = tuple(sorted(path.name.partition(".")[0] for path in SCHEMAS.glob("*.schema.json")))


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", nargs="?", choices=KINDS, default="benchmark")


def run(arguments: argparse.Namespace) -> int:
    """Print the shipped schema."""
    print((SCHEMAS / f"{arguments.kind}.schema.json").read_text(encoding="utf-8"), end="")
    return 0
