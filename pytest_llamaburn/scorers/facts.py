"""The share of facts that a description has: the detail score without a judge.

The option `facts` is a list; a fact is a text, or a list of texts of which one is enough. A
description has a fact if it has the words of it in order. It is right if it has at least the share
`min_share` of the facts, by default all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.scorers import _base, _text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.scorers._base import Question, Score

NEEDS = ("facts",)
RATES = ("facts_found",)


def score(answer: str, question: Question) -> Score:
    """Return the score; its details are the number of facts and the missing ones."""
    facts = [_texts(one) for one in _base.needed(question, "facts")]
    least = _base.figure(question, "min_share")
    said = _text.spoken(answer)
    missing = [one[0] for one in facts if not any(_text.contains(said, text) for text in one)]
    found = len(facts) - len(missing)
    details = {"facts_found": found, "facts": len(facts), "missing": missing}
    if not said:
        return _base.empty()._replace(details=details)
    right = found >= len(facts) * (1 if least is None else least)
    return _base.scored(right, said, f"missing: {', '.join(missing)}", **details)


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of invalid facts and of an invalid share."""
    facts = question.options.get("facts")
    if not (isinstance(facts, list) and facts and all(map(_is_fact, facts))):
        yield "facts", "should be a list of texts, or of lists of texts"
    yield from _base.bad_figures(question, "min_share")


def _is_fact(fact: object) -> bool:
    texts = [fact] if isinstance(fact, str) else fact
    return isinstance(texts, list) and bool(texts) and all(isinstance(one, str) for one in texts)


def _texts(fact: str | list[str]) -> list[str]:
    return [fact] if isinstance(fact, str) else fact
