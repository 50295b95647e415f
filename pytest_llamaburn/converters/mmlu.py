"""MMLU: multiple-choice questions, with one column a choice or all choices in a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HELP = "question, choices or A B C D, answer as letter or index"
COLUMNS = ("question", "A", "B", "C", "D", "answer")


def convert(rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield choice questions, their choices lettered in the prompt."""
    for count, row in enumerate(rows, 1):
        choices = row["choices"] if "choices" in row else [row[letter] for letter in "ABCD"]
        answer = row["answer"]
        lettered = [f"{chr(ord('A') + i)}) {choice}" for i, choice in enumerate(choices)]
        ask = "Reply with the letter of the right answer only."
        yield {
            "id": f"mmlu-{count}",
            "prompt": "\n".join([row["question"], "", *lettered, "", ask]),
            "reference": chr(ord("A") + answer) if isinstance(answer, int) else answer.upper(),
            "category": row.get("subject") or "knowledge",
            "scorer": "choice",
            "choices": choices,
        }
