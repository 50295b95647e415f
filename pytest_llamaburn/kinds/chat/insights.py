"""The insights of a run that holds conversations."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from pytest_llamaburn import insights
from pytest_llamaburn.insights import adding_to
from pytest_llamaburn.kinds.chat import overflow
from pytest_llamaburn.tables import number

if TYPE_CHECKING:
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.insights import Finding, Insight, Rule

_FEW = 0.5  # share of the conversation before a turn that a working cache has
_RULES: list[Rule] = [insights.other_load]


def find(document: Document) -> list[Insight]:
    """Return the insights that apply to a result file."""
    return insights.evidenced(_RULES, document)


@adding_to(_RULES)
def cost_of_a_miss(document: Document) -> Finding | None:
    """Read what a miss of the prompt cache costs in the last turn, if it surely costs time."""
    last = document["results"]["turns"][-1:]
    known: Document = last[0]["miss_cost_ms"] if last else {"ci95": None}
    if known["ci95"] is None or known["ci95"][0] <= 0 or known["p50"] <= 0:
        return None
    cost, hit = last[0]["miss_cost_ms"]["p50"], last[0]["ttft_ms"]["p50"]
    text = (
        f"In turn {last[0]['turn']} a miss of the prompt cache costs {number(cost)} ms: the first "
        f"token comes after {number(hit + cost)} ms instead of {number(hit)} ms."
    )
    return text, {"miss_cost_ms": cost, "ttft_ms": hit}


@adding_to(_RULES)
def cache_not_used(document: Document) -> Finding | None:
    """Look for turns whose earlier turns were not in the cache."""
    turns = document["results"]["turns"]
    missed = [
        now["turn"]
        for before, now in itertools.pairwise(turns)
        if None not in (now["cached_tokens"], before["context_tokens"])
        and now["cached_tokens"] < _FEW * before["context_tokens"]
    ]
    if not missed:
        return None
    text = (
        f"The server did not have the earlier turns in its prompt cache in {len(missed)} of "
        f"{len(turns) - 1} turns. Switch its prompt cache on, or give each conversation a slot."
    )
    return text, {"turns": missed}


@adding_to(_RULES)
def silent_truncation(document: Document) -> Finding | None:
    """Warn of a server that drops the start of a conversation without saying so."""
    prompt = document["results"]["overflow"]["prompt"]
    if prompt["behaviour"] != overflow.TRUNCATES:
        return None
    text = (
        "The server drops the start of a conversation that is longer than the context, and does "
        "not say so. Load a longer context with --num-ctx, or shorten the conversation yourself."
    )
    return text, {"prompt_tokens": prompt["prompt_tokens"]}
