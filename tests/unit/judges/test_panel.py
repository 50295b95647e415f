"""Several judges, several times, and answers that need no judge."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.judge_servers import (
    Claude,
    OpenAI,
    judge_server,
    judging,
    preference,
    verdict_json,
)
from support.judging import CASE, panel_result

from pytest_llamaburn import judges
from pytest_llamaburn.judges import Case, Judgment, Pair, Panel


@pytest.mark.parametrize(
    ("case", "state", "score"),
    [
        (CASE._replace(answer=""), "scored", 1),
        (CASE._replace(answer=" \n", finish_reason="stop"), "scored", 1),
        (CASE._replace(answer="<think>Paris?</think>", finish_reason="stop"), "scored", 1),
        (CASE._replace(answer="<think>Par", finish_reason="length"), "scored", 1),
        (CASE._replace(answer="", failure="oom"), "scored", 1),
        (CASE._replace(answer="Pa", failure="timeout_total"), "scored", 1),
        (CASE._replace(answer="", failure="connect_refused"), "skipped_sut_error", None),
        (CASE._replace(answer="", failure="reset"), "skipped_sut_error", None),
        (CASE._replace(answer="", failure="server_crash"), "skipped_sut_error", None),
        (CASE._replace(answer="", failure="auth"), "skipped_sut_error", None),
        (CASE._replace(answer="", failure="search_failed"), "skipped_sut_error", None),
    ],
)
def test_answer_that_is_not_there_is_judged_by_rule(
    case: Case, state: str, score: int | None
) -> None:
    found = panel_result(
        judging(judge=("claude:m", "openai:m")), lambda p: p.judge(case, "accuracy")
    )
    (ruled,) = found.judgments
    assert (ruled.state, ruled.score, ruled.source) == (state, score, "rule")
    assert ruled.reasoning or ruled.error
    assert (found.score, found.state) == (score, state)


def test_jury_votes_by_median_and_an_unscored_vote_is_left_out() -> None:
    fakes = [Claude([verdict_json(2)]), OpenAI([verdict_json(5)]), OpenAI([""])]
    with (
        judge_server(fakes[0], "m") as a,
        judge_server(fakes[1], "m") as b,
        judge_server(fakes[2], "m") as c,
    ):
        found = panel_result(judging(judge=(a, b, c)), lambda p: p.judge(CASE, "accuracy"))
    assert (found.score, found.state, found.flip_rate) == (3.5, "scored", None)
    assert [j.state for j in found.judgments] == ["scored", "scored", "parse_error"]


def test_repeats_tell_how_often_a_judge_changes_its_mind() -> None:
    fake = Claude([verdict_json(4), verdict_json(4), verdict_json(2), verdict_json(4)])
    with judge_server(fake, "m") as name:
        settings = judging(judge=(name,), judge_repeats=4, judge_concurrency=1)
        found = panel_result(settings, lambda p: p.judge(CASE, "accuracy"))
    assert (found.score, found.flip_rate) == (4.0, 0.25)
    told = json.loads(json.dumps(found.as_dict()))
    assert sorted(j["score"] for j in told["judgments"]) == [2, 4, 4, 4]


def test_a_judgment_on_another_prompt_is_not_taken_for_this_one() -> None:
    fake = Claude([verdict_json(4), verdict_json(2)])
    rows: list[Any] = []

    async def resumed(panel: Panel) -> list[float | None]:
        panel.note = rows.append
        first = await panel.judge(CASE, "accuracy", "q")
        panel.resume(rows)
        same = await panel.judge(CASE, "accuracy", "q")
        other = await panel.judge(CASE._replace(answer="Another."), "accuracy", "q")
        return [first.score, same.score, other.score]

    with judge_server(fake, "m") as name:
        assert panel_result(judging(judge=(name,)), resumed) == [4, 4, 2]
    assert (len(fake.calls), len(rows)) == (2, 2)


def test_comparison_is_made_in_both_orders() -> None:
    def better(system: str, user: str) -> str:
        return preference("A" if user.index("Paris.") < user.index("Lyon.") else "B")

    pair = Pair(CASE.question, "Paris.", "Lyon.", "Paris")
    fake = OpenAI([better])
    with judge_server(fake, "m") as name:
        (found,) = panel_result(judging(judge=(name,)), lambda p: p.compare(pair))
    assert (found.verdict, found.inconsistent, found.first_picks) == ("A", False, 1)
    assert len(fake.calls) == 2
    orders = [fake.texts(call)[1].index("Paris.\n<<<END ANSWER") for call in fake.calls]
    assert len(set(orders)) == 2


@pytest.mark.parametrize(
    ("first", "second", "verdict_", "inconsistent", "firsts"),
    [
        ("A", "B", "A", False, 1),
        ("B", "A", "B", False, 1),
        ("A", "A", "tie", True, 2),
        ("B", "B", "tie", True, 0),
        ("tie", "tie", "tie", False, 0),
        ("A", "tie", "tie", True, 1),
    ],
)
def test_orders_that_disagree_are_a_tie(
    first: str, second: str, verdict_: str, inconsistent: bool, firsts: int
) -> None:
    both = [Judgment("preference", "scored", verdict=v) for v in (first, second)]
    found = judges.comparison(*both)
    assert (found.verdict, found.inconsistent, found.first_picks) == (
        verdict_,
        inconsistent,
        firsts,
    )
    assert json.loads(json.dumps(found.as_dict()))["verdict"] == verdict_


JUDGED = st.sampled_from(
    [Judgment("preference", "scored", verdict=v) for v in ("A", "B", "tie")]
    + [Judgment("preference", state) for state in ("refused", "truncated", "budget")]
)


@given(JUDGED, JUDGED)
def test_exchanging_the_answers_exchanges_the_winner_alone(ab: Judgment, ba: Judgment) -> None:
    one_, other = judges.comparison(ab, ba), judges.comparison(ba, ab)
    assert other.verdict == {"A": "B", "B": "A"}.get(str(one_.verdict), one_.verdict)
    for name in ("state", "inconsistent", "first_picks"):
        assert getattr(one_, name) == getattr(other, name)


def test_pair_of_which_one_order_has_no_verdict_has_none() -> None:
    good, bad = Judgment("preference", "scored", verdict="A"), Judgment("preference", "refused")
    found = judges.comparison(good, bad)
    assert (found.verdict, found.state, found.first_picks) == (None, "refused", 0)


@pytest.mark.parametrize(
    ("a", "b", "winner"), [("Paris", "", "A"), ("", "Paris", "B"), ("", "<think>x</think>", "tie")]
)
def test_empty_answer_loses_without_a_judge(a: str, b: str, winner: str) -> None:
    pair = Pair("q", a, b)
    (found,) = panel_result(judging(judge=("claude:m",)), lambda p: p.compare(pair))
    assert (found.verdict, found.judgments[0].source) == (winner, "rule")
