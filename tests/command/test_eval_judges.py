"""`llamaburn eval`: judges mark the answers; their limits, prices and failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.eval_rooms import ANSWERS, items_by_id, room
from support.eval_servers import (
    CRITERIA,
    Assessor,
    Pupil,
    reply,
    verdict,
)
from support.scripted import Reset, ScriptedServer, sized

if TYPE_CHECKING:
    from pathlib import Path

PRICES = ("--judge-price=judge:latest.input=10", "--judge-price=judge:latest.output=100")


CALL_USD = (300 * 10 + 40 * 100) / 1e6  # what the assessor's calls cost each


def test_every_question_is_judged_on_each_criterion(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        done = where.eval(small, where.judge)
    (document,) = where.files
    found = items_by_id(document)
    assert all(set(item["scores"]) == set(CRITERIA) for item in found.values())
    score = found["blue"]["scores"]["accuracy"]
    assert (score["score"], score["state"]) == (2.0, "scored")
    (judgment,) = score["judgments"]
    assert judgment["reasoning"] == "worth 2"
    assert judgment["judge"] == f"ollama:judge:latest@{where.assessor.host}"
    assert judgment["usage"]["input"] == 300
    accuracy = document["results"]["criteria"]["accuracy"]
    assert accuracy["mean"] == 4.0
    assert accuracy["histogram"] == {"1": 0, "2": 1, "3": 0, "4": 0, "5": 2}
    assert document["results"]["cost"]["calls"] == 9
    assert document["results"]["cost"]["cost_usd"] is None
    assert "the price of a judge is unknown" in done.stdout


def test_judge_that_says_no_verdict_gives_no_score(tmp_path: Path, small: str) -> None:
    def opinion(prompt: str, criterion: str) -> Any:
        good = criterion != "accuracy" or "red" in prompt
        return verdict(4) if good else [sized(200, reply("Nice answer, 5 of 5!"))]

    with room(tmp_path, Pupil(answers=ANSWERS), Assessor(opinion=opinion)) as where:
        done = where.eval(small, where.judge, check=1)
        where.eval(small, where.judge, "--max-unscored=0.3")
    found = where.files[0]["results"]
    assert found["by_state"] == {"scored": 7, "parse_error": 2}
    accuracy = found["criteria"]["accuracy"]
    assert (accuracy["n_total"], accuracy["n_scored"], accuracy["mean"]) == (3, 1, 4.0)
    assert accuracy["bounds"] == {"missing_at_1": 2.0, "missing_at_5": pytest.approx(14 / 3)}
    assert accuracy["ci95"] == pytest.approx([1.075, 4.975])  # of one mark of 4
    assert "unscored<=0.1: fail" in done.stdout
    assert "7 of 9 verdicts of judges: scored 7, parse_error 2" in done.stdout
    assert f"most frequent error, 2 × from {where.judge[8:]}: parse_error: " in done.stdout


def test_silence_scores_one_by_rule_and_is_not_judged(tmp_path: Path, small: str) -> None:
    assessor = Assessor()
    with room(tmp_path, Pupil(answers={**ANSWERS, "red": ""}), assessor) as where:
        where.eval(small, where.judge)
    item = items_by_id(where.files[0])["red"]
    assert item["correct"] is False
    assert item["verdict"]["state"] == "empty"
    for score in item["scores"].values():
        assert score["score"] == 1
        assert score["judgments"][0]["source"] == "rule"
    assert len(assessor.calls) == 6


def test_thresholds_are_held_against_marks_and_timing(
    tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    good = ("accuracy.mean>=4", "correct.mean>=50%", "error_rate<1", "ttft_ms.mean<60s")
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        where.eval(small, where.judge, *(f"--threshold={gate}" for gate in good))
        done = where.eval(small, where.judge, "--threshold=coherence>4.5", check=1)
        where.eval(small, "--threshold=win_rate>0.5", check=1)
        where.eval(small, "--threshold=completeness>3", check=1)
        where.eval(small, "--threshold=unscored<0.5")
        bad = where.eval(small, "--threshold=accuracy.p50>3", check=4)
    assert "gate coherence>4.5: fail: 4" in done.stdout
    assert "::error file=" in done.stderr
    assert "gate coherence>4.5: fail: 4" in (tmp_path / "summary.md").read_text()
    verdicts = [gate["verdict"] for gate in where.files[0]["results"]["gates"]]
    assert verdicts == ["pass"] * 5
    reasons = [document["results"]["gates"][0]["reason"] for document in where.files[2:]]
    assert reasons == ["no answers were compared", "nothing was scored", None]
    assert "accuracy has no statistic 'p50'" in bad.stderr


def test_jury_votes_with_its_median_and_says_how_well_it_agrees(tmp_path: Path, small: str) -> None:
    harsh = Assessor(model="harsh:latest", opinion=lambda *_: verdict(1))
    with room(tmp_path, Pupil(answers=ANSWERS)) as where, ScriptedServer(harsh) as other:
        second = f"--judge=ollama:harsh:latest@{other.host}"
        done = where.eval(small, where.judge, second, "--judge-repeats=2")
    found = where.files[0]["results"]
    red = items_by_id(where.files[0])["red"]["scores"]["accuracy"]
    assert (red["score"], len(red["judgments"]), red["flip_rate"]) == (3.0, 4, 0.0)
    assert found["criteria"]["accuracy"]["jury_alpha"]["value"] is not None
    assert "agreement of the judges, alpha " in done.stdout
    assert "0% of a judge's repeats differ" in done.stdout


def test_judge_of_a_jury_that_never_answers_is_named_and_counts_as_unscored(
    tmp_path: Path, small: str
) -> None:
    dead = Assessor(model="dead:latest", opinion=lambda *_: [sized(400, {"error": "too long"})])
    pupil = Pupil(answers={**ANSWERS, "red": ""})
    with room(tmp_path, pupil) as where, ScriptedServer(dead) as other:
        second = f"ollama:dead:latest@{other.host}"
        done = where.eval(small, where.judge, f"--judge={second}", check=1)
    found, first = where.files[0]["results"], where.judge.partition("=")[2]
    assert (found["n_total"], found["n_scored"]) == (18, 12)
    assert found["by_state"] == {"scored": 12, "api_error": 6}
    assert found["judging"]["by_judge"] == {first: {"scored": 6}, second: {"api_error": 6}}
    assert found["gates"][0]["verdict"] == "fail"
    assert f"by judge: {first} scored 6; {second} api_error 6" in done.stdout
    assert "accuracy: agreement of the judges, alpha –: no unit has two ratings" in done.stdout


def test_budget_leaves_the_rest_unscored(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        where.eval(small, where.judge, "--max-judge-calls=4", *PRICES, check=1)
    assert where.files[0]["results"]["by_state"] == {"scored": 4, "budget": 5}
    cost = where.files[0]["results"]["cost"]
    assert (cost["calls"], cost["reason"]) == (4, None)
    assert cost["cost_usd"] == pytest.approx(4 * CALL_USD)


def test_judge_that_refuses_every_call_is_told_with_the_calls_that_were_sent(
    tmp_path: Path, small: str
) -> None:
    assessor = Assessor(opinion=lambda *_: [sized(404, {"error": "no such model"})])
    with room(tmp_path, Pupil(answers=ANSWERS), assessor) as where:
        where.eval(small, where.judge, "--judge-concurrency=1", *PRICES, check=1)
    cost = where.files[0]["results"]["cost"]
    assert (len(assessor.calls), cost["calls"], cost["cost_usd"]) == (1, 1, 0.0)


def test_call_that_broke_off_makes_the_cost_unknown_for_its_own_reason(
    tmp_path: Path, small: str
) -> None:
    def opinion(prompt: str, criterion: str) -> Any:
        return verdict(4) if len(assessor.calls) > 1 else [Reset()]

    assessor = Assessor(opinion=opinion)
    with room(tmp_path, Pupil(answers=ANSWERS), assessor) as where:
        done = where.eval(small, where.judge, "--judge-concurrency=1", *PRICES)
    cost = where.files[0]["results"]["cost"]
    assert (cost["calls"], cost["cost_usd"], cost["unpriced"]) == (10, None, 1)
    assert cost["known_cost_usd"] == pytest.approx(8 * CALL_USD)
    assert "10 calls" in done.stdout
    assert "a call without an answer may have been billed" in done.stdout


def test_prices_make_the_cost_known(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        where.eval(small, where.judge, *PRICES)
    assert where.files[0]["results"]["cost"]["cost_usd"] == pytest.approx(9 * CALL_USD)


def test_dry_run_tells_the_price_and_sends_nothing(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil()) as where:
        unknown = where.eval(small, where.judge, "--dry-run").stdout
        known = where.eval(small, where.judge, "--dry-run", *PRICES).stdout
        pairs = ("--pairwise", "--compare-to=other")
        compared = where.eval(small, where.judge, "--dry-run", *pairs).stdout
        nobody = where.eval(small, "--dry-run", check=4).stderr
        assert where.pupil.requests == where.assessor.requests == []
    assert "9 calls for the 3 questions" in unknown
    assert "at an unknown price" in unknown
    assert "USD if no call fails and answers have up to 1200 characters\n" in known
    assert "6 calls" in compared
    assert "nothing is judged without --judge" in nobody
