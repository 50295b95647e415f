"""An eval with nothing but the embedded model: it answers, and it judges, badly but truthfully."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.command_line import run_cli
from support.eval_servers import eval_set, evals_in, question

from pytest_llamaburn.judges import STATES
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path


def test_local_judge_marks_the_answers_of_the_embedded_model(tmp_path: Path) -> None:
    asked = question("two", prompt="1 + 1?", reference="2", scorer="number")
    judged = {**asked, "criteria": ["accuracy"]}
    args = (f"--set={eval_set(tmp_path, judged)}", "--judge=embedded", "--allow-self-judge")
    small = ("--max-tokens=8", "--warmup=1", "--max-unscored=1")
    limits = ("--judge-retries=0", "--judge-timeout=30s")  # so small a model may never stop
    done = run_cli("eval", "smollm2-135m", *args, *small, *limits, cwd=tmp_path)
    (document,) = evals_in(tmp_path / "results")
    assert results.check(document) is None
    assert document["status"] == "complete"
    found = document["results"]
    assert found["n_total"] == 1
    assert set(found["by_state"]) <= set(STATES)
    for item in found["items"]:
        assert item["answer"]
        for score in item["scores"].values():
            (judgment,) = score["judgments"]
            assert judgment["judge"] == "embedded:smollm2-135m"
            assert (score["score"] is None) == (score["state"] != "scored")
            assert score["score"] in (None, 1, 2, 3, 4, 5)
            assert (judgment["usage"]["output"] is None) == (score["state"] == "api_error")
    assert found["cost"]["cost_usd"] is None
    assert found["summary"]["total_generation_ms"]["n"] == 1
    assert "judged by embedded" in done.stdout
