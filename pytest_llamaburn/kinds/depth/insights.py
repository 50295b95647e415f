"""The insights of a run that measures rates by depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import insights
from pytest_llamaburn.insights import adding_to
from pytest_llamaburn.tables import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.insights import Finding, Insight, Rule

    Interval = tuple[float | None, Sequence[float] | None]
    Rate = Callable[[Document], Interval]

_SLOWER = 0.1  # smaller losses are not worth a sentence
_APART = 0.1  # difference from the server's own rate
_RULES: list[Rule] = [insights.other_load]


def find(document: Document) -> list[Insight]:
    """Return the insights that apply to a result file."""
    return insights.evidenced(_RULES, document)


@adding_to(_RULES)
def slower_with_depth(document: Document) -> Finding | None:
    """Compare the decode rate at the greatest depth with that at the lowest."""
    return _loss(document, "decode", "writes", _decode)


@adding_to(_RULES)
def slower_prefill(document: Document) -> Finding | None:
    """Compare the prefill rate at the greatest depth with that at the lowest."""
    return _loss(document, "prefill", "reads", _prefill)


@adding_to(_RULES)
def server_disagrees(document: Document) -> Finding | None:
    """Compare the decode rate of this client with the server's own."""
    worst: tuple[float, int] = (0.0, 0)
    for at in document["results"]["depths"]:
        ours, theirs = at["decode"]["p50"], at["server_decode_tokens_per_sec"]
        if ours and theirs:
            worst = max(worst, (abs(ours / theirs - 1), at["depth"]))
    if worst[0] < _APART:
        return None
    text = (
        f"At depth {worst[1]} the decode rate that this client saw differs by {worst[0]:.0%} from "
        "the server's own. Close other programs and measure again."
    )
    return text, {"difference": worst[0], "depth": worst[1]}


def _loss(document: Document, name: str, verb: str, rate: Rate) -> Finding | None:
    """Return how much slower the greatest depth is; None if the intervals leave it open."""
    known = _known(document["results"]["depths"], rate)
    if len(known) < 2:
        return None
    (low, fast, (least, _)), (high, slow, (_, most)) = known[0], known[-1]
    if most >= least or slow > (1 - _SLOWER) * fast:
        return None
    text = (
        f"The model {verb} {1 - slow / fast:.0%} slower at depth {high} than at depth {low}: "
        f"{number(slow)} instead of {number(fast)} tokens/s."
    )
    return text, {f"{name}_tokens_per_sec": {str(low): fast, str(high): slow}}


def _decode(at: Document) -> Interval:
    return at["decode"]["mean"], at["decode"]["ci95"]


def _prefill(at: Document) -> Interval:
    return at["prefill"]["tokens_per_sec"], at["prefill"]["ci95"]


def _known(depths: Sequence[Document], rate: Rate) -> list[tuple[int, float, Sequence[float]]]:
    """Return each depth whose rate has an interval, with both."""
    rates = [(at["depth"], *rate(at)) for at in depths]
    return [(depth, value, ends) for depth, value, ends in rates if value is not None and ends]
