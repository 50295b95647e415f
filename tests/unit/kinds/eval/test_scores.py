"""What marks come to, without servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import comparisons
from support.eval_documents import eval_document, eval_item

from pytest_llamaburn import criteria, gates, judges
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.kinds.eval import charts, judge_totals, result, table, unfinished
from pytest_llamaburn.kinds.eval import scores as eval_scores
from pytest_llamaburn.kinds.eval.measures import MEASURES
from pytest_llamaburn.measures import Observed
from pytest_llamaburn.stats import samples as stats
from pytest_llamaburn.store import results
from pytest_llamaburn.store.journal import Record

if TYPE_CHECKING:
    from collections.abc import Sequence


def judgment(score: int | None, judge: str | None = "j", **fields: Any) -> Any:
    made = {"source": "judge", "judge": judge, "score": score, "verdict": None, "calls": 1}
    state = "scored" if score is not None else "refused"
    usage = dict.fromkeys(("input", "cache_read", "cache_write", "output", "reasoning"))
    return {**made, "state": state, "usage": usage, "cost_usd": 0.5, **fields}


def panel_score(*scores: int | None) -> Any:
    """Return the common verdict of judges of these scores."""
    known = sorted(s for s in scores if s is not None)
    return {
        "score": float(known[len(known) // 2]) if known else None,
        "state": "scored" if known else "refused",
        "flip_rate": None,
        "judgments": [judgment(s, f"j{number}") for number, s in enumerate(scores)],
    }


def pair_verdict(verdict: str | None, *, inconsistent: bool = False) -> Any:
    state = "scored" if verdict else "refused"
    both = [judgment(None, verdict=verdict) for _ in range(2)]
    about = {"verdict": verdict, "state": state, "first_picks": 1, "judgments": both}
    return {**about, "inconsistent": inconsistent}


def pairs(verdicts: Sequence[str | None], turned: int = 0) -> Any:
    """Return the figures of comparisons with these verdicts; the last so many are inconsistent."""
    given = [
        eval_item(
            str(number),
            comparisons=[pair_verdict(one, inconsistent=number >= len(verdicts) - turned)],
        )
        for number, one in enumerate(verdicts)
    ]
    found = eval_scores.pairwise(given, "rival")
    assert found is not None
    return found


@given(st.lists(st.sampled_from((1, 2, 3, 4, 5, None)), min_size=1, max_size=12))
def test_mean_lies_between_its_bounds(scores: list[int | None]) -> None:
    items = [
        eval_item(str(n), scores={"accuracy": panel_score(one)}) for n, one in enumerate(scores)
    ]
    found = eval_scores.criteria(items)["accuracy"]
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
    half = {**panel_score(3, 4), "score": 3.5}
    found = eval_scores.criteria([eval_item(scores={"accuracy": half})])["accuracy"]
    assert found["histogram"]["4"] == 1


def test_agreement_of_a_jury_is_over_the_answers() -> None:
    marks = [(1, 1), (3, 3), (5, 5), (2, 2)]
    items = [
        eval_item(str(n), scores={"accuracy": panel_score(*both)}) for n, both in enumerate(marks)
    ]
    assert eval_scores.criteria(items)["accuracy"]["jury_alpha"]["value"] == pytest.approx(1.0)


def test_jury_of_which_one_never_scores_has_no_agreement_and_says_why() -> None:
    items = [eval_item(str(n), scores={"accuracy": panel_score(n, None)}) for n in (1, 3, 5)]
    found = eval_scores.criteria(items)["accuracy"]["jury_alpha"]
    assert (found["value"], found["reason"]) == (None, "no unit has two ratings")
    alone = [eval_item(scores={"accuracy": panel_score(3)})]
    assert eval_scores.criteria(alone)["accuracy"]["jury_alpha"] is None


def test_each_judges_verdict_counts_and_one_by_rule_for_all_of_them() -> None:
    ruled = {**panel_score(1), "judgments": [judgment(1, judge=None, source="rule")]}
    jury = {"accuracy": panel_score(4, None), "coherence": panel_score(2, 5), "completeness": ruled}
    uncompared = {**pair_verdict(None), "judgments": []}
    pairs = [pair_verdict("A"), pair_verdict(None)]
    items = [
        eval_item(scores=jury),
        eval_item(comparisons=pairs),
        eval_item(comparisons=[uncompared]),
    ]
    found = judge_totals.counts(items, 2)
    assert (found["n_total"], found["n_scored"]) == (10, 6)
    assert found["by_state"] == {"scored": 6, "refused": 4}
    assert judge_totals.by_judge(items) == {
        "j0": {"scored": 2},
        "j1": {"refused": 1, "scored": 1},
        "j": {"scored": 1, "refused": 1},
    }


def judge_row(*key: str, **fields: Any) -> Any:
    """Return a journal's row of a judgment."""
    made = judges.Judgment(key[1], "scored", judge=key[2], calls=1, **fields)
    return {"key": [*key], **made.as_dict()}


