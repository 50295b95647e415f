"""Arena-Hard: open questions without references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.converters._row import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_llamaburn.converters._row import Question

HELP = "uid, category, prompt"


def convert(rows: Iterable[Any]) -> Iterator[Question]:
    """Yield the questions, for a judge."""
    for row in rows:
        names = {"id": "uid", "prompt": "prompt", "category": "category"}
        yield {name: text(row, field) for name, field in names.items()}
