"""What the marks of many answers come to. Only what was scored enters a mean.

Beside each mean stand the bounds it would have if all that is missing were at the lowest mark, and
if it were at the highest.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import metrics
from pytest_llamaburn.criteria import BUILT_IN, GRADED, GRADES, NOT_APPLICABLE, SCORES, named
from pytest_llamaburn.stats import agreement, figures, games

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_llamaburn.criteria import Criterion

Item = dict[str, Any]

UNFINISHED = "unfinished"  # the state of a verdict that a run was cut before
MOST_INCONSISTENT = 0.3  # above it the judge looks at the position, not at the answers
MOST_BY_CHANCE = 0.05  # a sign test's p above it is no evidence
FEWEST_DECISIVE = 6  # 2 / 2**6 < MOST_BY_CHANCE < 2 / 2**5
_TOO_FEW = "fewer than 6 questions have a winner: chance alone could do that"


def criteria(items: Sequence[Item]) -> dict[str, dict[str, Any]]:
    """Return the summary of each criterion that any question is judged on, grades aside."""
    names = dict.fromkeys((*BUILT_IN, *(name for item in items for name in item["scores"])))
    asked = {name: [i["scores"][name] for i in items if name in i["scores"]] for name in names}
    return {
        name: _criterion(found, named(name))
        for name, found in asked.items()
        if found and named(name).kind != "grade"
    }


def _criterion(found: Sequence[dict[str, Any]], asked: Criterion) -> dict[str, Any]:
    fit = [one for one in found if one["state"] != NOT_APPLICABLE]
    scores = [one["score"] for one in fit if one["score"] is not None]
    missing = len(fit) - len(scores)
    middle = figures.mean(scores, scale=asked.scale)
    ends = asked.scale if fit else ()
    bounds = {f"missing_at_{end}": (sum(scores) + missing * end) / len(fit) for end in ends}
    marked = asked.kind == "scale"
    return {
        "unit": "1 to 5" if marked else "share",
        "n_total": len(fit),
        "n_scored": len(scores),
        "by_state": dict(Counter(one["state"] for one in found)),
        "mean": middle.value,
        "ci95": _listed(middle.ci95),
        "reason": middle.reason if fit else _inapplicable(found),
        "bounds": bounds or None,
        "histogram": _histogram(scores) if marked else None,
        "flip_rate": _mean(one["flip_rate"] for one in found),
        "jury_alpha": _alpha(found),
    }


def _histogram(scores: Iterable[float]) -> dict[str, int]:
    """Return how often each score was given.

    A jury's half points count as the even score beside them: on the scale turned round too.
    """
    counts = Counter(map(round, scores))
    return {str(score): counts[score] for score in SCORES}


def _inapplicable(found: Sequence[dict[str, Any]]) -> str:
    """Return why nobody could give a verdict on any of some answers."""
    (first, *_) = found[0]["judgments"]
    return first["error"]["words"] if first["error"] else "the texts make no claim"


def grades(items: Sequence[Item]) -> dict[str, dict[str, Any]]:
    """Return the shares of SimpleQA's grades and its F-score, by their names as metrics.

    Empty where no answer was to be graded. `bounds` has the lowest and the highest that each can be
    if all that is missing had one grade.
    """
    found = [i["scores"]["grade"] for i in items if "grade" in i["scores"]]
    fit = [one for one in found if one["state"] != NOT_APPLICABLE]
    given = [one["verdict"] for one in fit if one["verdict"] is not None]
    about = {
        "n_total": len(fit),
        "n_scored": len(given),
        "by_state": dict(Counter(one["state"] for one in found)),
        "flip_rate": _mean(one["flip_rate"] for one in found),
    }
    why = None if fit or not found else _inapplicable(found)
    return {name: {**about, **_grade(name, given, len(fit), why)} for name in GRADED if found}


def _grade(name: str, given: Sequence[str], total: int, why: str | None) -> dict[str, Any]:
    found = figures.graded(name, given)
    missing = total - len(given)
    ends = [figures.graded(name, [*given, *missing * [grade]]).value for grade in GRADES]
    known = [value for value in ends if value is not None]
    bounds = {"missing_at_0": min(known), "missing_at_1": max(known)} if known else None
    interval = _listed(found.ci95)
    return {"mean": found.value, "ci95": interval, "reason": why or found.reason, "bounds": bounds}


def _alpha(found: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the agreement of several judges, Krippendorff's ordinal alpha; None for one judge.

    A judge that never came to a verdict was one of them: the reason says why there is no value.
    """
    votes = [_votes(one["judgments"]) for one in found]
    judges = sorted({j["judge"] for one in found for j in one["judgments"] if j["judge"]})
    if len(judges) < 2:
        return None
    table = [[vote.get(name) for vote in votes] for name in judges]
    return agreement.krippendorff(table, "ordinal").as_dict()


