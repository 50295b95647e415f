"""SimpleQA and similar sets: a question and a short answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.converters._row import optional, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_llamaburn.converters._row import Question

HELP = "question or problem, answer"


def convert(rows: Iterable[Any]) -> Iterator[Question]:
    """Yield questions whose reply must include the answer; they allow a web search.

    A judge, if there is one, assigns SimpleQA's grades.
    """
    for count, row in enumerate(rows, 1):
        yield {
            "id": f"simpleqa-{count}",
            "prompt": text(row, "problem" if "problem" in row else "question"),
            "reference": text(row, "answer"),
            "category": optional(row, "category") or optional(row, "topic") or "factual",
            "allow_web_search": True,
            "scorer": "includes",
            "criteria": ["grade"],
        }
