"""What marks come to, without servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn import compare_evals, gates, judges
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.journal import Record
from pytest_llamaburn.kinds import _marks, _unfinished

if TYPE_CHECKING:
    from collections.abc import Sequence


def judgment(score: int | None, judge: str | None = "j", **fields: Any) -> dict[str, Any]:
    made = {"source": "judge", "judge": judge, "score": score, "verdict": None, "calls": 1}
    state = "scored" if score is not None else "refused"
    usage = dict.fromkeys(("input", "cache_read", "cache_write", "output", "reasoning"))
    return {**made, "state": state, "usage": usage, "cost_usd": 0.5, **fields}


def score(*scores: int | None) -> dict[str, Any]:
    """Return the common verdict of judges of these scores."""
    known = sorted(s for s in scores if s is not None)
    return {
        "score": float(known[len(known) // 2]) if known else None,
        "state": "scored" if known else "refused",
        "flip_rate": None,
        "judgments": [judgment(s, f"j{number}") for number, s in enumerate(scores)],
    }


def item(name: str = "q", **fields: Any) -> dict[str, Any]:
    question = {"id": name, "prompt": name, "reference": None, "rubric": None, "category": "c"}
    made = {"question": question, "answer": "abc", "rival_answer": "ab", "scores": {}}
    rest: dict[str, Any] = {"comparisons": [], "verdict": None, "correct": None, "more_samples": []}
    return {**made, **rest, "pass_at_k": None, "search": None, **fields}


def compared(verdict: str | None, *, inconsistent: bool = False) -> dict[str, Any]:
    state = "scored" if verdict else "refused"
    both = [judgment(None, verdict=verdict) for _ in range(2)]
    about = {"verdict": verdict, "state": state, "first_picks": 1, "judgments": both}
    return {**about, "inconsistent": inconsistent}


def pairs(verdicts: Sequence[str | None], turned: int = 0) -> dict[str, Any]:
    """Return the figures of comparisons with these verdicts; the last so many are inconsistent."""
    given = [
        item(
            str(number),
            comparisons=[compared(one, inconsistent=number >= len(verdicts) - turned)],
        )
        for number, one in enumerate(verdicts)
    ]
    found = _marks.pairwise(given, "rival")
    assert found is not None
    return found


@given(st.lists(st.sampled_from((1, 2, 3, 4, 5, None)), min_size=1, max_size=12))
def test_mean_lies_between_its_bounds(scores: list[int | None]) -> None:
    items = [item(str(n), scores={"accuracy": score(one)}) for n, one in enumerate(scores)]
    found = _marks.criteria(items)["accuracy"]
    low, high = found["bounds"]["missing_at_1"], found["bounds"]["missing_at_5"]
    known = [one for one in scores if one is not None]
    assert sum(found["histogram"].values()) == found["n_scored"] == len(known)
    assert 1 <= low <= high <= 5
    if known:
        assert low - 1e-9 <= found["mean"] <= high + 1e-9
    else:
        assert found["mean"] is None
        assert (low, high) == (1, 5)
    if len(known) == len(scores):
        assert low == high == pytest.approx(found["mean"])


def test_half_points_of_a_jury_count_as_the_score_above() -> None:
    half = {**score(3, 4), "score": 3.5}
    found = _marks.criteria([item(scores={"accuracy": half})])["accuracy"]
    assert found["histogram"]["4"] == 1


def test_agreement_of_a_jury_is_over_the_answers() -> None:
    marks = [(1, 1), (3, 3), (5, 5), (2, 2)]
    items = [item(str(n), scores={"accuracy": score(*both)}) for n, both in enumerate(marks)]
    assert _marks.criteria(items)["accuracy"]["jury_alpha"]["value"] == pytest.approx(1.0)


def test_jury_of_which_one_never_scores_has_no_agreement_and_says_why() -> None:
    items = [item(str(n), scores={"accuracy": score(n, None)}) for n in (1, 3, 5)]
    found = _marks.criteria(items)["accuracy"]["jury_alpha"]
    assert (found["value"], found["reason"]) == (None, "no unit has two ratings")
    alone = [item(scores={"accuracy": score(3)})]
    assert _marks.criteria(alone)["accuracy"]["jury_alpha"] is None


def test_each_judges_verdict_counts_and_one_by_rule_for_all_of_them() -> None:
    ruled = {**score(1), "judgments": [judgment(1, judge=None, source="rule")]}
    jury = {"accuracy": score(4, None), "coherence": score(2, 5), "completeness": ruled}
    uncompared = {**compared(None), "judgments": []}
    pairs = [compared("A"), compared(None)]
    items = [item(scores=jury), item(comparisons=pairs), item(comparisons=[uncompared])]
    found = _marks.counts(items, 2)
    assert (found["n_total"], found["n_scored"]) == (10, 6)
    assert found["by_state"] == {"scored": 6, "refused": 4}
    assert _marks.by_judge(items) == {
        "j0": {"scored": 2},
        "j1": {"refused": 1, "scored": 1},
        "j": {"scored": 1, "refused": 1},
    }


def told(*key: str, **fields: Any) -> dict[str, Any]:
    """Return a journal's row of a judgment."""
    made = judges.Judgment(key[1], "scored", judge=key[2], calls=1, **fields)
    return {"key": [*key], **made.as_dict()}


