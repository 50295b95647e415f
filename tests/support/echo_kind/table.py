from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import gates
from pytest_llamaburn.tables import FILE, Sheet, measured, server, title

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SHOWN = ("time_to_first_token_ms", "tokens_per_sec")


def sheets(document: dict[str, Any], path: Path) -> Iterator[Sheet]:
    found = document["results"]
    rows = [measured(name, found["summary"][name]) for name in _SHOWN]
    notes = [("gates", f"gate {gates.sentence(gate)}") for gate in found["gates"]]
    yield Sheet(title(document), [server(document)], rows, [*notes, (FILE, f"file {path}")])


def rows(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for row in document["results"]["runs"]:
        yield {"model": document["model"]["id"], **row}
