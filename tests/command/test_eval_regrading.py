"""`llamaburn eval --answers`: the answers of a file are marked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.command_line import run_cli
from support.eval_rooms import ANSWERS, items_by_id, room
from support.eval_servers import (
    Assessor,
    Pupil,
    verdict,
)
from support.scripted import ScriptedServer

if TYPE_CHECKING:
    from pathlib import Path


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
    pairs = zip(items_by_id(first).values(), items_by_id(second).values(), strict=True)
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
    assert (len(items_by_id(limited)), limited["results"]["n_total"]) == (1, 3)
    assert (limited["config"]["limit"], limited["status"]) == (1, "complete")
    assert (len(items_by_id(whole)), whole["config"]["limit"]) == (3, None)
    assert "3 calls for the 1 question" in again.stdout


def test_answers_of_a_file_are_not_marked_by_another_set(tmp_path: Path) -> None:
    done = run_cli("rejudge", "any", "--set=math", cwd=tmp_path, check=4)
    assert done.stderr == (
        "llamaburn: rejudge: --set is refused: the questions come from the file\n"
    )
