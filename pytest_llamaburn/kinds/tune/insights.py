"""The insights of a run that tries settings of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import insights
from pytest_llamaburn.insights import adding_to

if TYPE_CHECKING:
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.insights import Finding, Insight, Rule

_RULES: list[Rule] = [insights.other_load]


def find(document: Document) -> list[Insight]:
    """Return the insights that apply to a result file."""
    return insights.evidenced(_RULES, document)


@adding_to(_RULES)
def at_the_end_of_a_range(document: Document) -> Finding | None:
    """Advise more values of an option whose best one is the largest or smallest that was tried."""
    for effect in document["results"]["effects"]:
        numbers = [level["value"] for level in effect["levels"]]
        alone = all(level["apart"] for level in effect["levels"][1:])
        if not alone or len(numbers) < 3 or not all(type(n) is int for n in numbers):
            continue
        if numbers[0] in (min(numbers), max(numbers)):
            end = "largest" if numbers[0] == max(numbers) else "smallest"
            text = (
                f"The best {effect['option']}, {numbers[0]}, is the {end} that was tried. Try "
                f"{'larger' if end == 'largest' else 'smaller'} ones too."
            )
            return text, {"option": effect["option"], "best": numbers[0]}
    return None


@adding_to(_RULES)
def nothing_told_apart(document: Document) -> Finding | None:
    """Say that no setting is certainly faster than another."""
    known = [one for one in document["results"]["settings"] if one["group"] is not None]
    if len(known) < 2 or any(one["group"] != 1 for one in known):
        return None
    text = (
        f"None of the {len(known)} settings can be told apart from the best one: keep the "
        "server's own, or measure again with more --iterations."
    )
    return text, {"settings": len(known)}
