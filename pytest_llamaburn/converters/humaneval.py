"""HumanEval: Python functions to complete, with hidden tests in a function `check`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.converters._row import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_llamaburn.converters._row import Question

HELP = "task_id, prompt, entry_point, canonical_solution, test"
_ASK = "Complete this Python function. Reply with the whole function, its imports included."


def convert(rows: Iterable[Any]) -> Iterator[Question]:
    """Yield code questions; the tests call `check` on the answer's function.

    The part of a prompt before that function is the preamble, which answers need not repeat.
    """
    for row in rows:
        prompt, entry_point = text(row, "prompt"), text(row, "entry_point")
        beginning = rf"^(?:async )?def {re.escape(entry_point)}\b"
        preamble = re.split(beginning, prompt, maxsplit=1, flags=re.MULTILINE)[0]
        yield {
            "id": text(row, "task_id"),
            "prompt": f"{_ASK}\n\n```python\n{prompt.strip()}\n```",
            "reference": prompt + text(row, "canonical_solution"),
            "category": "code",
            "scorer": "code",
            "entry_point": entry_point,
            "options": {"preamble": preamble} if preamble.strip() else {},
            "tests": [text(row, "test"), f"check({entry_point})"],
        }