def cut(*judgments: dict[str, Any], **others: Any) -> Record:
    """Return what the journal of a run that was cut says of two questions."""
    asked = {"criteria": ["accuracy", "coherence"]}
    rows = [{"prompt_id": name, "question": asked} for name in ("a", "b")]
    return Record(None, 4, rows, {}, [], True, others={"judgment": [*judgments], **others})


def test_verdicts_that_came_before_a_cut_count_and_the_others_are_unfinished() -> None:
    first, again = (
        judge_row("a", "accuracy", "j", "0", score=3),
        judge_row("a", "accuracy", "k", "0", score=5),
    )
    failed = {**judge_row("a", "coherence", "k", "0"), "state": "api_error"}
    marks = unfinished.scores(cut(first, failed, again), pairwise=False)
    assert marks["a"]["scores"]["accuracy"]["score"] == 4.0
    assert marks["b"]["scores"]["coherence"]["state"] == "unfinished"
    items = [eval_item(scores=one["scores"]) for one in marks.values()]
    assert judge_totals.counts(items, 2)["by_state"] == {
        "scored": 2,
        "api_error": 1,
        "unfinished": 5,
    }
    assert judge_totals.cost(items)["calls"] == 3
    accuracy = eval_scores.criteria(items)["accuracy"]
    assert (accuracy["n_total"], accuracy["bounds"]["missing_at_1"]) == (2, 2.5)


def test_pair_of_which_a_cut_run_has_one_order_is_unfinished() -> None:
    key = ("a", "preference", "j")
    both = [judge_row(*key, "0", order, verdict=v) for order, v in (("ab", "A"), ("ba", "B"))]
    one = judge_row(*key, "1", "ba", verdict="A")
    marks = unfinished.scores(cut(*both, one, rivals=[{"answers": {"a": "x"}}]), pairwise=True)
    whole, half = marks["a"]["comparisons"]
    assert (whole["verdict"], whole["state"]) == ("A", "scored")
    assert (half["verdict"], half["state"], len(half["judgments"])) == (None, "unfinished", 1)
    assert [one["rival_answer"] for one in marks.values()] == ["x", None]
    items = [eval_item(comparisons=one["comparisons"]) for one in marks.values()]
    assert judge_totals.counts(items, 2)["by_state"] == {"scored": 1, "unfinished": 3}
    assert judge_totals.cost(items)["calls"] == 3


def test_commonest_error_is_the_judges_own() -> None:
    slow, lost = ({"kind": "connection", "words": words} for words in ("slow", "lost"))
    given = [judgment(None, error=one) for one in (lost, slow, slow)]
    given += [judgment(None, judge=None, source="rule", error=lost)] * 2 + [judgment(3, error=None)]
    items = [eval_item(scores={"accuracy": {**panel_score(3), "judgments": given}})]
    assert judge_totals.commonest_error(items) == {"judge": "j", **slow, "count": 2}
    assert judge_totals.commonest_error([]) is None


BOUNDS = ("missing_at_0", "missing_at_1")
STATES = (
    *("right", "wrong", "unparsable", "not_attempted"),
    *("empty", "truncated", "failed", "unavailable"),
)


def scored(state: str) -> Any:
    """Return an answer's mark and verdict; right and wrong are states of an answer that is read."""
    correct = None if state == "unavailable" else state == "right"
    told = "scored" if state in ("right", "wrong") else state
    reason = "no sandbox" if state == "unavailable" else ""
    return {"correct": correct, "verdict": {"correct": correct, "state": told, "reason": reason}}


def marked(*states: str) -> list[Any]:
    return [eval_item(str(number), **scored(state)) for number, state in enumerate(states)]


