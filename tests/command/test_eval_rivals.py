"""`llamaburn eval`: two models answer, and judges prefer one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import run_cli
from support.eval_rooms import ANSWERS, items_by_id, question_ids, room
from support.eval_servers import (
    Assessor,
    Pupil,
    Pupils,
    preference,
)

if TYPE_CHECKING:
    from pathlib import Path


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
    assert "33% of the pairs have a different winner" in found["reason"]
    assert "compared with rival" in done.stdout
    blue = items_by_id(files["tiny:latest"])["blue"]
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
    shown = run_cli("results", "show", question_ids(tmp_path)[1], cwd=tmp_path).stdout
    assert "compared: tie (scored)" in shown
    assert "compared: B (scored)\n  rule B: an answer is empty" in shown
    assert "compared: – (skipped_sut_error)" in shown
    assert "thinking: no words" in shown
