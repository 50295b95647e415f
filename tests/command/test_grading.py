"""Criteria of one's own, grades, and answers held against evidence, as users of the command do."""

from __future__ import annotations

import csv
import io
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import run_cli
from support.eval_servers import (
    Assessor,
    Opinion,
    Pupil,
    block,
    claims,
    evals_in,
    grade,
    question,
    verdict,
)
from support.scripted import ScriptedServer

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

POLITE = {"name": "politeness", "description": "it stays polite, also where it declines"}
ANSWERS = {
    "red": "It is right red, sir.",
    "blue": "Blue is right, and it is 9 years old.",
    "green": "I do not know.",
    "grey": "Grey is a bird.",
}
QUESTIONS = (
    question("red", category="warm", criteria=["politeness", "grade"]),
    question(
        "blue",
        criteria=["grade", "faithfulness", "context_recall"],
        context=["Blue is right.", "It was made in 1990."],
    ),
    question("green", criteria=["grade", "faithfulness"]),
    question("grey", criteria=["grade"]),
)


def opinion(prompt: str, criterion: str) -> Opinion:
    """Judge as told; a claim of an age is said to be supported by words that stand nowhere."""
    answer = block(prompt, "ANSWER")
    if criterion == "politeness":
        return verdict(5 if "sir" in answer else 2)
    if criterion == "wit":
        return grade("yes" if "bird" in answer else "no")
    if criterion == "grade":
        known = {"right": "correct", "know": "not_attempted"}
        return grade(next((g for word, g in known.items() if word in answer), "incorrect"))
    if criterion == "faithfulness":
        return claims(
            ("Blue is right.", "blue is RIGHT", True), ("It is 9.", "It is 9 years old", True)
        )
    if criterion == "context_recall":
        return claims(("It is right blue.", "Blue … 1990", True))
    return verdict(3)


WITTY = "--threshold=wit>20%"


