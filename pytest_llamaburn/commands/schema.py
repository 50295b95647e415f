"""Print the JSON Schema of result files, eval sets, prompt sets or settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llamaburn import registry

if TYPE_CHECKING:
    import argparse

HELP = "print the JSON Schema of a file"
EXAMPLE = "llamaburn schema prompts"
SCHEMAS = Path(__file__).parent.parent / "schemas"
_SUFFIX = ".schema.json"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from pytest_llamaburn.store import results

    shipped = (path.name.removesuffix(_SUFFIX) for path in SCHEMAS.glob(f"*{_SUFFIX}"))
    kinds = sorted({*shipped, *results.kinds()})
    first = registry.own("kinds")[0]
    parser.add_argument("kind", nargs="?", choices=kinds, default=first)


def run(arguments: argparse.Namespace) -> int:
    """Print the shipped schema, or the schema of a kind that another distribution adds."""
    shipped = SCHEMAS / f"{arguments.kind}{_SUFFIX}"
    if shipped.exists():
        print(shipped.read_text(encoding="utf-8"), end="")
    else:
        from pytest_llamaburn.store import results

        print(json.dumps(results.schema(arguments.kind), indent=2, ensure_ascii=False))
    return 0