def cut(*judgments: dict[str, Any], **others: Any) -> Record:
    """Return what the journal of a run that was cut says of two questions."""
    asked = {"criteria": ["accuracy", "coherence"]}
    rows = [{"prompt_id": name, "question": asked} for name in ("a", "b")]
    return Record({}, 4, rows, {}, [], True, others={"judgment": [*judgments], **others})


def test_verdicts_that_came_before_a_cut_count_and_the_others_are_unfinished() -> None:
    first, again = (
        told("a", "accuracy", "j", "0", score=3),
        told("a", "accuracy", "k", "0", score=5),
    )
    failed = {**told("a", "coherence", "k", "0"), "state": "api_error"}
    marks = _unfinished.marks(cut(first, failed, again), pairwise=False)
    assert marks["a"]["scores"]["accuracy"]["score"] == 4.0
    assert marks["b"]["scores"]["coherence"]["state"] == "unfinished"
    items = [item(scores=one["scores"]) for one in marks.values()]
    assert _marks.counts(items, 2)["by_state"] == {"scored": 2, "api_error": 1, "unfinished": 5}
    assert _marks.cost(items)["calls"] == 3
    accuracy = _marks.criteria(items)["accuracy"]
    assert (accuracy["n_total"], accuracy["bounds"]["missing_at_1"]) == (2, 2.5)


def test_pair_of_which_a_cut_run_has_one_order_is_unfinished() -> None:
    key = ("a", "preference", "j")
    both = [told(*key, "0", order, verdict=v) for order, v in (("ab", "A"), ("ba", "B"))]
    one = told(*key, "1", "ba", verdict="A")
    marks = _unfinished.marks(cut(*both, one, rivals=[{"answers": {"a": "x"}}]), pairwise=True)
    whole, half = marks["a"]["comparisons"]
    assert (whole["verdict"], whole["state"]) == ("A", "scored")
    assert (half["verdict"], half["state"], len(half["judgments"])) == (None, "unfinished", 1)
    assert [one["rival_answer"] for one in marks.values()] == ["x", None]
    items = [item(comparisons=one["comparisons"]) for one in marks.values()]
    assert _marks.counts(items, 2)["by_state"] == {"scored": 1, "unfinished": 3}
    assert _marks.cost(items)["calls"] == 3


def test_commonest_error_is_the_judges_own() -> None:
    slow, lost = ({"kind": "connection", "words": words} for words in ("slow", "lost"))
    given = [judgment(None, error=one) for one in (lost, slow, slow)]
    given += [judgment(None, judge=None, source="rule", error=lost)] * 2 + [judgment(3, error=None)]
    items = [item(scores={"accuracy": {**score(3), "judgments": given}})]
    assert _marks.commonest_error(items) == {"judge": "j", **slow, "count": 2}
    assert _marks.commonest_error([]) is None


def test_questions_without_a_scorer_or_unread_are_not_wrong() -> None:
    verdicts = [True, False, None]
    items = [
        item(str(n), verdict={"correct": v, "state": "scored" if v is not None else "unparsable"})
        for n, v in enumerate(verdicts)
    ]
    found = _marks.correct([*items, item("none")])
    assert (found["n_total"], found["n_scored"], found["mean"]) == (3, 2, 0.5)
    assert found["by_state"] == {"scored": 2, "unparsable": 1}