def test_answer_that_cannot_be_read_is_wrong_and_is_counted_beside() -> None:
    found = eval_scores.correctness(marked(*["right"] * 6, *["unparsable"] * 24))
    assert (found["correct"]["n_scored"], found["correct"]["mean"]) == (30, 0.2)
    assert found["correct"]["by_state"] == {"scored": 6, "unparsable": 24}
    parsed, unread = found["correct_of_parsed"], found["unparsable"]
    assert (parsed["n_scored"], parsed["n_total"], parsed["mean"]) == (6, 30, 1.0)
    assert (unread["count"], unread["mean"]) == (24, 0.8)


def with_shares(*items: Any) -> Any:
    """Return a file whose shares, grades and categories are those of some items."""
    document = results.load(GOLDEN)
    for item in items:
        item["question"]["scorer"], item["finish_reason"] = "number", "stop"
    document["results"] |= {
        "items": [*items],
        **eval_scores.correctness(items),
        "grades": eval_scores.grades(items),
        "by_category": eval_scores.by_category(items),
        "pass_at_k": None,
    }
    return document


def test_answer_that_is_no_attempt_is_wrong_and_has_a_share_of_its_own() -> None:
    states = ["right"] * 4 + ["wrong"] * 2 + ["not_attempted"] * 3 + ["empty"]
    found = eval_scores.correctness(marked(*states))
    assert (found["correct"]["mean"], found["not_attempted"]["mean"]) == (0.4, 0.4)
    assert found["correct_given_attempted"]["mean"] == pytest.approx(4 / 6)
    assert (found["correct_of_parsed"]["mean"], found["unparsable"]["mean"]) == (4 / 9, 0.1)
    document = with_shares(*marked(*states))
    for gate, verdict in (("not_attempted<50%", "pass"), ("correct_given_attempted>0.7", "fail")):
        (told,) = gates.judged(document, MEASURES, [gate], "point")
        assert told["verdict"] == verdict
    (shown, categories, *_) = table.sheets(document, Path("x"))
    assert [row[0] for row in shown.rows] == [
        *("correct", "correct_of_parsed", "unparsable"),
        *("not_attempted", "correct_given_attempted"),
    ]
    assert categories.columns[-2:] == ("unparsable", "not_attempted")


def test_page_says_yes_or_no_and_what_is_no_attempt() -> None:
    devout = criteria.own("devout", "Does it name a saint?", scale="yes/no")
    given: dict[str, Any] = {"devout": 1.0, "accuracy": 4.5, "wit": None}
    told = {name: {**panel_score(mark), "judgments": []} for name, mark in given.items()}
    items = [
        eval_item("a", scores=told, **scored("not_attempted")),
        eval_item("b", **scored("right")),
        eval_item("c", **scored("wrong")),
    ]
    for item in items:
        more = {"category": "c", "prompt": "q", "reference": None}
        item["question"] |= {**more, "definitions": [devout.definition]}
        facts = dict.fromkeys(("error", "thinking", "answer", "search"))
        item |= {**facts, "flags": [], "cited": []}
        item["verdict"]["reason"] = ""
    entries = [*charts.entries({"results": {"items": items}})]
    assert [entry.verdict for entry in entries] == ["wrong", "not attempted", "correct"]
    assert entries[1].cells == ["c", "devout yes", "accuracy 4.5", "wit –"]


def test_shares_of_a_judge_s_grades_stand_before_those_of_scorers() -> None:
    grade = {**panel_score(None), "state": "scored", "verdict": "correct"}
    document = with_shares(eval_item(scores={"grade": grade}, **scored("not_attempted")))
    assert MEASURES["not_attempted"].observed(document).value == 0
    (shown, *_) = table.sheets(document, Path("x"))
    assert [row[0] for row in shown.rows].count("not_attempted") == 1


def test_what_is_not_the_models_doing_is_left_out_and_bounded() -> None:
    cut = eval_item("cut", question={**eval_item()["question"], "id": "cut", "scorer": "number"})
    found = eval_scores.correctness(
        [*marked("right", "empty", "unavailable"), cut, eval_item("no scorer")]
    )
    right = found["correct"]
    assert (right["n_total"], right["n_scored"], right["mean"]) == (4, 2, 0.5)
    assert right["bounds"] == {"missing_at_0": 0.25, "missing_at_1": 0.75}
    assert right["by_state"] == {"scored": 1, "empty": 1, "unavailable": 1, "unfinished": 1}
    assert found["unparsable"]["count"] == 1


