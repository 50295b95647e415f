"""The names that kinds of run add to pytest, known without loading the kinds.

pytest loads the plugin in every session of an environment, and most sessions measure nothing. So
`names.json` lists the fixtures and markers of our own kinds, and a kind is loaded when a test uses
one. `scripts/generate.py` writes the file from each `KIND`.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llamaburn import registry

if TYPE_CHECKING:
    from pytest_llamaburn.kinds._kind import RunKind

NAMES = Path(__file__).with_name("names.json")


class Listed:
    """What pytest needs to know of a kind of run in every session; `kind` is the kind itself."""

    def __init__(
        self,
        name: str,
        fixture: str,
        fixture_help: str,
        functions: dict[str, str],
        markers: tuple[str, ...],
        marker_help: str,
    ) -> None:
        """Take the names; `functions` has the docstring of each function-scoped fixture."""
        self.name, self.fixture, self.fixture_help = name, fixture, fixture_help
        self.functions, self.markers, self.marker_help = functions, markers, marker_help

    @cached_property
    def kind(self) -> RunKind:
        """The kind of run, loaded at first use."""
        kind: RunKind = registry.load("kinds", self.name).KIND
        return kind


def of(kind: RunKind) -> Listed:
    """Return the names of a kind that is loaded, as those of other distributions are."""
    functions = {name: text for name, (_, text) in kind.functions.items()}
    listed = Listed(
        kind.name, kind.fixture, kind.fixture_help, functions, kind.markers, kind.marker_help
    )
    listed.kind = kind
    return listed


def own() -> list[Listed]:
    """Return the kinds of run of this package, sorted by name."""
    return [Listed(**entry) for entry in json.loads(NAMES.read_bytes())]


def written(kinds: tuple[RunKind, ...]) -> str:
    """Return the content of `names.json` for these kinds."""
    entries = [{k: v for k, v in vars(of(kind)).items() if k != "kind"} for kind in kinds]
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