class Room:
    """A directory with a set, a model and a judge."""

    def __init__(self, cwd: Path, pupil: ScriptedServer, judge: ScriptedServer) -> None:
        self.cwd, self.pupil = cwd, pupil
        self.judge = f"--judge=ollama:judge:latest@{judge.host}"

    def __call__(self, *args: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return run_cli(*args, self.judge, cwd=self.cwd, **more)

    def eval(self, *args: str, **more: Any) -> subprocess.CompletedProcess[str]:
        chosen = () if any(a.startswith("--set") for a in args) else ("--set=mine.json",)
        return self("eval", "tiny", f"--host={self.pupil.host}", *chosen, *args, **more)

    @property
    def files(self) -> list[dict[str, Any]]:
        return sorted(evals_in(self.cwd / "results"), key=lambda found: found["timestamp"])


@pytest.fixture
def assessor() -> Assessor:
    return Assessor(opinion=opinion)


@pytest.fixture
def pupil() -> Pupil:
    return Pupil(answers=ANSWERS)


@pytest.fixture
def room(tmp_path: Path, assessor: Assessor, pupil: Pupil) -> Iterator[Room]:
    write(tmp_path, POLITE)
    with ExitStack() as stack:
        servers = [stack.enter_context(ScriptedServer(one)) for one in (pupil, assessor)]
        yield Room(tmp_path, *servers)


def write(directory: Path, *own: dict[str, Any], questions: Any = QUESTIONS) -> None:
    content = {"name": "mine", "criteria": [*own], "questions": [*questions]}
    (directory / "mine.json").write_text(json.dumps(content))


def test_set_has_criteria_of_its_own_grades_and_claims(
    room: Room, assessor: Assessor, pupil: Pupil
) -> None:
    gates = ("politeness.mean>=4", "f_score>0.5", "faithfulness.mean>0.9", "not_attempted<50%")
    done = room.eval(*(f"--threshold={gate}" for gate in gates), "--gate-mode=point", check=1)
    (document,) = room.files
    assert results.check(document) is None
    found = document["results"]
    items = {item["question"]["id"]: item for item in found["items"]}
    assert found["criteria"]["politeness"]["mean"] == 5
    assert found["criteria"]["politeness"]["unit"] == "1 to 5"
    assert items["red"]["question"]["definitions"][0]["description"] == POLITE["description"]
    assert {name: item["scores"]["grade"]["verdict"] for name, item in items.items()} == {
        "red": "correct",
        "blue": "correct",
        "green": "not_attempted",
        "grey": "incorrect",
    }
    grades = {name: one["mean"] for name, one in found["grades"].items()}
    assert grades == {
        "graded_correct": 0.5,
        "graded_incorrect": 0.25,
        "not_attempted": 0.25,
        "correct_given_attempted": pytest.approx(2 / 3),
        "f_score": pytest.approx(4 / 7),
    }
    # The documents were given to the model, and the quote that stands in none does not support.
    sent = next(call for call in pupil.asked if "blue" in call["messages"][-1]["content"])
    assert "It was made in 1990." in sent["messages"][-1]["content"]
    (judged,) = items["blue"]["scores"]["faithfulness"]["judgments"]
    assert [(c["supported"], c["found"]) for c in judged["claims"]] == [(True, True), (True, False)]
    assert found["criteria"]["faithfulness"]["mean"] == 0.5
    assert found["criteria"]["context_recall"]["mean"] == 1
    # Where there is no evidence there is no share, and a reason.
    without = items["green"]["scores"]["faithfulness"]
    assert (without["score"], without["state"]) == (None, "not_applicable")
    assert without["judgments"][0]["error"]["words"] == "there is no evidence"
    assert (found["n_total"], found["n_scored"]) == (7, 7)
    assert len(assessor.calls) == 7
    assert [gate["verdict"] for gate in found["gates"]] == ["pass", "pass", "fail", "pass", "pass"]
    assert "faithfulness: does not apply to 1 of 2 answers: there is no evidence" in done.stdout
    things = found["by_category"]["things"]
    assert (things["f_score"]["mean"], things["faithfulness"]["mean"]) == (pytest.approx(0.4), 0.5)
    listed = run_cli("results", "list", "evals", cwd=room.cwd).stdout
    assert "graded_correct 0.500, f_score 0.571" in listed
    shown = run_cli("results", "show", document["run_id"], cwd=room.cwd).stdout
    assert "source [2]: It was made in 1990." in shown
    assert "    supported: Blue is right.\n      quotes: blue is RIGHT" in shown
    assert (
        "unsupported: It is 9.\n      quotes a text that is not in the evidence: It is 9 years"
        in shown
    )
    assert "grade: not_attempted (scored)" in shown


def test_command_line_chooses_and_defines_criteria(room: Room) -> None:
    kind = "--criterion=politeness=it greets, thanks and does not command"
    room.eval(kind, "--criteria=accuracy")
    room.eval("--criteria=politeness,accuracy", "--criterion=wit=yes/no: is it funny?", WITTY)
    first, second = room.files
    asked = [[*item["scores"]] for item in first["results"]["items"]]
    assert asked == [["accuracy", "politeness"]] * 4
    (definition,) = first["results"]["items"][0]["question"]["definitions"]
    assert definition["description"] == "it greets, thanks and does not command"
    criteria = second["results"]["criteria"]
    assert set(criteria) == {"accuracy", "politeness", "wit"}
    assert (criteria["wit"]["unit"], criteria["wit"]["mean"]) == ("share", 0.25)
    assert [gate["verdict"] for gate in second["results"]["gates"]] == ["pass", "pass"]
    shown = run_cli("results", "show", second["run_id"], cwd=room.cwd).stdout
    assert "wit: yes (scored)\n" in shown
    assert "wit: no (scored)\n" in shown


def test_criterion_in_other_words_is_another_one(room: Room) -> None:
    room.eval("--criteria=politeness,accuracy")
    (first,) = room.files
    other = "--criterion=politeness=it says please"
    room("rejudge", first["run_id"], "--criteria=accuracy,grade", other)
    again = room.files[-1]
    assert again["results"]["criteria"]["politeness"]["n_total"] == 4
    assert again["results"]["grades"]["f_score"]["n_total"] == 4
    told = run_cli("compare", first["run_id"], again["run_id"], cwd=room.cwd).stdout
    assert "the definition of politeness differs from that of the baseline: it is not" in told
    (compared,) = (room.cwd / "results" / "eval_comparisons").glob("*.json")
    marks = {d["mark"] for d in json.loads(compared.read_text())["results"]["differences"]}
    assert marks == {"accuracy", *again["results"]["grades"]}


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--criteria=acuracy", "--criteria: unknown criterion 'acuracy'; did you mean 'accuracy'?"),
        ("--criterion=Politeness=kind", "--criterion: 'Politeness' is refused: a name has lower"),
        ("--criterion=accuracy=kind", "--criterion: 'accuracy' is refused: it is built in"),
        ("--criterion=win_rate=kind", "--criterion: 'win_rate' is refused: a measure already"),
        ("--criterion=politeness", "--criterion: 'politeness' is refused: write NAME=DESCRIPTION"),
        ("--threshold=polite.mean>4", "unknown metric 'polite'; did you mean 'politeness'?"),
    ],
)
def test_criterion_that_cannot_be_is_refused(room: Room, argument: str, words: str) -> None:
    done = room.eval(argument, check=4)
    assert words in done.stderr + done.stdout
    assert room.files == []


