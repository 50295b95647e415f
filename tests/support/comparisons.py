"""Comparisons of documents in memory, as `llamaburn compare` makes them of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds.comparison import engine
from pytest_llamaburn.store import file_kinds, results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.kinds._comparable import Comparison

Document = dict[str, Any]


def comparison(
    kind: str,
    *documents: Document,
    baseline: int = 0,
    history: Sequence[Document] = (),
    **asked: Any,
) -> Comparison:
    """Return the documents as sides of comparisons; `asked` is as on the command line."""
    how = engine.comparison_of(kind)
    sources = [(f"{d['run_id']}.json", d) for d in documents]
    return how(sources, engine.chosen(how, engine.Asked(**asked)), baseline, lambda _: history)


def comparison_document(kind: str, *documents: Document, **how: Any) -> Document:
    """Return the comparison's document."""
    return engine.document(
        comparison(kind, *documents, **how), str(file_kinds.named(kind).comparison)
    )


def valid_document(document: Document) -> Document:
    """Return a document once it is known to be a valid result file."""
    assert results.check(document) is None
    return document
