"""`llamaburn eval`, as its users run it: answers, marks, and what the file says of them."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from support.command_line import run_cli
from support.eval_servers import (
    CRITERIA,
    Assessor,
    Pupil,
    Pupils,
    eval_set,
    evals_in,
    preference,
    question,
    reply,
    verdict,
)
from support.judge_servers import OpenAI, judge_server
from support.scripted import LlamaCppFacade, Reset, ScriptedServer, Steps, ollama_stream, sized

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path

QUESTIONS = (
    question("red", scorer="includes", category="colours"),
    question("blue", scorer="includes", category="colours"),
    question("love"),
)
ANSWERS = {"red": "It is right red.", "blue": "Green.", "love": "<think>hm</think>A right thing."}
CRASH: Steps = [sized(500, {"error": "llama runner process has terminated: exit status 2"})]
PRICES = ("--judge-price=judge:latest.input=10", "--judge-price=judge:latest.output=100")
CALL_USD = (300 * 10 + 40 * 100) / 1e6  # what the assessor's calls cost each


class Room:
    """Where an eval takes place: a directory and the two servers."""

    def __init__(self, cwd: Path, pupil: ScriptedServer, assessor: ScriptedServer) -> None:
        self.cwd, self.pupil, self.assessor = cwd, pupil, assessor
        self.judge = f"--judge=ollama:judge:latest@{assessor.host}"

    def eval(self, *args: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return run_cli("eval", "tiny", f"--host={self.pupil.host}", *args, cwd=self.cwd, **more)

    @property
    def files(self) -> list[dict[str, Any]]:
        return evals_in(self.cwd / "results")


@contextmanager
def room(cwd: Path, pupil: Pupil, assessor: Assessor | None = None) -> Iterator[Room]:
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ScriptedServer(one)) for one in (pupil, assessor or Assessor())
        ]
        yield Room(cwd, *servers)


@pytest.fixture
def small(tmp_path: Path) -> str:
    return f"--set={eval_set(tmp_path, *QUESTIONS)}"


def items(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a valid file's items by the id of their question."""
    assert results.check(document) is None
    return {item["question"]["id"]: item for item in document["results"]["items"]}


