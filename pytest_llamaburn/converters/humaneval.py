"""HumanEval: Python functions to be completed, with hidden tests in a function `check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HELP = "task_id, prompt, entry_point, canonical_solution, test"
_ASK = "Complete this Python function. Reply with the whole function, its imports included."


def convert(rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield code questions; the tests call `check` on the answer's function."""
    for row in rows:
        yield {
            "id": row["task_id"],
            "prompt": f"{_ASK}\n\n```python\n{row['prompt'].strip()}\n```",
            "reference": row["prompt"] + row["canonical_solution"],
            "category": "code",
            "scorer": "code",
            "entry_point": row["entry_point"],
            "tests": [row["test"], f"check({row['entry_point']})"],
        }