def test_without_a_verdict_there_is_no_share_and_a_reason() -> None:
    unscored = "no answer was scored"
    cases: tuple[Any, ...] = (
        ([], None, "by a scorer"),
        (marked("unavailable"), (0.0, 1.0), ": no sandbox"),
    )
    for items, bounds, why in cases:
        found = eval_scores.correctness(items)
        assert {one["mean"] for one in found.values()} == {None}
        assert f"{unscored} {why}".replace(" :", ":") == found["correct"]["reason"]
        assert found["correct"]["bounds"] == (bounds and dict(zip(BOUNDS, bounds, strict=True)))


@settings(max_examples=25)
@given(st.lists(st.lists(st.sampled_from(STATES), min_size=1, max_size=3), max_size=6))
def test_correct_is_what_is_right_of_the_parsed_times_the_share_of_the_parsed(
    questions: list[list[str]],
) -> None:
    items: Any = [
        {**eval_item(str(n)), **scored(first), "more_samples": [*map(scored, rest)]}
        for n, (first, *rest) in enumerate(questions)
    ]
    found = eval_scores.correctness(items)
    correct, parsed, unread = (
        found[name]["mean"] for name in ("correct", "correct_of_parsed", "unparsable")
    )
    flat = [state for states in questions for state in states if state != "unavailable"]
    if not flat:
        assert (correct, parsed, unread) == (None, None, None)
        return
    assert correct == pytest.approx(flat.count("right") / len(flat))
    assert correct == pytest.approx((parsed or 0) * (1 - unread))
    tried, untried = (found[name]["mean"] for name in ("correct_given_attempted", "not_attempted"))
    assert correct == pytest.approx((tried or 0) * (1 - untried))
    low, high = found["correct"]["bounds"].values()
    assert low <= correct + 1e-9
    assert correct - 1e-9 <= high


def test_categories_have_the_three_shares() -> None:
    (found,) = eval_scores.by_category(marked("right", "unparsable", "unparsable")).values()
    assert found["questions"] == 3
    assert found["correct"]["mean"] == pytest.approx(1 / 3)
    assert found["correct_of_parsed"]["mean"] == 1
    assert found["unparsable"]["count"] == 2


@pytest.mark.parametrize(
    ("expression", "verdict"),
    [
        ("correct.mean>0.8", "fail"),
        ("correct_of_parsed.mean>0.8", "pass"),
        ("unparsable<10%", "fail"),
        ("unscored<=10%", "pass"),
    ],
)
def test_gates_hold_the_three_shares(expression: str, verdict: str) -> None:
    results = {"n_total": 0, **eval_scores.correctness(marked("right", "unparsable"))}
    (found,) = gates.judged({"results": results}, MEASURES, [expression], "point")
    assert found["verdict"] == verdict


def test_missing_verdicts_of_scorers_count_as_unscored_where_judges_miss_fewer() -> None:
    found = eval_scores.correctness(marked("right", "unavailable"))
    judged = {"n_total": 100, "n_scored": 99, "by_state": {"scored": 99, "refused": 1}}
    unscored = MEASURES["unscored"].observed({"results": {**judged, **found}})
    assert unscored == Observed(0.5, stats.wilson(1, 2))
    nothing = {"n_total": 0, **eval_scores.correctness([])}
    none = MEASURES["unscored"].observed({"results": nothing})
    assert none == Observed(reason="nothing was scored or judged")


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
    few = "fewer than 6 questions have a winner, so the result may be due to chance"
    assert found["reason"] == (few if len(verdicts) - verdicts.count("tie") < 6 else None)


def test_gate_is_not_certain_of_a_win_rate_of_few_questions() -> None:
    for n, sure in ((3, "undecided"), (6, "pass")):
        results = {"pairwise": pairs(["A"] * n)}
        (found,) = gates.judged({"results": results}, MEASURES, ["win_rate>0.5"], "certain")
        assert found["verdict"] == sure


