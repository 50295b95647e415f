"""MT-Bench: open questions in turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.converters._row import fault, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HELP = "question_id, category, turns, reference; only the first turns are used"


def convert(rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield the first turn of each question, for a judge; a second turn needs a first answer."""
    for row in rows:
        turns = texts(row, "turns")
        if not turns:
            raise fault(row, "turns", "is empty")
        yield {
            "id": f"mtbench-{text(row, 'question_id')}",
            "prompt": turns[0],
            "reference": _first_reference(row),
            "category": text(row, "category"),
        }


def _first_reference(row: Any) -> str | None:
    """Return the reference of the first turn, or None if only later turns have one."""
    if row.get("reference") is None:
        return None
    return next(iter(texts(row, "reference")), None) or None
