"""Scorers in an eval run: what they cannot do is said before it, or in the score."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_llamaburn import evalsets, gates, registry, sandbox
from pytest_llamaburn.errors import DatasetError, MissingExtraError, UsageError
from pytest_llamaburn.kinds.eval import checks, run, scoring, task
from pytest_llamaburn.kinds.eval.measures import MEASURES
from pytest_llamaburn.progress import Silent
from pytest_llamaburn.scorers import json_schema, wer


def scored_question(scorer: str = "number", **options: Any) -> evalsets.Question:
    given = evalsets.Question("q", "What?", "things", "0" * 64)
    return given._replace(scorer=scorer, reference="18", options=options)


def scorer_verdict(question: evalsets.Question, answer: str = "18") -> Any:
    row: Any = {"answer": answer, "error": None, "finish_reason": "stop", "search": None}
    verdict = scoring.score(question, row)
    assert verdict is not None
    return verdict


@pytest.mark.parametrize(
    "error", [IndexError("list index"), RecursionError(), ValueError("\ud800"), MemoryError()]
)
def test_scorer_that_fails_leaves_a_verdict_with_the_reason(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(answer: str, question: Any) -> Any:
        raise error

    monkeypatch.setattr(registry, "load", lambda *names: SimpleNamespace(score=score))
    verdict = scorer_verdict(scored_question("theirs"))
    assert (verdict["correct"], verdict["state"]) == (None, "unavailable")
    assert verdict["reason"].startswith(f"the scorer 'theirs' failed: {type(error).__name__}: ")


@pytest.mark.parametrize(
    "verdict",
    [None, "right", (True, "scored", "", "18", {"rate": float("nan")}), (1, 2), ({1},) * 5],
)
def test_what_is_no_verdict_leaves_one_that_says_so(
    verdict: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = SimpleNamespace(score=lambda answer, question: verdict)
    monkeypatch.setattr(registry, "load", lambda *names: module)
    assert scorer_verdict(scored_question("theirs"))["state"] == "unavailable"


def test_faulty_question_still_stops_the_run() -> None:
    with pytest.raises(DatasetError, match="is not a number"):
        scorer_verdict(scored_question()._replace(reference="many"))


def test_sandbox_that_breaks_in_mid_run_is_the_reason_of_each_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox._filter, "MACHINES", ())
    verdict = scorer_verdict(scored_question("code", tests="assert f()"), "def f(): return 1")
    assert (verdict["correct"], verdict["state"]) == (None, "unavailable")
    assert "cannot be run safely on this machine" in verdict["reason"]


def about_set() -> Any:
    return {}


def run_of(questions: list[evalsets.Question], monkeypatch: pytest.MonkeyPatch) -> run.EvalRun:
    monkeypatch.setattr(task, "load", lambda *about: task.Task(tuple(questions), about_set()))
    return run.EvalRun(
        SimpleNamespace(seed=0, results_dir="r"), SimpleNamespace(variant="s"), 0, Silent()
    )


def test_set_that_needs_a_sandbox_is_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox._filter, "MACHINES", ())
    room = run_of([scored_question(), scored_question("code", tests="")], monkeypatch)
    with pytest.raises(UsageError, match="or leave out the questions with the scorer code"):
        checks.refuse_unscorable(room._questions)
    checks.refuse_unscorable(run_of([scored_question()], monkeypatch)._questions)


@pytest.mark.parametrize(
    ("module", "hidden", "extra"),
    [(wer, "jiwer", "audio"), (json_schema, "jsonschema", "judge")],
)
def test_missing_extra_is_told_before_anything_is_asked(
    module: Any, hidden: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.ready()
    monkeypatch.setitem(__import__("sys").modules, hidden, None)
    with pytest.raises(MissingExtraError, match=rf"\[{extra}\]"):
        module.ready()


def test_gate_does_not_pass_on_answers_that_could_not_be_scored() -> None:
    mean = {"mean": 1.0, "ci95": [0.9, 1.0], "reason": None}
    states = {"scored": 20, "unavailable": 1}
    unscored = {"verdict": {"state": "unavailable", "reason": "no sandbox"}, "more_samples": []}
    marks = {
        "correct": {**mean, "by_state": states, "n_total": 21},
        "pass_at_k": mean,
        "items": [unscored],
    }
    for metric in ("correct.mean>0.8", "pass_at_k.mean>0.8"):
        (judged,) = gates.judged({"results": marks}, MEASURES, [metric], "point")
        assert judged["reason"] == "1 of 21 answers could not be scored: no sandbox"


def answered(answer: str | None, **fields: Any) -> Any:
    return {"answer": answer, "error": None, "finish_reason": "stop", "search": None, **fields}


@pytest.mark.parametrize(
    ("opponent", "compared"),
    [
        (answered("19"), ("18", "19")),
        (answered(None, error={"kind": "timeout_total"}), ("18", "")),
        (answered(None, error={"kind": "connect_error"}), None),
        (None, None),
    ],
)
def test_an_answer_that_is_missing_through_no_fault_of_the_model_is_not_compared(
    opponent: Any, compared: tuple[str, str] | None
) -> None:
    pair = scoring.pair(scored_question(), answered("18"), opponent)
    assert (pair and (pair.answer_a, pair.answer_b)) == compared


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (answered(None, error={"kind": "timeout_total"}), "failed"),
        (answered("", finish_reason="length"), "truncated"),
        (answered(""), "empty"),
        (answered(None, error={"kind": "connect_error"}), "skipped_sut_error"),
    ],
)
def test_the_state_of_a_missing_answer_says_why_it_is_missing(row: Any, state: str) -> None:
    found = scoring.score(scored_question(), row)
    assert found is not None
    assert found["state"] == state
    assert found["correct"] is (None if state == "skipped_sut_error" else False)
