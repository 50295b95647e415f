"""MT-Bench: open questions in turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HELP = "question_id, category, turns, reference; only first turns are taken"


def convert(rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield the first turn of each question, for a judge; the second needs the first's answer."""
    for row in rows:
        yield {
            "id": f"mtbench-{row['question_id']}",
            "prompt": row["turns"][0],
            "reference": next(iter(row.get("reference") or ()), "").strip() or None,
            "category": row["category"],
        }
