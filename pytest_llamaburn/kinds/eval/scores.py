"""Summaries of the scores of many answers. Only answers with a score enter a mean.

Each mean has bounds: what it would be if all missing scores were the lowest, and the highest.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_llamaburn import metrics, registry
from pytest_llamaburn.criteria import (
    BUILT_IN,
    GRADED,
    GRADES,
    NOT_APPLICABLE,
    SCORES,
    defined,
    named,
)
from pytest_llamaburn.stats import figures, games, jury

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_llamaburn.criteria import Criterion
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.judges._documents import ScoreFields
    from pytest_llamaburn.kinds.eval.documents import Answer, Item, QuestionFields, Verdict

READ = ("scored", "not_attempted")  # the states of answers that scorers could read
NO_ATTEMPT = ("not_attempted", "empty")  # the states of answers that are no attempt
UNFINISHED = "unfinished"  # the state of a score that is missing because the run was cut
MOST_INCONSISTENT = 0.3  # above this share the verdicts depend on the order of the answers
MOST_BY_CHANCE = 0.05  # a sign test with a larger p is not significant
FEWEST_DECISIVE = 6  # 2 / 2**6 < MOST_BY_CHANCE < 2 / 2**5
_MISSING: Verdict = {  # on an answer if the run was cut before its scorer
    "correct": None,
    "state": UNFINISHED,
    "reason": "",
    "extracted": None,
    "details": {},
}
_TOO_FEW = "fewer than 6 questions have a winner, so the result may be due to chance"


def criteria(items: Sequence[Item]) -> dict[str, Document]:
    """Return the summary of each criterion that judges scored, except grades."""
    own = defined(d for item in items for d in item["question"].get("definitions", ()))
    names = dict.fromkeys((*BUILT_IN, *(name for item in items for name in item["scores"])))
    asked = {name: [i["scores"][name] for i in items if name in i["scores"]] for name in names}
    return {
        name: _criterion(found, own.get(name) or named(name))
        for name, found in asked.items()
        if found and named(name).kind != "grade"
    }


def _criterion(found: Sequence[ScoreFields], asked: Criterion) -> Document:
    fit = [one for one in found if one["state"] != NOT_APPLICABLE]
    scores = [one["score"] for one in fit if one["score"] is not None]
    missing = len(fit) - len(scores)
    middle = figures.mean(scores, scale=asked.scale)
    ends = asked.scale if fit else ()
    bounds = {f"missing_at_{end}": (sum(scores) + missing * end) / len(fit) for end in ends}
    is_scale = asked.kind == "scale"
    return {
        "unit": "1 to 5" if is_scale else "share",
        "n_total": len(fit),
        "n_scored": len(scores),
        "by_state": dict(Counter(one["state"] for one in found)),
        "mean": middle.value,
        "ci95": middle.ci95,
        "reason": middle.reason if fit else _inapplicable(found),
        "bounds": bounds or None,
        "histogram": histogram(scores) if is_scale else None,
        "flip_rate": _mean(one["flip_rate"] for one in found),
        "jury_alpha": _alpha(found),
    }


def histogram(scores: Iterable[float]) -> dict[str, int]:
    """Return how often each score was given; a half point counts as the nearest even score.

    With this rounding, reversing the scale reverses the histogram.
    """
    counts = Counter(map(round, scores))
    return {str(score): counts[score] for score in SCORES}


def _inapplicable(found: Sequence[ScoreFields]) -> str:
    """Return why a criterion does not apply to any of these answers."""
    (first, *_) = found[0]["judgments"]
    return first["error"]["words"] if first["error"] else "the texts make no claim"


def grades(items: Sequence[Item]) -> dict[str, Document]:
    """Return the shares of SimpleQA's grades and its F-score, by the names of the measures.

    Empty if no answer was to be graded. `bounds` has the lowest and the highest value that each
    measure can have if all missing grades are equal.
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


def _grade(name: str, given: Sequence[str], total: int, why: str | None) -> Document:
    found = figures.graded(name, given)
    missing = total - len(given)
    ends = [figures.graded(name, [*given, *missing * [grade]]).value for grade in GRADES]
    known = [value for value in ends if value is not None]
    bounds = {"missing_at_0": min(known), "missing_at_1": max(known)} if known else None
    return {
        "mean": found.value,
        "ci95": found.ci95,
        "reason": why or found.reason,
        "bounds": bounds,
    }


def _alpha(found: Sequence[ScoreFields]) -> Document | None:
    """Return the agreement of several judges, Krippendorff's ordinal alpha; None for one judge."""
    alpha = jury.alpha(
        [(one["judge"], one["score"]) for one in each["judgments"]] for each in found
    )
    return None if alpha is None else alpha.as_dict()