def test_without_a_judge_only_scorers_mark(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        done = where.eval(small)
        assert where.assessor.requests == []
    (document,) = where.files
    assert document["status"] == "complete"
    assert {name: item["correct"] for name, item in items(document).items()} == {
        "red": True,
        "blue": False,
        "love": None,
    }
    right = document["results"]["correct"]
    assert (right["right"], right["n_scored"], right["mean"]) == (1, 2, 0.5)
    assert document["results"]["criteria"] == {}
    assert document["results"]["n_total"] == 0
    assert document["results"]["by_category"]["things"]["correct"]["mean"] is None
    (path,) = (tmp_path / "results" / "evals").iterdir()
    assert path.name.startswith("tiny_latest_small_")
    assert "correct" in done.stdout
    assert "1 of 3 answers need a judge: add --judge" in done.stdout
    assert f"wrote results/evals/{path.name}" in done.stderr


def test_set_with_code_is_refused_where_no_sandbox_works(tmp_path: Path) -> None:
    without = "from pytest_llamaburn.sandbox import _filter\n_filter.MACHINES = ()\n"
    (tmp_path / "sitecustomize.py").write_text(without)
    asked = question("f", scorer="code", tests=["assert f()"])
    with room(tmp_path, Pupil()) as where:
        done = where.eval(f"--set={eval_set(tmp_path, asked)}", check=4, PYTHONPATH=str(tmp_path))
        assert where.pupil.requests == []
    assert where.files == []
    assert "answers that are code cannot be run safely here" in done.stderr
    assert "leave out the questions whose scorer is code" in done.stderr


def test_list_of_evals_shows_their_marks(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        where.eval(small)
        where.eval(small, where.judge)
    (document,) = (d for d in where.files if d["config"]["judge"])
    listed = run_cli("results", "list", "evals", cwd=tmp_path).stdout.splitlines()
    assert listed[0].split()[-2:] == ["requests", "scores"]
    assert listed[3].endswith("3/3        correct 0.500")
    assert listed[2].endswith("accuracy 4.00, completeness 4.00, coherence 4.00, correct 0.500")
    schema = json.loads(run_cli("schema", "eval", cwd=tmp_path).stdout)
    jsonschema.Draft202012Validator(schema).validate(document)


def test_every_question_is_judged_on_each_criterion(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        done = where.eval(small, where.judge)
    (document,) = where.files
    found = items(document)
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


def test_thinking_is_kept_apart_from_the_answer(tmp_path: Path, small: str) -> None:
    assessor = Assessor()
    with room(tmp_path, Pupil(answers=ANSWERS), assessor) as where:
        where.eval(small, where.judge)
    item = items(where.files[0])["love"]
    assert (item["answer"], item["thinking"]) == ("A right thing.", "hm")
    assert not any(b"<think>hm" in request for request in where.assessor.requests)


def test_all_is_answered_before_anything_is_judged(tmp_path: Path, small: str) -> None:
    log: list[str] = []
    with room(tmp_path, Pupil(answers=ANSWERS, log=log), Assessor(log=log)) as where:
        where.eval(small, where.judge)
    assert log == ["answer"] * 3 + ["judgment"] * 9


def test_timing_of_the_answers_is_kept(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        done = where.eval(small)
        listed = run_cli("results", "list", "evals", cwd=tmp_path).stdout
    (document,) = where.files
    assert document["results"]["summary"]["time_to_first_token_ms"]["n"] == 3
    assert all(i["timing"]["total_generation_ms"] > 0 for i in items(document).values())
    assert "timing of the answers" in done.stdout
    assert "3/3" in listed


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
    item = items(where.files[0])["red"]
    assert item["correct"] is False
    assert item["verdict"]["state"] == "empty"
    for score in item["scores"].values():
        assert score["score"] == 1
        assert score["judgments"][0]["source"] == "rule"
    assert len(assessor.calls) == 6


def test_answer_that_the_limit_cut_off_before_it_began_is_wrong_and_says_so(
    tmp_path: Path, small: str
) -> None:
    cut = ollama_stream([{"thinking": "well"}], done_reason="length")
    with room(tmp_path, Pupil(answers={**ANSWERS, "red": cut})) as where:
        done = where.eval(small, where.judge)
    item = items(where.files[0])["red"]
    assert (item["correct"], item["verdict"]["state"]) == (False, "truncated")
    assert {score["score"] for score in item["scores"].values()} == {1}
    assert "1 of 3 answers were cut off" in done.stdout
    assert "1 of them were all thinking. They count as wrong. " in done.stdout
    assert "Use --max-tokens 1024 or --think off." in done.stdout
    assert "raise --max-tokens" not in done.stdout


def test_failed_answer_is_the_models_own_and_is_never_kept(tmp_path: Path, small: str) -> None:
    pupil = Pupil(answers={**ANSWERS, "red": CRASH})
    with room(tmp_path, pupil) as where:
        where.eval(small, where.judge)
        where.eval(small)
    first, second = (items(document)["red"] for document in where.files)
    assert first["error"]["kind"] == "runner_crash"
    assert first["verdict"]["state"] == "failed"
    assert first["scores"]["accuracy"]["score"] == 1
    assert first["correct"] is False
    assert second["error"]["kind"] == "runner_crash"
    assert where.files[0]["results"]["errors"] == {"runner_crash": 1}
    assert len(pupil.asked) == 4  # the failed one was asked again, the others came from the cache


def test_answer_that_the_connection_lost_is_in_no_share_and_fails_the_run(
    tmp_path: Path, small: str
) -> None:
    with room(tmp_path, Pupil(answers={**ANSWERS, "blue": [Reset()]})) as where:
        done = where.eval(small, "--threshold=correct.mean>0.8", check=1)
    found = where.files[0]["results"]["correct"]
    assert (found["n_total"], found["n_scored"], found["mean"]) == (2, 1, 1.0)
    assert found["bounds"] == {"missing_at_0": 0.5, "missing_at_1": 1.0}
    assert "correct.mean>0.8: pass: 1" in done.stdout
    assert "unscored<=0.1: fail: 0.5" in done.stdout
    assert "worst case   best case" in done.stdout


def test_answers_that_cannot_be_read_are_wrong_and_fail_the_gate(tmp_path: Path) -> None:
    names = [f"thing{number:02}" for number in range(30)]
    choices = {"scorer": "choice", "reference": "B", "choices": ["x", "y", "z"]}
    asked = (question(name, **choices) for name in names)
    answers = dict.fromkeys(names, "I cannot determine this")
    answers |= dict.fromkeys(names[:6], "Answer: B")
    with room(tmp_path, Pupil(answers=answers)) as where:
        gates = ("--threshold=correct.mean>0.8", "--threshold=correct_of_parsed>0.8")
        done = where.eval(f"--set={eval_set(tmp_path, *asked)}", *gates, check=1)
    found = where.files[0]["results"]
    assert results.check(where.files[0]) is None
    assert (found["correct"]["mean"], found["correct"]["n_scored"]) == (0.2, 30)
    assert found["correct_of_parsed"]["mean"] == 1.0
    assert (found["unparsable"]["count"], found["unparsable"]["mean"]) == (24, 0.8)
    assert [gate["verdict"] for gate in found["gates"]] == ["fail", "pass"]
    assert "scorers: unparsable 24; an answer that cannot be read is wrong" in done.stdout


def test_answers_of_the_same_model_to_the_same_question_are_taken_from_earlier(
    tmp_path: Path, small: str
) -> None:
    pupil = Pupil(answers=ANSWERS)
    with room(tmp_path, pupil) as where:
        where.eval(small)
        done = where.eval(small, where.judge)
        assert len(pupil.asked) == 3
        where.eval(small, "--no-cache-answers")
        where.eval(small, "--max-tokens=99")
        where.eval(small, "--cache=bust")
    assert len(pupil.asked) == 12
    assert all(item["cached"] for item in items(where.files[1]).values())
    assert where.files[1]["results"]["summary"]["tokens_per_sec"]["n"] == 0
    assert "3 of 3 answers (3 from earlier runs)" in done.stdout


def test_model_that_cannot_be_told_for_sure_is_asked_every_time(tmp_path: Path, small: str) -> None:
    facade = LlamaCppFacade()
    with ScriptedServer(facade) as server:
        args = ("eval", "tiny:latest", f"--host={server.host}", small, "--warmup=0")
        run_cli(*args, cwd=tmp_path)
        run_cli(*args, cwd=tmp_path)
    assert facade.chats == 6
    assert not (tmp_path / "results" / ".answers").exists()


def test_damaged_cache_is_asked_again(tmp_path: Path, small: str) -> None:
    pupil = Pupil(answers=ANSWERS)
    with room(tmp_path, pupil) as where:
        where.eval(small)
        for path in (tmp_path / "results" / ".answers").rglob("*.json"):
            path.write_text("{")
        where.eval(small)
    assert len(pupil.asked) == 6


def test_limit_takes_a_fixed_choice_over_the_categories(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        where.eval(small, "--limit=2")
        where.eval(small, "--limit=2")
    first, second = (items(document) for document in where.files)
    assert list(first) == list(second)
    assert {item["question"]["category"] for item in first.values()} == {"colours", "things"}
    assert where.files[0]["results"]["eval_set"]["available"] == 3
    assert where.files[0]["results"]["eval_set"]["used"] == 2


def test_each_set_gets_its_own_file(tmp_path: Path, small: str) -> None:
    other = eval_set(tmp_path, question("snow"), name="other")
    with room(tmp_path, Pupil()) as where:
        where.eval(small, f"--set={other}")
    assert [d["results"]["eval_set"]["name"] for d in where.files] == ["other", "small"]
    assert len({d["session_id"] for d in where.files}) == 1


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
    red = items(where.files[0])["red"]["scores"]["accuracy"]
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


def test_several_answers_give_pass_at_k(tmp_path: Path) -> None:
    class Wavering(Pupil):
        def __call__(self, request: Any) -> Steps:
            chat = request.path == "/api/chat" and request.json["messages"]
            seed = request.json["options"]["seed"] if chat else 0
            self.answers = {"red": "right red" if seed == 0 else "Green."}
            return super().__call__(request)

    chosen = f"--set={eval_set(tmp_path, QUESTIONS[0])}"
    args = (chosen, "--samples=4", "--temperature=0.8", "--pass-k=2")
    with room(tmp_path, Wavering()) as where:
        done = where.eval(*args, "--threshold=pass_at_k>0.4")
    (item,) = items(where.files[0]).values()
    assert [s["correct"] for s in (item, *item["more_samples"])] == [True, False, False, False]
    assert item["pass_at_k"] == pytest.approx(0.5)
    assert where.files[0]["results"]["correct"]["mean"] == 0.25
    assert "pass@2" in done.stdout


def test_models_are_compared_in_both_orders(tmp_path: Path, small: str) -> None:
    def opinion(prompt: str, criterion: str) -> Any:
        assert criterion == "preference"
        return preference("A" if "blue" in prompt or "right" in answer_a(prompt) else "B")

    rival = {"red": "wrong", "blue": "x", "love": "y"}
    pupils = Pupils(by_model={"tiny": ANSWERS, "rival": rival})
    args = ("--pairwise", "--compare-to=rival", "--threshold=win_rate>0.5")
    with room(tmp_path, pupils, Assessor(opinion=opinion)) as where:
        done = where.eval(small, where.judge, *args)
    files = {document["model"]["id"]: document for document in where.files}
    assert files["rival:latest"]["results"]["pairwise"] is None
    found = files["tiny:latest"]["results"]["pairwise"]
    assert (found["wins"], found["losses"], found["ties"], found["inconsistent"]) == (2, 0, 1, 1)
    assert found["win_rate"]["value"] == pytest.approx(2.5 / 3)
    assert found["verdict"] is None
    assert "33% of the pairs have another winner" in found["reason"]
    assert "compared with rival" in done.stdout
    blue = items(files["tiny:latest"])["blue"]
    assert (blue["comparisons"][0]["verdict"], blue["rival_answer"]) == ("tie", "x")


def answer_a(prompt: str) -> str:
    return prompt.partition("<<<ANSWER A ")[2].partition("<<<END")[0]


def test_answers_are_compared_with_those_of_a_file(tmp_path: Path, small: str) -> None:
    assessor = Assessor(opinion=lambda *_: preference("tie"))
    pupil = Pupil(answers=ANSWERS)
    with room(tmp_path, pupil, assessor) as where:
        where.eval(small, "--limit=2")
        (path,) = (tmp_path / "results" / "evals").iterdir()
        pupil.answers = {**ANSWERS, "love": "<think>no words</think>"}
        args = ("--pairwise", f"--compare-to={path}", "--max-tokens=77", "--max-unscored=1")
        where.eval(small, where.judge, *args)
    found = where.files[1]["results"]
    pairs = found["pairwise"]
    assert (pairs["n_total"], pairs["ties"], pairs["losses"]) == (3, 1, 1)
    assert found["by_state"] == {"scored": 2, "skipped_sut_error": 1}
    assert len(assessor.calls) == 2
    shown = run_cli("results", "show", _ids(tmp_path)[1], cwd=tmp_path).stdout
    assert "compared: tie (scored)" in shown
    assert "compared: B (scored)\n  rule B: an answer is empty" in shown
    assert "compared: – (skipped_sut_error)" in shown
    assert "thinking: no words" in shown


def test_marks_are_given_again_without_the_model(tmp_path: Path, small: str) -> None:
    kind = Assessor(model="kind:latest", opinion=lambda *_: verdict(5))
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        where.eval(small, where.judge, "--samples=2", "--temperature=0.5")
        (path,) = (tmp_path / "results" / "evals").iterdir()
    with ScriptedServer(kind) as other:
        args = (f"--judge=ollama:kind:latest@{other.host}", "--pass-k=2")
        done = run_cli("rejudge", path.stem, *args, cwd=tmp_path)
        prices = ("--judge-price=kind:latest.input=1", "--judge-price=kind:latest.output=1")
        again = run_cli("rejudge", path.stem, "--dry-run", *args, *prices, cwd=tmp_path)
    first, second = where.files
    assert second["status"] == "complete"
    assert second["config"]["rescore"].endswith(path.name)
    assert second["config"]["samples"] == 2
    assert second["results"]["criteria"]["accuracy"]["mean"] == 5.0
    pairs = zip(items(first).values(), items(second).values(), strict=True)
    assert all(a["answer"] == b["answer"] and a["timing"] == b["timing"] for a, b in pairs)
    assert len(kind.calls) == 9
    assert "judged by ollama:kind" in done.stdout
    assert "9 calls for the 3 questions" in again.stdout
    assert again.stdout.endswith("USD if no call fails\n")


def test_so_many_answers_as_the_limit_says_are_marked_again(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        where.eval(small)
        (path,) = (tmp_path / "results" / "evals").iterdir()
        args = (where.judge, "--limit=1")
        again = run_cli("rejudge", path.stem, "--dry-run", *args, cwd=tmp_path)
        run_cli("rejudge", path.stem, *args, cwd=tmp_path)
        run_cli("rejudge", path.stem, where.judge, cwd=tmp_path)
    _, limited, whole = where.files
    assert (len(items(limited)), limited["results"]["n_total"]) == (1, 3)
    assert (limited["config"]["limit"], limited["status"]) == (1, "complete")
    assert (len(items(whole)), whole["config"]["limit"]) == (3, None)
    assert "3 calls for the 1 questions" in again.stdout


def test_answers_of_a_file_are_not_marked_by_another_set(tmp_path: Path) -> None:
    done = run_cli("rejudge", "any", "--set=math", cwd=tmp_path, check=4)
    assert done.stderr == (
        "llamaburn: rejudge: --set is refused: the questions are those of the file\n"
    )


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


def test_questions_are_answered_with_evidence_where_they_allow_it(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.txt").write_text("Everything about moss: its colour is right moss, always.")
    asked = (
        question("moss", allow_web_search=True, prompt="What colour is moss?", scorer="includes"),
        question("snow"),
    )
    chosen = f"--set={eval_set(tmp_path, *asked)}"
    pupil = Pupil(answers={"BEGIN SOURCE": "It is right moss [1].", "snow": "White."})
    with room(tmp_path, pupil) as where:
        done = where.eval(chosen, "--with-web-search", f"--corpus={corpus}")
        (path,) = (tmp_path / "results" / "evals").iterdir()
        where.eval(chosen, "--with-web-search", f"--search-replay={path}")
        where.eval(chosen, "--no-web-search")
        compared = run_cli("compare", *_ids(tmp_path)[::2], cwd=tmp_path).stdout
    first, second, third = where.files
    moss = items(first)["moss"]
    assert moss["search"]["hits"][0]["url"] == "a.txt"
    assert (moss["reference_found"], moss["cited"], moss["correct"]) == (True, [1], True)
    assert items(first)["snow"]["search"] is None
    assert items(second)["moss"]["search"]["replayed"] is True
    assert first["results"]["evidence"]["reference_found"] == {"n": 1, "share": 1.0}
    assert third["results"]["evidence"] is None
    assert "1 questions with evidence from corpus" in done.stdout
    assert "web_search is False, True in the baseline" in compared


def test_sources_of_an_answer_are_shown_with_it(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "moss.md").write_text("# On moss\nThe colour of moss is right moss.")
    asked = [
        question("moss", allow_web_search=True, prompt="What colour is moss?"),
        question("zzz", allow_web_search=True, prompt="Xylophone?"),
        question("snow"),
    ]
    other = f"--set={eval_set(tmp_path, question('rain'), name='other')}"
    chosen = (f"--set={eval_set(tmp_path, *asked)}", other)
    with room(tmp_path, Pupil(answers={"BEGIN SOURCE": "It is right moss [1]."})) as where:
        done = where.eval(*chosen, "--with-web-search", f"--corpus={corpus}", "--progress=plain")
    shown = "".join(run_cli("results", "show", i, cwd=tmp_path).stdout for i in _ids(tmp_path))
    assert "source [1], cited: " in shown
    assert "<moss.md>" in shown
    assert "source: none; corpus found nothing" in shown
    assert shown.count("source") == 2
    assert "other.json allows a search: it is asked without" in done.stderr


def _ids(cwd: Path) -> list[str]:
    return [path.stem for path in sorted((cwd / "results" / "evals").glob("*.json"))]


def test_search_that_fails_is_no_mark_for_the_model_and_says_why(tmp_path: Path) -> None:
    asked = (question("moss", allow_web_search=True, scorer="includes"), question("snow"))
    searching = (f"--set={eval_set(tmp_path, *asked)}", "--with-web-search", "--search=searxng")
    with room(tmp_path, Pupil()) as where, ScriptedServer([sized(500, "broken")]) as searx:
        done = where.eval(*searching, where.judge, check=1, SEARXNG_URL=searx.host)
    assert f"search_failed × 1: search with searxng at {searx.host} failed: HTTP 500" in done.stdout
    moss, snow = items(where.files[0]).values()
    assert (moss["error"]["kind"], moss["correct"]) == ("search_failed", None)
    assert {score["state"] for score in moss["scores"].values()} == {"skipped_sut_error"}
    assert {score["score"] for score in moss["scores"].values()} == {None}
    assert snow["error"] is None


def test_pair_of_which_a_search_failed_has_no_winner(tmp_path: Path) -> None:
    chosen = f"--set={eval_set(tmp_path, question('moss', allow_web_search=True))}"
    with room(tmp_path, Pupil()) as where, ScriptedServer([sized(500, "broken")]) as searx:
        where.eval(chosen)
        (path,) = (tmp_path / "results" / "evals").iterdir()
        args = ("--with-web-search", "--search=searxng", "--pairwise", f"--compare-to={path}")
        where.eval(chosen, where.judge, *args, check=None, SEARXNG_URL=searx.host)
    (pair,) = items(where.files[1])["moss"]["comparisons"]
    assert (pair["verdict"], pair["state"]) == (None, "skipped_sut_error")


def test_evals_are_compared_by_question(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        where.eval(small, where.judge)
        better = {name: f"right {name}" for name in ANSWERS}
        where.pupil._script.answers = better  # type: ignore[attr-defined]
        where.eval(small, where.judge, "--seed=5")
        done = run_cli("compare", *_ids(tmp_path), cwd=tmp_path)
        data = run_cli("compare", *_ids(tmp_path), "-o", "csv", cwd=tmp_path).stdout
    document = json.loads(next((tmp_path / "results" / "eval_comparisons").iterdir()).read_text())
    assert results.check(document) is None
    found = {d["mark"]: d for d in document["results"]["differences"]}
    assert found["accuracy"]["difference"] == 1.0
    assert found["accuracy"]["questions"] == 3
    assert found["correct"]["questions"] == 2
    assert found["correct"]["verdict"] == "inconclusive"
    assert found["accuracy"]["verdict"] == "inconclusive"
    assert "seed is 5, 0 in the baseline" in done.stdout
    assert len(list(csv.DictReader(io.StringIO(data)))) == 4


def test_eval_is_not_compared_with_a_benchmark(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil()) as where:
        where.eval(small)
        args = ("benchmark", "tiny", f"--host={where.pupil.host}", "--iterations=1")
        run_cli(*args, cwd=tmp_path)
        (benchmark,) = (tmp_path / "results" / "benchmarks").iterdir()
        done = run_cli("compare", *_ids(tmp_path), str(benchmark), cwd=tmp_path, check=4)
        again = run_cli("rejudge", str(benchmark), cwd=tmp_path, check=4)
        pairs = ("--pairwise", f"--compare-to={benchmark}")
        other = where.eval(small, where.judge, *pairs, check=4)
    assert "has the schema llamaburn/benchmark, " in done.stderr
    assert "is not the result of an eval: its schema is llamaburn/benchmark" in again.stderr
    assert "is not the result of an eval: its schema is llamaburn/benchmark" in other.stderr


def test_half_a_surrogate_pair_costs_no_verdict(tmp_path: Path) -> None:
    half = chr(0xD83D)
    said = {"evidence": [f"a {half} quote"], "reasoning": f"because {half}", "score": 4}

    def opinion(prompt: str, criterion: str) -> Any:
        inner = json.dumps(said, ensure_ascii=criterion == "accuracy")
        return [sized(200, json.dumps(reply(inner)))]

    asked = question("red", scorer="includes")
    chosen = (f"--set={eval_set(tmp_path, asked)}", "--progress=json")
    pupil = Pupil(answers={"red": "It is right red."})
    with room(tmp_path, pupil, Assessor(opinion=opinion)) as where:
        done = where.eval(*chosen, where.judge)
    (name,) = _ids(tmp_path)
    red = items(where.files[0])["red"]
    assert {score["score"] for score in red["scores"].values()} == {4.0}
    (judgment,) = red["scores"]["coherence"]["judgments"]
    assert judgment["evidence"] == ["a \N{REPLACEMENT CHARACTER} quote"]
    assert "because \N{REPLACEMENT CHARACTER}" in show(name, "csv", tmp_path)
    assert "Traceback" not in done.stderr


def test_shown_result_has_each_question_answer_and_mark_with_its_reasons(
    tmp_path: Path, small: str
) -> None:
    odd = {**ANSWERS, "red": "= right red, \x1b[31m\nsecond line"}
    with room(tmp_path, Pupil(answers={**odd, "love": CRASH})) as where:
        where.eval(small, where.judge)
    (name,) = _ids(tmp_path)
    shown = run_cli("results", "show", name, cwd=tmp_path).stdout
    for line in (
        "── red (colours)",
        "question: What is red?",
        "reference: right red",
        "answer: = right red,  [31m",
        "    second line",
        "scorer: right (scored)",
        "accuracy: 5 (scored)",
        "    quotes: a quote",
        "failed: runner_crash: ",
    ):
        assert line in shown
    assert "\x1b" not in shown
    rows = list(csv.DictReader(io.StringIO(show(name, "csv", tmp_path))))
    assert [row["accuracy"] for row in rows] == ["5.0", "2.0", "1.0"]
    assert rows[0]["answer"].startswith("'= right")
    assert json.loads(show(name, "jsonl", tmp_path).splitlines()[0])["correct"] is True
    assert "| accuracy | 1 to 5 |" in show(name, "markdown", tmp_path)
    assert "<td" in show(name, "html", tmp_path)
    refused = run_cli("results", "show", name, "-o", "benchstat", cwd=tmp_path, check=4)
    assert "benchstat compares speeds" in refused.stderr


def test_words_of_a_set_cannot_steer_a_terminal(tmp_path: Path) -> None:
    odd = question("q\x1b[5m", prompt="What is red?", category="c\x1b[2Jat", scorer="includes")
    chosen = eval_set(tmp_path, odd, name="na\x1b[31mme")
    with room(tmp_path, Pupil(answers={"red": "\x9b31m \x1b]0;title\x07"})) as where:
        done = where.eval(f"--set={chosen}")
    (name,) = _ids(tmp_path)
    told = run_cli("results", "show", name, cwd=tmp_path).stdout
    told += "".join(show(name, output, tmp_path) for output in ("markdown", "csv", "html"))
    told += done.stdout + done.stderr
    assert {c for c in told if unicodedata.category(c) == "Cc"} == {"\n"}
    assert "c [2Jat" in told


def show(name: str, output: str, cwd: Path) -> str:
    return run_cli("results", "show", name, "-o", output, cwd=cwd).stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--set=generalknowledge"], "did you mean 'general_knowledge'"),
        (["--samples=3"], "at temperature 0 all answers to a question are the same"),
        (["--pass-k=2"], "set --samples 2 or more"),
        (["--pairwise"], "--pairwise and --compare-to MODEL need each other"),
        (["--pairwise", "--compare-to=x"], "no judge is named to compare the answers"),
        (["--judge=claude"], "set the environment variable ANTHROPIC_API_KEY"),
        (["--judge=claud"], "did you mean 'claude'"),
        (["--judge=ollama:tiny"], "tiny would judge itself"),
        (["--with-web-search", "--corpus=nowhere"], "nowhere"),
        (
            ["--with-web-search", "--set=math", "--set=coding"],
            "--with-web-search: no question of math, coding allows a search: leave the option out",
        ),
        (["--pairwise", "--compare-to=tiny", "--judge=ollama:j"], "tiny is the model under test"),
        (
            ["--pairwise", "--compare-to=library/Tiny:latest", "--judge=ollama:j"],
            "is the model under test",
        ),
        (["--pairwise", "--compare-to=x", "--judge=ollama:x"], "ollama:x: x would judge itself"),
        (["--threshold=acuracy>4"], "did you mean 'accuracy'"),
        (["--rescore=x.json"], "x.json cannot be read"),
        (
            ["--rescore=x.json", "--pairwise", "--compare-to=y", "--judge=ollama:j"],
            "is refused: with --rescore, name a result file to compare with",
        ),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, args: list[str], said: str) -> None:
    with room(tmp_path, Pupil()) as where:
        done = where.eval(*args, check=4, ANTHROPIC_API_KEY="")
        assert not any(b"/api/chat" in request for request in where.pupil.requests)
    assert said in done.stderr
    assert not (tmp_path / "results" / "evals").exists()


def test_judge_key_that_fits_in_no_header_is_refused_before_anything_is_sent(
    tmp_path: Path, small: str
) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        judge = f"--judge=openai@{where.assessor.host}"
        done = where.eval(small, judge, check=4, OPENAI_API_KEY="gsk_one\ntwo")
        assert where.pupil.requests == where.assessor.requests == []
    assert "OPENAI_API_KEY is no key" in done.stderr
    assert "gsk_one" not in done.stdout + done.stderr
    assert not (tmp_path / "results" / "evals").exists()


def test_only_model_of_a_server_is_not_compared_with_itself(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        args = ("eval", f"--host={where.pupil.host}", small, where.judge)
        done = run_cli(*args, "--pairwise", "--compare-to=tiny", cwd=tmp_path, check=4)
    assert "--compare-to: tiny is the model under test" in done.stderr


def test_model_whose_answers_a_file_has_does_not_judge_them(tmp_path: Path, small: str) -> None:
    pupils = Pupils(by_model={"tiny": ANSWERS, "rival": ANSWERS})
    with room(tmp_path, pupils, Assessor(model="rival:latest")) as where:
        run_cli("eval", "rival", f"--host={where.pupil.host}", small, cwd=tmp_path)
        (path,) = (tmp_path / "results" / "evals").iterdir()
        asked = len(pupils.asked)
        judge = f"--judge=ollama:rival@{where.assessor.host}"
        pairs = ("--pairwise", f"--compare-to={path}")
        done = where.eval(small, judge, *pairs, check=4)
        assert len(pupils.asked) == asked
    assert "rival:latest would judge itself" in done.stderr


def test_model_judges_itself_only_where_that_is_allowed(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS), Assessor(model="tiny:latest")) as where:
        own = f"--judge=ollama:tiny@{where.assessor.host}"
        where.eval(small, own, check=4)
        where.eval(small, own, "--allow-self-judge")
    assert where.files[-1]["results"]["n_scored"] == 9


def test_judge_that_cannot_be_had_is_told_before_anything_is_answered(
    tmp_path: Path, small: str
) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where, judge_server(OpenAI()) as openai:
        nobody = where.eval(small, "--judge=ollama:judge@http://127.0.0.1:9", check=4).stderr
        absent = where.eval(small, f"--judge=ollama:x@{where.assessor.host}", check=4).stderr
        keyless = where.eval(small, f"--judge={openai}", check=4, OPENAI_API_KEY="sk-no").stderr
        assert where.pupil._script.asked == []  # type: ignore[attr-defined]
        assert not any(b"/api/chat" in request for request in where.assessor.requests)
    assert "llamaburn: --judge ollama:judge@http://127.0.0.1:9: no server at" in nobody
    assert "model 'x' is not at" in absent
    assert "the key in OPENAI_API_KEY is refused" in keyless
    assert where.files == []


def test_judge_that_is_gone_when_all_is_answered_leaves_the_answers(
    tmp_path: Path, small: str
) -> None:
    class Leaving(Assessor):
        def __call__(self, request: Any) -> Steps:
            self.model = "another:latest" if pupil.asked else "judge:latest"
            return super().__call__(request)

    pupil = Pupil(answers=ANSWERS)
    with room(tmp_path, pupil, Leaving()) as where:
        done = where.eval(small, where.judge, check=4)
    assert done.stderr.count("model 'judge:latest' is not at") == 1
    (document,) = where.files
    assert document["status"] == "partial"
    assert len(items(document)) == 3
    assert document["results"]["by_state"] == {"unfinished": 9}