def _votes(judgments: Iterable[dict[str, Any]]) -> dict[str, float]:
    given: dict[str, list[float]] = {}
    for one in judgments:
        if one["judge"] is not None and one["score"] is not None:
            given.setdefault(one["judge"], []).append(one["score"])
    return {name: agreement.consensus(scores) for name, scores in given.items()}


def correctness(items: Sequence[Item]) -> dict[str, dict[str, Any]]:
    """Return the shares of answers that the scorers found right and that they could not read.

    `correct` is over all answers: one from which nothing can be read is wrong. What is missing for
    reasons that are not the model's is left out; `bounds` has the share with all of it wrong and
    with all of it right. `correct_of_parsed` is over the answers that could be read. `unparsable`
    is the share of the others, so that correct = correct_of_parsed · (1 − unparsable). Several
    answers to a question are not independent: the intervals take them together.
    """
    asked = [told for item in items for told in _scored(item)]
    given = [(name, v) for name, v in asked if v["correct"] is not None]
    parsed = [(name, v) for name, v in given if v["state"] == "scored"]
    right = sum(v["correct"] for _, v in given)
    unread = len(given) - len(parsed)
    return {
        "correct": {
            **_share_of(asked, given, lambda v: v["correct"]),
            "right": right,
            "bounds": _bounds(right, len(given), len(asked)),
        },
        "correct_of_parsed": {**_share_of(given, parsed, lambda v: v["correct"]), "right": right},
        "unparsable": {
            **_share_of(asked, given, lambda v: v["state"] != "scored"),
            "count": unread,
        },
    }


def _scored(item: Item) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the scorer's verdict on each answer to a question that has one, with the question."""
    question = item["question"]
    missing = {"correct": None, "state": UNFINISHED} if question.get("scorer") else None
    for answer in samples(item):
        verdict = answer["verdict"] or missing
        if verdict is not None:
            yield question["id"], verdict


def _share_of(
    asked: Sequence[tuple[str, dict[str, Any]]],
    counted: Sequence[tuple[str, dict[str, Any]]],
    is_hit: Callable[[dict[str, Any]], bool],
) -> dict[str, Any]:
    hits = [float(is_hit(verdict)) for _, verdict in counted]
    found = figures.mean(hits, [name for name, _ in counted], (0, 1))
    return {
        "n_total": len(asked),
        "n_scored": len(counted),
        "by_state": dict(Counter(verdict["state"] for _, verdict in asked)),
        "mean": found.value,
        "ci95": _listed(found.ci95),
        "reason": found.reason and "no answer has a verdict of a scorer",
    }


def _bounds(right: float, given: int, asked: int) -> dict[str, float] | None:
    if not asked:
        return None
    return {"missing_at_0": right / asked, "missing_at_1": (right + asked - given) / asked}


def as_wrong(item: Item) -> None:
    """Make the answers of an earlier version's item wrong that could not be read."""
    for answer in samples(item):
        verdict = answer["verdict"]
        if verdict and verdict["correct"] is None and verdict["state"] not in metrics.NO_VERDICT:
            verdict["correct"] = answer["correct"] = False


def pass_at_k(items: Sequence[Item], k: int | None) -> dict[str, Any] | None:
    """Return the mean of pass@k over the questions that have a scorer; None if not asked for."""
    if k is None:
        return None
    asked = [item for item in items if any(_scored(item))]
    values = [item["pass_at_k"] for item in asked if item["pass_at_k"] is not None]
    found = figures.mean(values, scale=(0, 1))
    return {
        "k": k,
        "n_total": len(asked),
        "n_scored": len(values),
        "bounds": _bounds(sum(values), len(values), len(asked)),
        "mean": found.value,
        "ci95": _listed(found.ci95),
        "reason": found.reason,
    }


