"""The insights of a bake-off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import insights
from pytest_llamaburn.insights import adding_to
from pytest_llamaburn.stats import sequential
from pytest_llamaburn.stats.runs import ALARM_RATE
from pytest_llamaburn.tables import number
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.insights import Finding, Insight, Rule

_APART = 0.1  # smaller differences of the length of a token are not worth a sentence
_RULES: list[Rule] = [insights.other_load]


def find(document: Document) -> list[Insight]:
    """Return the insights that apply to a result file."""
    return insights.evidenced(_RULES, document)


@adding_to(_RULES)
def early_end(document: Document) -> Finding | None:
    """Read how many rounds were saved because the order was known."""
    found, most = document["results"], document["config"]["rounds"]
    if not found["decided"] or found["rounds"] >= most:
        return None
    text = f"The order was known after {found['rounds']} of {most} rounds, so the run ended."
    return text, {"rounds": found["rounds"], "planned": most}


@adding_to(_RULES)
def still_open(document: Document) -> Finding | None:
    """Name the models whose order is not known."""
    pairs = [one for one in document["results"]["pairs"] if one["verdict"] == "open"]
    if not pairs:
        return None
    named = ", ".join(f"{one['first']} and {one['second']}" for one in pairs)
    rounds = document["results"]["rounds"]
    least = sequential.least(ALARM_RATE / len(document["results"]["pairs"]))
    more = (
        f"At least {least} --rounds are needed for these models."
        if rounds < least
        else "More --rounds or --iterations decide."
    )
    text = f"{counted(rounds, 'round')} cannot tell {named} apart: they share a rank. {more}"
    return text, {"pairs": [[one["first"], one["second"]] for one in pairs]}


@adding_to(_RULES)
def token_lengths(document: Document) -> Finding | None:
    """Compare the characters of a token: tokens of different models are not the same amount."""
    lengths = {}
    for one in document["results"]["candidates"]:
        tokens = one["summary"]["tokens_per_sec"]["mean"]
        characters = one["characters_per_sec"]["mean"]
        if tokens and characters and one["rank"]:
            lengths[one["name"]] = characters / tokens
    if len(lengths) < 2 or max(lengths.values()) < (1 + _APART) * min(lengths.values()):
        return None
    named = ", ".join(f"{name} {number(length)}" for name, length in lengths.items())
    text = (
        f"A token is not the same amount of text in these models (characters per token: {named}). "
        "Compare characters/s too."
    )
    return text, {"characters_per_token": lengths}
