"""Totals of the judges of an eval: verdicts by state, errors, and cost."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from pytest_llamaburn.criteria import NOT_APPLICABLE
from pytest_llamaburn.kinds.eval.scores import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.judges._documents import ComparisonFields, JudgmentFields
    from pytest_llamaburn.kinds.eval.documents import Item

_TIERS: tuple[Literal["input", "cache_read", "cache_write", "output", "reasoning"], ...] = (
    *("input", "cache_read", "cache_write", "output", "reasoning"),
)


def judgments(items: Iterable[Item]) -> Iterator[JudgmentFields]:
    """Yield every single judgment."""
    for item in items:
        for found in (*item["scores"].values(), *item["comparisons"]):
            yield from found["judgments"]


def counts(items: Iterable[Item], each: int) -> Document:
    """Return the numbers of requested and of given verdicts, and their states.

    A verdict is one reply of one judge about one criterion of an answer, or about a pair. Criteria
    that do not apply are not counted. `each` is the number of verdicts on one criterion or pair; a
    score by rule counts as all of them.
    """
    states = Counter(s for _, s in _verdicts(items, each) if s != NOT_APPLICABLE)
    return {
        "n_total": states.total(),
        "n_scored": states["scored"],
        "by_state": dict(states),
    }


def by_judge(items: Iterable[Item]) -> dict[str, dict[str, int]]:
    """Return the states of each judge's own verdicts."""
    found: dict[str, Counter[str]] = {}
    for name, state in _verdicts(items, 1):
        if name is not None:
            found.setdefault(name, Counter())[state] += 1
    return {name: dict(states) for name, states in found.items()}


def commonest_error(items: Iterable[Item]) -> Document | None:
    """Return the most frequent error of a judge, with its count; None without errors."""
    errors = Counter(
        (one["judge"], one["error"]["kind"], one["error"]["words"])
        for one in judgments(items)
        if one["source"] == "judge" and one["error"] is not None
    )
    for (judge, kind, words), count in errors.most_common(1):
        return {"judge": judge, "kind": kind, "words": words, "count": count}
    return None


def _verdicts(items: Iterable[Item], each: int) -> Iterator[tuple[str | None, str]]:
    """Yield the judge of each verdict and its state; None for a rule, or if it is unfinished."""
    for item in items:
        for one in item["scores"].values():
            yield from _all_of([(j["judge"], j["state"]) for j in one["judgments"]], each)
        if item["comparisons"]:
            yield from _all_of([(_judge_of(c), c["state"]) for c in item["comparisons"]], each)


def _all_of(given: list[tuple[str | None, str]], each: int) -> list[tuple[str | None, str]]:
    """Return `each` verdicts: one by rule counts as all of them; missing ones are unfinished."""
    if len(given) == 1 and given[0][0] is None:
        return given * each
    return given + [(None, UNFINISHED)] * (each - len(given))


def _judge_of(comparison: ComparisonFields) -> str | None:
    return next((one["judge"] for one in comparison["judgments"]), None)


def cost(items: Iterable[Item]) -> Document:
    """Return the calls, tokens and USD of judging; the cost is None if any part is unknown."""
    asked = [one for one in judgments(items) if one["source"] == "judge"]
    tokens = {name: _sum(one["usage"].get(name) for one in asked) for name in _TIERS}
    known = [one["cost_usd"] for one in asked if one["cost_usd"] is not None]
    reasons = [one["cost_reason"] for one in asked if one["cost_usd"] is None]
    return {
        "calls": sum(one["calls"] for one in asked),
        "tokens": tokens,
        "cost_usd": None if reasons else sum(known),
        "known_cost_usd": sum(known),
        "unpriced": len(reasons),
        "reason": reasons[0] if reasons else None,
    }


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
