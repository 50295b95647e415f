"""Evals in comparisons, tables and exports."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from typing import TYPE_CHECKING, Any

from support.command_line import run_cli
from support.eval_rooms import ANSWERS, CRASH, items_by_id, question_ids, room, shown_results
from support.eval_servers import (
    Assessor,
    Pupil,
    eval_set,
    question,
    reply,
)
from support.scripted import sized

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path


def test_evals_are_compared_by_question(tmp_path: Path, small: str) -> None:
    with room(tmp_path, Pupil(answers=ANSWERS)) as where:
        where.eval(small, where.judge)
        better = {name: f"right {name}" for name in ANSWERS}
        where.pupil._script.answers = better  # type: ignore[attr-defined]
        where.eval(small, where.judge, "--seed=5")
        done = run_cli("compare", *question_ids(tmp_path), cwd=tmp_path)
        data = run_cli("compare", *question_ids(tmp_path), "-o", "csv", cwd=tmp_path).stdout
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
        done = run_cli("compare", *question_ids(tmp_path), str(benchmark), cwd=tmp_path, check=4)
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
    (name,) = question_ids(tmp_path)
    red = items_by_id(where.files[0])["red"]
    assert {score["score"] for score in red["scores"].values()} == {4.0}
    (judgment,) = red["scores"]["coherence"]["judgments"]
    assert judgment["evidence"] == ["a \N{REPLACEMENT CHARACTER} quote"]
    assert "because \N{REPLACEMENT CHARACTER}" in shown_results(name, "csv", tmp_path)
    assert "Traceback" not in done.stderr


def test_shown_result_has_each_question_answer_and_mark_with_its_reasons(
    tmp_path: Path, small: str
) -> None:
    odd = {**ANSWERS, "red": "= right red, \x1b[31m\nsecond line"}
    with room(tmp_path, Pupil(answers={**odd, "love": CRASH})) as where:
        where.eval(small, where.judge)
    (name,) = question_ids(tmp_path)
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
    rows = list(csv.DictReader(io.StringIO(shown_results(name, "csv", tmp_path))))
    assert [row["accuracy"] for row in rows] == ["5.0", "2.0", "1.0"]
    assert rows[0]["answer"].startswith("'= right")
    assert json.loads(shown_results(name, "jsonl", tmp_path).splitlines()[0])["correct"] is True
    assert "| accuracy | 1 to 5 |" in shown_results(name, "markdown", tmp_path)
    assert "<td" in shown_results(name, "html", tmp_path)
    refused = run_cli("results", "show", name, "-o", "benchstat", cwd=tmp_path, check=4)
    assert "benchstat compares speeds" in refused.stderr


def test_words_of_a_set_cannot_steer_a_terminal(tmp_path: Path) -> None:
    odd = question("q\x1b[5m", prompt="What is red?", category="c\x1b[2Jat", scorer="includes")
    chosen = eval_set(tmp_path, odd, name="na\x1b[31mme")
    with room(tmp_path, Pupil(answers={"red": "\x9b31m \x1b]0;title\x07"})) as where:
        done = where.eval(f"--set={chosen}")
    (name,) = question_ids(tmp_path)
    told = run_cli("results", "show", name, cwd=tmp_path).stdout
    told += "".join(shown_results(name, output, tmp_path) for output in ("markdown", "csv", "html"))
    told += done.stdout + done.stderr
    assert {c for c in told if unicodedata.category(c) == "Cc"} == {"\n"}
    assert "c [2Jat" in told
