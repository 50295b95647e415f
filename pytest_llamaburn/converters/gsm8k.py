"""GSM8K: word problems whose worked answers end in `#### 18`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.converters._row import fault, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_llamaburn.converters._row import Question

HELP = "question, answer ending in '#### NUMBER'"


def convert(rows: Iterable[Any]) -> Iterator[Question]:
    """Yield number questions; only the final number of a worked answer is kept."""
    for count, row in enumerate(rows, 1):
        _, mark, number = text(row, "answer").rpartition("####")
        if not mark:
            raise fault(row, "answer", "does not end in '#### NUMBER'")
        yield {
            "id": f"gsm8k-{count}",
            "prompt": text(row, "question"),
            "reference": number.replace(",", ""),
            "category": "math",
            "scorer": "number",
        }
