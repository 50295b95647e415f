"""Arena-Hard: open questions without references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HELP = "uid, category, prompt"


def convert(rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield the questions, for a judge."""
    for row in rows:
        yield {"id": row["uid"], "prompt": row["prompt"], "category": row["category"]}