def test_cost_is_unknown_where_one_price_is() -> None:
    known = judgment(3)
    unknown = judgment(3, calls=3, cost_usd=None, cost_reason="it is not said")
    beyond = judgment(None, state="budget", calls=0, cost_usd=0.0)
    ruled = judgment(1, source="rule", cost_usd=None)
    scores = {"accuracy": {**panel_score(3), "judgments": [known, unknown, beyond, ruled]}}
    found = judge_totals.cost([eval_item(scores=scores)])
    assert (found["cost_usd"], found["known_cost_usd"], found["unpriced"]) == (None, 0.5, 1)
    assert (found["calls"], found["reason"]) == (4, "it is not said")
    assert judge_totals.cost([])["cost_usd"] == 0


def test_pass_at_k_is_the_mean_over_questions_that_have_it() -> None:
    a, b, c = marked("right", "wrong", "unavailable")
    items = [{**a, "pass_at_k": 1.0}, {**b, "pass_at_k": 0.5}, c, eval_item("no scorer")]
    found = eval_scores.pass_at_k(items, 2)
    assert found is not None
    assert (found["k"], found["n_scored"], found["n_total"], found["mean"]) == (2, 2, 3, 0.75)
    assert found["bounds"] == {"missing_at_0": 0.5, "missing_at_1": pytest.approx(2.5 / 3)}
    assert eval_scores.pass_at_k(items, None) is None


@pytest.mark.parametrize(
    ("questions", "verdicts"),
    [(3, ["inconclusive"] * 2), (6, ["inconclusive"] * 2), (20, ["better", "worse"])],
)
def test_difference_is_sure_where_every_one_of_many_questions_is_better(
    questions: int, verdicts: list[str]
) -> None:
    def judged(mark: int) -> Any:
        names = map(str, range(questions))
        return eval_document(*(eval_item(n, scores={"accuracy": panel_score(mark)}) for n in names))

    sources = {"x": judged(2), "y": judged(4), "z": judged(1)}
    found = comparisons.comparison_document("eval", *sources.values())["results"]
    assert [d["verdict"] for d in found["differences"]] == verdicts
    assert [d["difference"] for d in found["differences"]] == [2.0, -1.0]
    assert [d["file"] for d in found["differences"]] == ["B", "C"]


def test_only_the_questions_that_both_have_are_compared_and_what_differs_is_said() -> None:
    before = eval_document(
        eval_item("a", scores={"accuracy": panel_score(3)}),
        eval_item("b", **scored("right")),
        judge=["claude"],
    )
    changed = {**eval_item("a")["question"], "reference": "new"}
    after = eval_document(
        eval_item("a", scores={"accuracy": panel_score(5)}, question=changed),
        eval_item("b", **scored("wrong")),
        judge=[],
        sha256="1",
        system_prompt="Answer with a number.",
    )
    found = comparisons.comparison_document("eval", before, after)["results"]
    (only,) = found["differences"]
    assert (only["mark"], only["difference"], only["questions"]) == ("correct", -1.0, 1)
    texts = [warning["text"] for warning in found["warnings"]]
    assert texts == [
        "judge is none, claude in the baseline",
        "system_prompt is “Answer with a number.”, none in the baseline",
        "the eval sets differ: only the questions that both have are compared",
    ]


def compared_marks(before: Sequence[str], after: Sequence[str]) -> dict[str, dict[str, Any]]:
    sources = {"x": eval_document(*marked(*before)), "y": eval_document(*marked(*after))}
    found = comparisons.comparison_document("eval", *sources.values())["results"]["differences"]
    return {one["mark"]: one for one in found}


def test_difference_in_what_could_be_read_stands_beside_that_in_what_is_right() -> None:
    found = compared_marks(["right"] * 20, ["right"] * 5 + ["unparsable"] * 15)
    shown = {name: (one["difference"], one["verdict"]) for name, one in found.items()}
    assert shown == {
        "correct": (-0.75, "worse"),
        "correct_of_parsed": (0, "inconclusive"),
        "unparsable": (0.75, "worse"),
    }
    found = compared_marks(["right"] * 20, ["right"] * 10 + ["not_attempted"] * 10)
    assert {name: one["verdict"] for name, one in found.items()} == {
        "correct": "worse",
        "correct_given_attempted": "inconclusive",
        "not_attempted": "higher",
    }
    found = compared_marks(["right"] * 20, ["right"] * 5 + ["unparsable"] * 15)
    assert found["correct_of_parsed"]["questions"] == 5
    assert list(compared_marks(["right", "wrong"], ["right"] * 2)) == ["correct"]


