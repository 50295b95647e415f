"""`llamaburn eval` refuses what cannot be meant before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import run_cli
from support.eval_rooms import ANSWERS, items_by_id, room
from support.eval_servers import (
    Assessor,
    Pupil,
    Pupils,
)
from support.judge_servers import OpenAI, judge_server

if TYPE_CHECKING:
    from pathlib import Path

    from support.scripted import Steps


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
    assert "OPENAI_API_KEY is not a valid key" in done.stderr
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
    assert "has no model 'x'" in absent
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
    assert done.stderr.count("has no model 'judge:latest'") == 1
    (document,) = where.files
    assert document["status"] == "partial"
    assert len(items_by_id(document)) == 3
    assert document["results"]["by_state"] == {"unfinished": 9}