def by_category(items: Sequence[Item]) -> dict[str, dict[str, Any]]:
    """Return for each category its questions, the share of right answers and the mean scores."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item["question"]["category"], []).append(item)
    return {name: _category(group) for name, group in groups.items()}


def _category(group: Sequence[Item]) -> dict[str, Any]:
    found = {**correctness(group), **criteria(group), **grades(group)}
    kept = ("n_total", "n_scored", "right", "count", "mean", "ci95")
    return {
        "questions": len(group),
        **{name: {k: one[k] for k in kept if k in one} for name, one in found.items()},
    }


def pairwise(items: Sequence[Item], rival: str | None) -> dict[str, Any] | None:
    """Return how the model fares against the other one; None if answers were not compared.

    Each question has one vote. There is no verdict where more than 30 % of the pairs turn with the
    order of the answers; to be better or worse takes both the interval of the win rate and the
    sign test, which takes 6 questions that have a winner.
    """
    if rival is None:
        return None
    found = games.games([game for item in items for game in _games(item)])
    verdict, reason = _winner(found)
    states = Counter(c["state"] for item in items for c in item["comparisons"])
    return {
        "rival": rival,
        **found,
        "inconsistent": sum(c["inconsistent"] for i in items for c in i["comparisons"]),
        "by_state": dict(states),
        "verdict": verdict,
        "reason": reason,
    }


def _games(item: Item) -> Iterator[games.Game]:
    for one in item["comparisons"]:
        verdicts = [j["verdict"] for j in one["judgments"] if j["source"] == "judge"]
        yield games.Game(
            one["verdict"],
            one["inconsistent"],
            one["first_picks"],
            sum(verdict in ("A", "B") for verdict in verdicts),
            len(item["answer"] or "") - len(item["rival_answer"] or ""),
            item["question"]["id"],
        )


def _winner(found: dict[str, Any]) -> tuple[str | None, str | None]:
    consistency, rate = found["consistency"]["value"], found["win_rate"]
    if consistency is None:
        return None, "no pair was judged"
    if 1 - consistency > MOST_INCONSISTENT:
        return None, (
            f"{1 - consistency:.0%} of the pairs turn with the order of the answers: "
            "this judge cannot tell these models apart"
        )
    low, high = rate["ci95"] or (0.0, 1.0)
    p = found["sign_test_p"]["value"]
    if low <= 0.5 <= high or p is None or p > MOST_BY_CHANCE:
        few = found["wins"] + found["losses"] < FEWEST_DECISIVE
        return "undecided", _TOO_FEW if few else None
    return ("better" if low > 0.5 else "worse"), None


def judgments(items: Iterable[Item]) -> Iterator[dict[str, Any]]:
    """Yield every single judgment."""
    for item in items:
        for found in (*item["scores"].values(), *item["comparisons"]):
            yield from found["judgments"]


def counts(items: Iterable[Item], each: int) -> dict[str, Any]:
    """Return how many verdicts were asked for, how many there are, and the states.

    A verdict is what one judge says, each time it is asked, on one criterion of an answer or on a
    pair, where there can be one. `each` is how often judges are asked of one: a mark by rule stands
    for all of them.
    """
    told = (state for _, state in _verdicts(items, each))
    states = Counter(state for state in told if state != NOT_APPLICABLE)
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


def commonest_error(items: Iterable[Item]) -> dict[str, Any] | None:
    """Return what most often kept a judge from its verdict, with the count; None if nothing did."""
    errors = Counter(
        (one["judge"], one["error"]["kind"], one["error"]["words"])
        for one in judgments(items)
        if one["source"] == "judge" and one["error"] is not None
    )
    for (judge, kind, words), count in errors.most_common(1):
        return {"judge": judge, "kind": kind, "words": words, "count": count}
    return None


def _verdicts(items: Iterable[Item], each: int) -> Iterator[tuple[str | None, str]]:
    """Yield who gave each verdict, None for a rule or nobody yet, and its state."""
    for item in items:
        for one in item["scores"].values():
            yield from _all_of([(j["judge"], j["state"]) for j in one["judgments"]], each)
        if item["comparisons"]:
            yield from _all_of([(_judge_of(c), c["state"]) for c in item["comparisons"]], each)


def _all_of(told: list[tuple[str | None, str]], each: int) -> list[tuple[str | None, str]]:
    if len(told) == 1 and told[0][0] is None:
        return told * each
    return told + [(None, UNFINISHED)] * (each - len(told))


def _judge_of(comparison: dict[str, Any]) -> str | None:
    return next((one["judge"] for one in comparison["judgments"]), None)


def cost(items: Iterable[Item]) -> dict[str, Any]:
    """Return what judging took: calls, tokens, USD; None where the cost of any is unknown."""
    asked = [one for one in judgments(items) if one["source"] == "judge"]
    tiers = ("input", "cache_read", "cache_write", "output", "reasoning")
    tokens = {name: _sum(one["usage"][name] for one in asked) for name in tiers}
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


def evidence(items: Sequence[Item]) -> dict[str, Any] | None:
    """Return what became of the searches; None where there were none."""
    with_search = [item for item in items if item["search"] is not None]
    if not with_search:
        return None
    told = [i["reference_found"] for i in with_search if i["reference_found"] is not None]
    return {
        "questions": len(with_search),
        "backends": sorted({item["search"]["backend"] for item in with_search}),
        "without_hits": sum(not item["search"]["hits"] for item in with_search),
        "reference_found": {"n": len(told), "share": _mean(map(float, told))},
        "cited": {
            "n": len(with_search),
            "share": _mean(float(bool(item["cited"])) for item in with_search),
        },
    }


def missing(found: dict[str, Any]) -> int:
    """Return how many of the verdicts that were asked for are not there."""
    count: int = found["n_total"] - found["n_scored"]
    return count


def samples(item: Item) -> Iterator[Item]:
    """Yield the answers to a question, each with its verdict."""
    yield item
    yield from item["more_samples"]


def _listed(interval: Sequence[float] | None) -> list[float] | None:
    return None if interval is None else [*interval]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