def test_answer_is_held_against_what_a_search_found(room: Room, assessor: Assessor) -> None:
    corpus = room.cwd / "corpus"
    corpus.mkdir()
    (corpus / "red.md").write_text("Red is right red, says the atlas.")
    asked = question("red", allow_web_search=True, criteria=["faithfulness"], context=["Note."])
    write(room.cwd, questions=[asked])
    seen = []

    def look(prompt: str, _: str) -> Opinion:
        seen.append(block(prompt, "EVIDENCE"))
        return claims(("Red is right.", "Red is right red", True))

    assessor.opinion = look
    searching = ("--with-web-search", f"--corpus={corpus}")
    assert "1 call for" in room.eval(*searching, "--dry-run").stdout
    room.eval(*searching)
    (document,) = room.files
    assert document["results"]["criteria"]["faithfulness"]["mean"] == 1
    (evidence,) = seen
    assert evidence.startswith("[1] ")
    assert "Red is right red, says the atlas." in evidence
    assert evidence.endswith("[2] document 1\nNote.")


def test_dry_run_counts_every_call(room: Room, assessor: Assessor) -> None:
    told = room.eval("--dry-run").stdout
    assert "7 calls for the 4 questions of mine" in told
    more = room.eval("--dry-run", "--criterion=wit=it is funny").stdout
    assert "11 calls for the 4 questions of mine" in more
    room.eval()
    again = room("rejudge", room.files[0]["run_id"], "--dry-run").stdout
    assert "7 calls for the 4 questions of mine" in again
    assert len(assessor.calls) == 7


def test_grade_that_cannot_be_read_is_unscored_and_never_not_attempted(
    room: Room, assessor: Assessor
) -> None:
    assessor.opinion = lambda *_: grade("NOT ATTEMPTED, I think")
    done = room.eval("--criteria=grade", "--output=csv", check=1)
    (document,) = room.files
    found = document["results"]["grades"]
    assert {name: one["mean"] for name, one in found.items()} == dict.fromkeys(found)
    assert found["not_attempted"]["by_state"] == {"parse_error": 4}
    assert found["not_attempted"]["reason"] == "no answer was graded"
    assert found["f_score"]["bounds"] == {"missing_at_0": 0, "missing_at_1": 1}
    (row, *_) = csv.DictReader(io.StringIO(done.stdout))
    assert (row["grade"], row["grade_state"]) == ("", "parse_error")


def test_run_that_was_cut_goes_on_with_the_verdicts_it_has(room: Room, assessor: Assessor) -> None:
    room.eval("--max-judge-calls=4", check=None)
    assert len(assessor.calls) == 4
    room.eval("--resume=last", "--max-judge-calls=99", check=None)
    assert len(assessor.calls) == 7
    assert len(set(assessor.calls)) == 7
    assert room.files[-1]["results"]["n_scored"] == 7