def test_question_with_several_answers_is_compared_by_their_mean() -> None:
    half = {**eval_item("a", **scored("right")), "more_samples": [scored("empty")]}
    sources = {"x": eval_document(half), "y": eval_document(eval_item("a", **scored("right")))}
    found = comparisons.comparison_document("eval", *sources.values())["results"]["differences"]
    assert [(d["mark"], d["difference"]) for d in found] == [
        ("correct", 0.5),
        ("correct_of_parsed", 0.0),
        ("unparsable", -0.5),
        ("correct_given_attempted", 0.0),
        ("not_attempted", -0.5),  # an empty answer is both
    ]


def test_nothing_in_common_is_refused() -> None:
    sources = {"x": eval_document(eval_item("a")), "y": eval_document(eval_item("b"))}
    with pytest.raises(ResultsError, match=r"r\.json has no question in common with the baseline"):
        comparisons.comparison_document("eval", *sources.values())


GOLDEN = Path(__file__).parents[3] / "golden" / "eval-1.json"  # it left out what it could not read


def test_file_of_an_earlier_version_is_counted_as_a_new_one() -> None:
    found = results.load(GOLDEN)
    shares = found["results"]
    assert results.check(found) is None
    names = ("correct", "correct_of_parsed", "unparsable")
    assert [shares[name]["mean"] for name in names] == pytest.approx([1 / 3, 1, 2 / 3])
    assert (
        shares["correct"]["reason"]
        == "1 in the file, whose version left out what could not be read"
    )
    assert shares["pass_at_k"]["mean"] == pytest.approx(1 / 3)
    assert shares["by_category"]["things"]["unparsable"]["count"] == 4
    assert results.brief(GOLDEN).results.scores == {"correct": pytest.approx(1 / 3)}
    assert result.modern(found) is found


def test_table_of_an_earlier_file_says_that_it_counts_differently() -> None:
    (marks, categories, _) = table.sheets(results.load(GOLDEN), GOLDEN)
    assert [row[:3] for row in marks.rows] == [
        ("correct", "share", "0.333"),
        ("correct_of_parsed", "share", "1.00"),
        ("unparsable", "share", "0.667"),
        ("pass@2", "share", "0.333"),
    ]
    assert categories.columns == ("category", "questions", "correct", "unparsable", "pass@2")
    told = "correct: 1 in the file, whose version left out what could not be read"
    assert ("scoring", told) in marks.notes


def test_earlier_file_is_compared_by_todays_count() -> None:
    old = results.load(GOLDEN)
    read = {**old, "results": {**old["results"], "items": []}}
    for one in old["results"]["items"]:
        verdicts = [{**answer, **scored("right")} for answer in one["more_samples"]]
        read["results"]["items"].append({**one, **scored("right"), "more_samples": verdicts})
    found = comparisons.comparison_document("eval", old, read)["results"]
    assert {d["mark"]: d["difference"] for d in found["differences"]} == {
        "correct": pytest.approx(2 / 3),
        "correct_of_parsed": 0.0,
        "unparsable": pytest.approx(-2 / 3),
    }


@pytest.mark.parametrize(
    ("planned", "samples", "option", "expected"),
    [
        (20, 1, {"rescore": None}, 10),
        (9, 2, {"rescore": None}, 6),
        (9, 1, {"rescore": None}, None),
        (20, 1, {"rescore": "file.json"}, None),
        (20, 1, {"answers": "file.json"}, None),
    ],
)
def test_planned_answers_are_the_planned_rows_without_the_scores(
    planned: int, samples: int, option: dict[str, str | None], expected: int | None
) -> None:
    record = Record(None, planned, [], {}, [], interrupted=True, folder=Path(), others={})
    config = {"samples": samples, **option}
    assert result.planned_answers(record, config) == expected


def test_the_table_of_a_cut_eval_says_how_many_answers_were_planned() -> None:
    document = results.load(GOLDEN)
    document["results"]["totals"]["planned_answers"] = 10
    assert "6 of 10 answers" in next(table.facts_of(document))


def test_table_says_why_answers_could_not_be_scored() -> None:
    items: Any = [{**one, "finish_reason": "stop"} for one in marked("right", "unavailable")]
    document = {"results": {"items": items, **eval_scores.correctness(items)}, "insights": []}
    assert "unavailable: no sandbox" in [*table.unread_of(document)]
