"""The places that both models answered, and whether their tokens can be compared at all."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds.damage import divergence
from pytest_llamaburn.kinds.damage.plan import OTHER, REFERENCE, TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_llamaburn.documents import Document

_LEAST_SHARED = 0.5  # of the probability, if the models have other tokens


def of(rows: Sequence[Any]) -> list[Document]:
    """Return the divergence at each place that both models answered, in the order of the rows."""
    reference, other = _answered(row for row in rows if row["likely"])
    return [_place(row, other[name]) for name, row in reference.items() if name in other]


def unpaired(rows: Iterable[Any]) -> tuple[list[str], list[str]]:
    """Return the places that the reference alone answered, and those of the other model alone."""
    reference, other = _answered(rows)
    return [n for n in reference if n not in other], [n for n in other if n not in reference]


def _answered(rows: Iterable[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows of the places that the reference answered, and of those of the other."""
    by_role: dict[str, dict[str, Any]] = {REFERENCE: {}, OTHER: {}}
    for row in rows:
        if row["part"] == TOKEN and row["error"] is None:
            by_role[row["role"]][row["prompt_id"]] = row
    return by_role[REFERENCE], by_role[OTHER]


def _place(reference: Document, other: Document) -> Document:
    gap = divergence.gap(reference["likely"], other["likely"])
    lengths = [row["input_sequence_length"] for row in (reference, other)]
    return {
        "id": reference["prompt_id"],
        "passage": reference["passage"],
        "category": reference["category"],
        "kl": gap.kl,
        "shared": gap.shared,
        "changed": gap.changed,
        "same_tokens": None if None in lengths else lengths[0] == lengths[1],
        "reference": gap.reference,
        "other": gap.other,
    }


def unlike(pairs: Sequence[Document]) -> str | None:
    """Return why the models' tokens cannot be compared, or None.

    Models with other tokenizers count other numbers of tokens in the same texts. Their tokens are
    compared as texts, which means nothing if the same words are other texts to them.
    """
    if not any(pair["same_tokens"] is False for pair in pairs):
        return None
    shared = fmean(pair["shared"] for pair in pairs)
    if shared >= _LEAST_SHARED:
        return None
    return (
        f"the models split text into other tokens, and only {shared:.0%} of the reference's "
        "probability is on tokens that both know, so their tokens cannot be compared"
    )