def correctness(items: Sequence[Item]) -> dict[str, Document]:
    """Return the share of right answers, and the share of those that scorers could not read.

    `correct` is over all answers; an answer that cannot be read is wrong. Answers that are missing
    for a reason other than the model are left out; `bounds` has the share if all of them were
    wrong, and if all were right. `correct_of_parsed` is over the answers that were read, and
    `unparsable` is the share of the others: correct = correct_of_parsed · (1 − unparsable).
    `not_attempted` is the share of answers that only say that the model does not know or declines,
    and of empty ones; `correct_given_attempted` is over the others: correct =
    correct_given_attempted · (1 − not_attempted). Several answers to a question are not
    independent; the intervals treat them as one cluster.
    """
    asked = [pair for item in items for pair in _verdicts(item)]
    given = [(name, v) for name, v in asked if v["correct"] is not None]
    parsed = [(name, v) for name, v in given if v["state"] in READ]
    tried = [(name, v) for name, v in given if v["state"] not in NO_ATTEMPT]
    right = sum(_is_right(v) for _, v in given)
    unread = len(given) - len(parsed)
    return {
        "correct": {
            **_share_of(asked, given, _is_right),
            "right": right,
            "bounds": _bounds(right, len(given), len(asked)),
        },
        "correct_of_parsed": {
            **_share_of(given, parsed, _is_right),
            "right": right,
        },
        "unparsable": {
            **_share_of(asked, given, lambda v: v["state"] not in READ),
            "count": unread,
        },
        "not_attempted": {
            **_share_of(asked, given, lambda v: v["state"] in NO_ATTEMPT),
            "count": len(given) - len(tried),
        },
        "correct_given_attempted": {
            **_share_of(given, tried, _is_right),
            "right": right,
        },
    }


def _verdicts(item: Item) -> Iterator[tuple[str, Verdict]]:
    """Yield the question's id and the verdict on each answer, if the question has a scorer.

    Scorers that only measure, without a bound, are left out: they find no answer right or wrong.
    """
    question = item["question"]
    if _only_measured(question):
        return
    missing = _MISSING if question.get("scorer") else None
    for answer in samples(item):
        verdict = answer["verdict"] or missing
        if verdict is not None:
            yield question["id"], verdict


def _only_measured(question: QuestionFields) -> bool:
    """Return whether the question's scorer measures only: it has no bound that decides."""
    scorer = question.get("scorer")
    if not scorer or scorer not in registry.names("scorers"):
        return False
    bound = getattr(registry.load("scorers", scorer), "BOUND", None)
    return bound is not None and question["options"].get(bound) is None


def _is_right(verdict: Verdict) -> bool:
    return verdict["correct"] is True


def _share_of(
    asked: Sequence[tuple[str, Verdict]],
    counted: Sequence[tuple[str, Verdict]],
    is_hit: Callable[[Verdict], bool],
) -> Document:
    hits = [float(is_hit(verdict)) for _, verdict in counted]
    found = figures.mean(hits, [name for name, _ in counted], (0, 1))
    return {
        "n_total": len(asked),
        "n_scored": len(counted),
        "by_state": dict(Counter(verdict["state"] for _, verdict in asked)),
        "mean": found.value,
        "ci95": found.ci95,
        "reason": found.reason and _why_none(verdict for _, verdict in asked),
    }


def _why_none(verdicts: Iterable[Verdict]) -> str:
    why = why_unavailable(verdicts)
    return f"no answer was scored: {why}" if why else "no answer was scored by a scorer"


def why_unavailable(verdicts: Iterable[Verdict | None]) -> str:
    """Return the most frequent reason why this machine could not score; empty if it could."""
    reasons = Counter(v["reason"] for v in verdicts if v and v["state"] == "unavailable")
    return reasons.most_common(1)[0][0] if reasons else ""


def _bounds(right: float, given: int, asked: int) -> dict[str, float] | None:
    if not asked:
        return None
    return {"missing_at_0": right / asked, "missing_at_1": (right + asked - given) / asked}


def as_wrong(item: Item) -> None:
    """Make unreadable answers wrong in an item of an earlier version, which did not score them."""
    for answer in samples(item):
        verdict = answer["verdict"]
        if verdict and verdict["correct"] is None and verdict["state"] not in metrics.NO_VERDICT:
            verdict["correct"] = answer["correct"] = False


