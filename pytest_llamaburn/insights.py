"""Insights: sentences about a result file, each with its evidence and an advice.

A rule is a function over the content of a result file. It returns a sentence and its evidence, or
None if the evidence is missing. Each kind of run has its own list of rules.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, TypedDict

from pytest_llamaburn.documents import Document

if TYPE_CHECKING:
    from collections.abc import Callable

    Rule = Callable[["Document"], "Insight | None"]

Finding = tuple[str, Document]  # a sentence and its evidence


class Insight(TypedDict):
    """A sentence about a result, with its evidence, by the name of its rule."""

    id: str
    text: str
    evidence: Document


BUSY_SHARE = 0.1
BUSY = "was measured while other programs used much of the machine"  # in comparisons


def rule(function: Callable[[Document], Finding | None]) -> Rule:
    """Return the rule whose insight has the function's name."""

    @wraps(function)
    def named(document: Document) -> Insight | None:
        found = function(document)
        if found is None:
            return None
        return {"id": function.__name__, "text": found[0], "evidence": found[1]}

    return named


def adding_to(
    rules: list[Rule],
) -> Callable[[Callable[[Document], Finding | None]], Rule]:
    """Return a decorator that makes a rule of a function and adds it to `rules`."""

    def add(function: Callable[[Document], Finding | None]) -> Rule:
        rules.append(rule(function))
        return rules[-1]

    return add


def evidenced(rules: list[Rule], document: Document) -> list[Insight]:
    """Return the insights of all rules that apply to a document."""
    insights = (rule(document) for rule in rules)
    return [insight for insight in insights if insight is not None]


@rule
def other_load(document: Document) -> Finding | None:
    """Read how much of the processors other programs used during the run."""
    share = document["telemetry"].get("other_cpu_share")
    if share is None or share < BUSY_SHARE:
        return None
    text = (
        f"Other programs used {share:.0%} of this machine's processors during the run. Close them "
        "and measure again."
    )
    return text, {"other_cpu_share": share}


def busy(document: Document) -> bool:
    """Return whether a file's own insights say that other programs used much of its machine."""
    return any(one["id"] in ("other_load", "busy_before") for one in document.get("insights", ()))
