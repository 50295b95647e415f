"""Ragas: questions with the documents that a retriever found for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.converters._row import fault, optional, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_llamaburn.converters._row import Question

HELP = "user_input or question, retrieved_contexts or contexts, reference or ground_truth"


def convert(rows: Iterable[Any]) -> Iterator[Question]:
    """Yield questions with their documents, for a judge of faithfulness and context recall.

    The responses in the file are of another model, so they are not used.
    """
    for count, row in enumerate(rows, 1):
        documents = texts(row, _one_of(row, "retrieved_contexts", "contexts"))
        if not documents:
            raise fault(row, "retrieved_contexts", "is empty")
        reference = optional(row, _one_of(row, "reference", "ground_truth"))
        yield {
            "id": f"ragas-{count}",
            "prompt": text(row, _one_of(row, "user_input", "question")),
            "reference": reference,
            "category": "rag",
            "context": documents,
            "criteria": ["faithfulness", *(["context_recall"] if reference else [])],
        }


def _one_of(row: Any, today: str, earlier: str) -> str:
    """Return the name of a field: today's, or that of earlier versions of Ragas."""
    return earlier if earlier in row and today not in row else today
