"""Evals that were cut: nothing finished is lost, and nothing finished is judged twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import COMMAND, run_cli
from support.eval_servers import (
    CRITERIA,
    Assessor,
    Pupil,
    Pupils,
    eval_set,
    evals_in,
    preference,
    question,
    verdict,
)
from support.processes import Process
from support.scripted import Pause, ScriptedServer, sized

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("red", "blue", "green", "white", "black")
ASKED = {(f"What is {name}?", criterion) for name in NAMES for criterion in CRITERIA}


def begin(cwd: Path, *args: str, **env: str) -> Process[bytes]:
    nowhere, command = subprocess.DEVNULL, [*COMMAND, "eval", *args]
    given = {**os.environ, **env}
    return Process(command, cwd=cwd, env=given, stdout=nowhere, stderr=nowhere)


def journalled(cwd: Path) -> set[tuple[str, str]]:
    """Return the finished judgments as their journals have them."""
    lines = [
        json.loads(line)
        for path in (cwd / "results" / ".journal").rglob("*.jsonl")
        for line in path.read_text().splitlines()
        if line.endswith("}")
    ]
    found = [line for line in lines if line["type"] == "judgment" and line["state"] == "scored"]
    keys = [(f"What is {line['key'][0]}?", line["key"][1]) for line in found]
    assert len(keys) == len(set(keys))
    return set(keys)


@pytest.mark.parametrize("seed", range(3))
def test_eval_killed_at_random_moments_judges_nothing_twice(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    chosen = eval_set(tmp_path, *(question(name) for name in NAMES))
    assessor, pupil = Assessor(), Pupil()
    with ScriptedServer(pupil) as model, ScriptedServer(assessor) as judge:
        args = ["tiny", f"--host={model.host}", f"--set={chosen}", "--judge-concurrency=2"]
        args.append(f"--judge=ollama:judge@{judge.host}")
        for _ in range(2):
            done, assessor.calls = journalled(tmp_path), []
            left = len(ASKED) - len(done)
            assessor.stop_at = dice.randint(1, max(1, left - 2))
            assessor.stopped.clear()
            running = begin(tmp_path, *args)
            assert assessor.stopped.wait(60)
            running.send_signal(signal.SIGKILL)
            running.wait(60)
            assert done.isdisjoint(assessor.calls)
            assert done <= journalled(tmp_path)
            args = ["--resume=last", f"--judge=ollama:judge@{judge.host}"]
        done, assessor.calls, assessor.stop_at = journalled(tmp_path), [], 0
        run_cli("eval", *args, cwd=tmp_path)
    assert sorted(assessor.calls) == sorted(ASKED - done)
    (document,) = evals_in(tmp_path / "results")
    assert document["status"] == "complete"
    assert document["results"]["by_state"] == {"scored": len(ASKED)}
    assert len(pupil.asked) == len(NAMES)
    assert not (tmp_path / "results" / ".journal").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_eval_interrupted_while_it_is_judged_is_filed_and_continued(
    tmp_path: Path, number: signal.Signals
) -> None:
    chosen = eval_set(tmp_path, *(question(name) for name in NAMES))
    assessor = Assessor(stop_at=8)
    with ScriptedServer(Pupil()) as model, ScriptedServer(assessor) as judge:
        spec = f"--judge=ollama:judge@{judge.host}"
        running = begin(tmp_path, "tiny", f"--host={model.host}", f"--set={chosen}", spec)
        assert assessor.stopped.wait(60)
        running.send_signal(number)
        assert running.wait(60) == 2
        (before,) = evals_in(tmp_path / "results")
        finished = len(journalled(tmp_path))
        assessor.stop_at = 0
        run_cli("eval", "--resume=last", cwd=tmp_path)
    (after,) = evals_in(tmp_path / "results")
    assert (before["status"], after["status"]) == ("interrupted", "complete")
    assert before["run_id"] == after["run_id"]
    assert len(before["results"]["items"]) == 5
    found = before["results"]
    assert found["by_state"] == {"scored": finished, "unfinished": 15 - finished}
    assert (found["n_total"], found["cost"]["calls"]) == (15, finished)
    (gate,) = found["gates"]
    assert gate["verdict"] == "undecided"
    assert gate["reason"] == f"the run was cut: {15 - finished} of 15 verdicts missing"
    assert after["results"]["n_scored"] == 15


def test_comparison_that_was_cut_keeps_its_finished_pairs_with_the_answers_they_are_of(
    tmp_path: Path,
) -> None:
    chosen = f"--set={eval_set(tmp_path, *(question(name) for name in NAMES))}"
    assessor = Assessor(stop_at=4, opinion=lambda *_: preference("tie"))
    pupils = Pupils(by_model={"rival": dict.fromkeys(NAMES, "another answer")})
    with ScriptedServer(pupils) as model, ScriptedServer(assessor) as judge:
        more = ("--judge-concurrency=1", "--pairwise", "--compare-to=rival")
        args = ("tiny", f"--host={model.host}", chosen, f"--judge=ollama:judge@{judge.host}")
        running = begin(tmp_path, *args, *more)
        assert assessor.stopped.wait(60)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 2
    _, cut = evals_in(tmp_path / "results")
    found = cut["results"]
    assert found["by_state"] == {"scored": 1, "unfinished": 4}
    assert found["cost"]["calls"] == 3
    assert found["pairwise"]["length_delta"]["value"] == len("no idea") - len("another answer")


def test_judgments_that_failed_on_the_way_are_tried_again(tmp_path: Path) -> None:
    chosen = eval_set(tmp_path, question("red"), question("blue"))
    broken: list[bool] = [True]

    def opinion(prompt: str, criterion: str) -> Any:
        if broken[0] and "blue" in prompt:
            return [sized(400, {"error": "out of order"})]
        if broken[0] and criterion == "coherence":
            assessor.stopped.set()
            return [Pause(30.0)]
        return verdict(3)

    assessor = Assessor(opinion=opinion)
    with ScriptedServer(Pupil()) as model, ScriptedServer(assessor) as judge:
        spec = f"--judge=ollama:judge@{judge.host}"
        args = ("tiny", f"--host={model.host}", f"--set={chosen}", spec, "--judge-concurrency=9")
        running = begin(tmp_path, *args)
        assert assessor.stopped.wait(60)
        running.send_signal(signal.SIGKILL)
        running.wait(60)
        broken[0], assessor.calls = False, []
        run_cli("eval", "--resume=last", "--max-unscored=0.1", cwd=tmp_path)
    assert {c for c in assessor.calls if "blue" in c[0]} >= {
        ("What is blue?", criterion) for criterion in CRITERIA
    }
    (document,) = evals_in(tmp_path / "results")
    assert document["results"]["by_state"] == {"scored": 6}


def test_answer_that_is_asked_for_again_is_marked_again(tmp_path: Path) -> None:
    asked = [question(name, allow_web_search=name == "red") for name in ("red", "blue")]
    assessor, searx = Assessor(stop_at=1), [sized(500, "broken")]
    with (
        ScriptedServer(Pupil()) as model,
        ScriptedServer(assessor) as judge,
        ScriptedServer(lambda _: searx) as search,
    ):
        args = [f"--host={model.host}", f"--set={eval_set(tmp_path, *asked)}", "--with-web-search"]
        args += ["--search=searxng", f"--judge=ollama:judge@{judge.host}"]
        running = begin(tmp_path, "tiny", *args, SEARXNG_URL=search.host)
        assert assessor.stopped.wait(60)
        running.send_signal(signal.SIGINT)
        running.wait(60)
        (before,) = evals_in(tmp_path / "results")
        assessor.stop_at, searx[0] = 0, sized(200, {"results": []})
        run_cli("eval", "--resume=last", cwd=tmp_path, SEARXNG_URL=search.host)
    assert before["results"]["by_state"] == {"skipped_sut_error": 3, "unfinished": 3}
    (document,) = evals_in(tmp_path / "results")
    assert document["results"]["by_state"] == {"scored": 6}


def test_eval_is_not_continued_with_a_set_or_examples_that_changed(tmp_path: Path) -> None:
    chosen = eval_set(tmp_path, question("red"), question("blue"))
    shown = f"--examples={eval_set(tmp_path, question('green'), name='dev')}"
    assessor = Assessor(stop_at=2)
    with ScriptedServer(Pupil()) as model, ScriptedServer(assessor) as judge:
        spec = f"--judge=ollama:judge@{judge.host}"
        asked = (f"--set={chosen}", "--few-shot=1", shown)
        running = begin(tmp_path, "tiny", f"--host={model.host}", *asked, spec)
        assert assessor.stopped.wait(60)
        running.send_signal(signal.SIGKILL)
        running.wait(60)
        eval_set(tmp_path, question("grey"), name="dev")
        first = run_cli("eval", "--resume=last", cwd=tmp_path, check=4)
        eval_set(tmp_path, question("red"), question("yellow"))
        second = run_cli("eval", "--resume=last", cwd=tmp_path, check=4)
    assert "--resume: the examples were" in first.stderr
    assert "--resume: the eval set was" in second.stderr


@pytest.mark.parametrize("again", [False, True])
def test_judging_that_its_budget_stopped_goes_on_with_a_higher_one(
    tmp_path: Path, *, again: bool
) -> None:
    chosen = eval_set(tmp_path, *(question(name) for name in NAMES))
    assessor, pupil = Assessor(), Pupil()
    with ScriptedServer(pupil) as model, ScriptedServer(assessor) as judge:
        first: tuple[str, ...] = ("eval", "tiny", f"--host={model.host}", f"--set={chosen}")
        limits = (f"--judge=ollama:judge@{judge.host}", "--max-judge-calls=4")
        if again:
            run_cli(*first, cwd=tmp_path)
            (path,) = (tmp_path / "results" / "evals").iterdir()
            first = ("rejudge", path.stem)
        run_cli(*first, *limits, cwd=tmp_path, check=1)
        before = evals_in(tmp_path / "results")[-1]
        said = run_cli("eval", "--resume=last", "--seed=3", cwd=tmp_path, check=4)
        run_cli("eval", "--resume=last", "--max-judge-calls=15", cwd=tmp_path)
    after = evals_in(tmp_path / "results")[-1]
    assert (before["status"], after["status"]) == ("complete", "complete")
    assert before["results"]["by_state"] == {"scored": 4, "budget": 11}
    assert "--seed 3 differs from the run's own" in said.stderr
    assert before["run_id"] == after["run_id"]
    assert after["results"]["by_state"] == {"scored": 15}
    assert after["config"] == {**before["config"], "max_judge_calls": 15}
    assert sorted(assessor.calls) == sorted(ASKED)
    assert len(pupil.asked) == len(NAMES)
    assert not (tmp_path / "results" / ".journal").exists()


def test_what_was_spent_before_counts_when_an_eval_goes_on(tmp_path: Path) -> None:
    chosen = eval_set(tmp_path, *(question(name) for name in NAMES))
    assessor = Assessor(stop_at=6)
    with ScriptedServer(Pupil()) as model, ScriptedServer(assessor) as judge:
        spec = f"--judge=ollama:judge@{judge.host}"
        limits = ("--judge-concurrency=1", "--max-judge-calls=9")
        args = ("tiny", f"--host={model.host}", f"--set={chosen}", spec, *limits)
        running = begin(tmp_path, *args)
        assert assessor.stopped.wait(60)
        running.send_signal(signal.SIGKILL)
        running.wait(60)
        assessor.stop_at = 0
        run_cli("eval", "--resume=last", cwd=tmp_path, check=1)
    (document,) = evals_in(tmp_path / "results")
    assert document["results"]["by_state"] == {"scored": 9, "budget": 6}