def pass_at_k(items: Sequence[Item], k: int | None) -> Document | None:
    """Return the mean of pass@k over the questions that have a scorer; None without a k."""
    if k is None:
        return None
    asked = [item for item in items if any(_verdicts(item))]
    values = [item["pass_at_k"] for item in asked if item["pass_at_k"] is not None]
    found = figures.mean(values, scale=(0, 1))
    return {
        "k": k,
        "n_total": len(asked),
        "n_scored": len(values),
        "bounds": _bounds(sum(values), len(values), len(asked)),
        "mean": found.value,
        "ci95": found.ci95,
        "reason": found.reason,
    }


def pass_at_k_of(item: Item, k: int | None) -> float | None:
    """Return a question's pass@k; None without a k, or if no answer has a score."""
    from pytest_llamaburn.scorers import code  # with it comes the sandbox

    right = [s["correct"] for s in samples(item) if s["correct"] is not None]
    return code.pass_at_k(len(right), sum(right), k) if k is not None and right else None


def by_category(items: Sequence[Item], k: int | None = None) -> dict[str, Document]:
    """Return for each category the number of questions, the share of right answers, mean scores."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item["question"]["category"], []).append(item)
    return {name: _category(group, k) for name, group in groups.items()}


def _category(group: Sequence[Item], k: int | None) -> Document:
    passed = pass_at_k(group, k)
    found = {**correctness(group), **criteria(group), **grades(group)}
    found |= {"pass_at_k": passed} if passed else {}
    kept = ("n_total", "n_scored", "right", "count", "mean", "ci95")
    return {
        "questions": len(group),
        **{name: {k: one[k] for k in kept if k in one} for name, one in found.items()},
    }


def macro(items: Sequence[Item]) -> Document:
    """Return the mean of the categories' shares of right answers: all have the same weight."""
    groups: dict[str, list[tuple[str, float]]] = {}
    for item in items:
        given = ((name, v["correct"]) for name, v in _verdicts(item) if v["correct"] is not None)
        group = groups.setdefault(item["question"]["category"], [])
        group += [(name, float(right)) for name, right in given]
    split = ([*zip(*group, strict=True)] for group in groups.values() if group)
    found = figures.macro([(rights, names) for names, rights in split])
    return {
        "mean": found.value,
        "ci95": found.ci95,
        "reason": found.reason and "no answer was scored by a scorer",
        "categories": found.n,
    }


def pairwise(items: Sequence[Item], opponent: str | None) -> Document | None:
    """Return how the model compares with its opponent; None if answers were not compared.

    Each question has one vote. There is no verdict if more than 30 % of the pairs have a
    different winner in the other order. The verdict is better or worse only if both the interval of
    the win rate and the sign test show it; the sign test needs 6 questions with a winner.
    """
    if opponent is None:
        return None
    found = games.games([game for item in items for game in _games(item)])
    verdict, reason = _winner(found)
    states = Counter(c["state"] for item in items for c in item["comparisons"])
    return {
        "rival": opponent,
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


def _winner(found: Document) -> tuple[str | None, str | None]:
    consistency, rate = found["consistency"]["value"], found["win_rate"]
    if consistency is None:
        return None, "no pair was judged"
    if 1 - consistency > MOST_INCONSISTENT:
        return None, (
            f"{1 - consistency:.0%} of the pairs have a different winner in the other order: "
            "this judge cannot tell these models apart"
        )
    low, high = rate["ci95"] or (0.0, 1.0)
    p = found["sign_test_p"]["value"]
    if low <= 0.5 <= high or p is None or p > MOST_BY_CHANCE:
        few = found["wins"] + found["losses"] < FEWEST_DECISIVE
        return "undecided", _TOO_FEW if few else None
    return ("better" if low > 0.5 else "worse"), None


def evidence(items: Sequence[Item]) -> Document | None:
    """Return what the searches found and the answers cited; None without searches."""
    with_search = [item for item in items if item["search"] is not None]
    searches = [item["search"] for item in with_search if item["search"] is not None]
    if not searches:
        return None
    known = [i["reference_found"] for i in with_search if i["reference_found"] is not None]
    return {
        "questions": len(searches),
        "backends": sorted({search["backend"] for search in searches}),
        "without_hits": sum(not search["hits"] for search in searches),
        "reference_found": {"n": len(known), "share": _mean(map(float, known))},
        "cited": {
            "n": len(with_search),
            "share": _mean(float(bool(item["cited"])) for item in with_search),
        },
    }


def missing(found: Document) -> int:
    """Return how many scores are missing."""
    count: int = found["n_total"] - found["n_scored"]
    return count


def samples(item: Item) -> Iterator[Answer]:
    """Yield the answers to a question, each with its score."""
    yield item
    yield from item["more_samples"]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
