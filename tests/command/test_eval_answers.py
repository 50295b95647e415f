"""`llamaburn eval`: questions are answered, and the file keeps the answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from support.command_line import run_cli
from support.eval_rooms import ANSWERS, CRASH, QUESTIONS, items_by_id, room
from support.eval_servers import (
    Assessor,
    Pupil,
    eval_set,
    question,
)
from support.scripted import LlamaCppFacade, Reset, ScriptedServer, Steps, ollama_stream

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_judge_only_scorers_mark(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        done = where.eval(small)
        assert where.assessor.requests == []
    (document,) = where.files
    assert document["status"] == "complete"
    assert {name: item["correct"] for name, item in items_by_id(document).items()} == {
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
    assert "generated code cannot be run safely on this machine" in done.stderr
    assert "leave out the questions with the scorer code" in done.stderr


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


def test_thinking_is_kept_apart_from_the_answer(tmp_path: Path, small: str) -> None:
    assessor = Assessor()
    with room(tmp_path, Pupil(answers=ANSWERS), assessor) as where:
        where.eval(small, where.judge)
    item = items_by_id(where.files[0])["love"]
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
    assert all(i["timing"]["total_generation_ms"] > 0 for i in items_by_id(document).values())
    assert "timing of the answers" in done.stdout
    assert "3/3" in listed


def test_answer_that_the_limit_cut_off_before_it_began_is_wrong_and_says_so(
    tmp_path: Path, small: str
) -> None:
    cut = ollama_stream([{"thinking": "well"}], done_reason="length")
    with room(tmp_path, Pupil(answers={**ANSWERS, "red": cut})) as where:
        done = where.eval(small, where.judge)
    item = items_by_id(where.files[0])["red"]
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
    first, second = (items_by_id(document)["red"] for document in where.files)
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
    answers = dict.fromkeys(names, "It depends on this")
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
    assert all(item["cached"] for item in items_by_id(where.files[1]).values())
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
    first, second = (items_by_id(document) for document in where.files)
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
    (item,) = items_by_id(where.files[0]).values()
    assert [s["correct"] for s in (item, *item["more_samples"])] == [True, False, False, False]
    assert item["pass_at_k"] == pytest.approx(0.5)
    assert where.files[0]["results"]["correct"]["mean"] == 0.25
    assert "pass@2" in done.stdout