@pytest.mark.parametrize(
    ("verdicts", "turned", "expected"),
    [
        (["A"] * 9, 0, "better"),
        (["B"] * 9, 0, "worse"),
        (["A", "B"] * 5, 0, "undecided"),
        (["A"] * 6 + ["tie"] * 4, 4, None),
        ([None, None], 0, None),
    ],
)
def test_verdict_on_two_models_needs_a_judge_that_can_tell_them_apart(
    verdicts: list[str | None], turned: int, expected: str | None
) -> None:
    found = pairs(verdicts, turned)
    assert found["verdict"] == expected
    assert (found["reason"] is None) == (expected is not None)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["A"] * 3, "undecided"),
        (["A"] * 5, "undecided"),
        (["A"] * 6, "better"),
        (["B"] * 6, "worse"),
        (["A"] * 5 + ["tie"] * 5, "undecided"),
        (["A"] * 9 + ["B"] * 2, "undecided"),
        (["tie"] * 9, "undecided"),
    ],
)
def test_verdict_on_two_models_takes_the_interval_and_the_sign_test(
    verdicts: list[str | None], expected: str
) -> None:
    found = pairs(verdicts)
    assert found["verdict"] == expected
    few = "fewer than 6 independent values: no interval" if len(verdicts) < 6 else None
    assert found["reason"] == few


def test_gate_is_not_certain_of_a_win_rate_of_few_questions() -> None:
    (gate,) = gates.parse_all(["win_rate>0.5"], _marks.GATED)
    for n, sure in ((3, "undecided"), (6, "pass")):
        observed = _marks.observed(gate, {"pairwise": pairs(["A"] * n)})
        assert observed is not None
        assert gates.weigh(gate, observed, "certain")["verdict"] == sure


def test_cost_is_unknown_where_one_price_is() -> None:
    known = judgment(3)
    unknown = judgment(3, calls=3, cost_usd=None, cost_reason="it is not said")
    beyond = judgment(None, state="budget", calls=0, cost_usd=0.0)
    ruled = judgment(1, source="rule", cost_usd=None)
    scores = {"accuracy": {**score(3), "judgments": [known, unknown, beyond, ruled]}}
    found = _marks.cost([item(scores=scores)])
    assert (found["cost_usd"], found["known_cost_usd"], found["unpriced"]) == (None, 0.5, 1)
    assert (found["calls"], found["reason"]) == (4, "it is not said")
    assert _marks.cost([])["cost_usd"] == 0


def test_pass_at_k_is_the_mean_over_questions_that_have_it() -> None:
    items = [item("a", pass_at_k=1.0), item("b", pass_at_k=0.5), item("c")]
    found = _marks.pass_at_k(items, 2)
    assert found is not None
    assert (found["k"], found["n_scored"], found["mean"]) == (2, 2, 0.75)
    assert _marks.pass_at_k(items, None) is None


def eval_document(*items: dict[str, Any], **config: Any) -> dict[str, Any]:
    about = {"run_id": "r", "model": {}, "server": {}, "timestamp": "t", "status": "complete"}
    results = {"items": [*items], "eval_set": {"sha256": config.pop("sha256", "0")}}
    return {**about, "config": config, "results": results}


@pytest.mark.parametrize(
    ("questions", "verdicts"),
    [(3, ["inconclusive"] * 2), (6, ["inconclusive"] * 2), (20, ["better", "worse"])],
)
def test_difference_is_sure_where_every_one_of_many_questions_is_better(
    questions: int, verdicts: list[str]
) -> None:
    def marked(mark: int) -> dict[str, Any]:
        names = map(str, range(questions))
        return eval_document(*(item(n, scores={"accuracy": score(mark)}) for n in names))

    sources = {"x": marked(2), "y": marked(4), "z": marked(1)}
    found = compare_evals.document(sources, "x", "run", "now")["results"]
    assert [d["verdict"] for d in found["differences"]] == verdicts
    assert [d["difference"] for d in found["differences"]] == [2.0, -1.0]
    assert [d["ci95"] is None for d in found["differences"]] == [questions < 6] * 2
    assert [d["file"] for d in found["differences"]] == ["B", "C"]


def test_only_the_questions_that_both_have_are_compared_and_what_differs_is_said() -> None:
    before = eval_document(
        item("a", scores={"accuracy": score(3)}), item("b", correct=True), judge=["claude"]
    )
    changed = {**item("a")["question"], "reference": "new"}
    after = eval_document(
        item("a", scores={"accuracy": score(5)}, question=changed),
        item("b", correct=False),
        judge=[],
        sha256="1",
    )
    found = compare_evals.document({"x": before, "y": after}, "x", "run", "now")["results"]
    (only,) = found["differences"]
    assert (only["mark"], only["difference"], only["questions"]) == ("correct", -1.0, 1)
    texts = [warning["text"] for warning in found["warnings"]]
    assert texts == [
        "judge is none, claude in the baseline",
        "the eval set is another one: only questions that are the same are compared",
    ]


def test_nothing_in_common_is_refused() -> None:
    sources = {"x": eval_document(item("a")), "y": eval_document(item("b"))}
    with pytest.raises(ResultsError, match="y has no question in common"):
        compare_evals.document(sources, "x", "run", "now")
