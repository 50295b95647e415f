"""`llamaburn eval --web-search`: questions are answered with evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.command_line import run_cli
from support.eval_rooms import items_by_id, question_ids, room
from support.eval_servers import (
    Pupil,
    eval_set,
    question,
)
from support.scripted import ScriptedServer, sized

if TYPE_CHECKING:
    from pathlib import Path


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
        compared = run_cli("compare", *question_ids(tmp_path)[::2], cwd=tmp_path).stdout
    first, second, third = where.files
    moss = items_by_id(first)["moss"]
    assert moss["search"]["hits"][0]["url"] == "a.txt"
    assert (moss["reference_found"], moss["cited"], moss["correct"]) == (True, [1], True)
    assert items_by_id(first)["snow"]["search"] is None
    assert items_by_id(second)["moss"]["search"]["replayed"] is True
    assert first["results"]["evidence"]["reference_found"] == {"n": 1, "share": 1.0}
    assert third["results"]["evidence"] is None
    assert "1 question with evidence from corpus" in done.stdout
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
        without = where.eval(chosen[0], f"--corpus={corpus}", "--progress=plain")
        (first, *_) = sorted((tmp_path / "results" / "evals").iterdir())
        again = where.eval(f"--rescore={first}", "--with-web-search", "--progress=plain")
    shown = "".join(
        run_cli("results", "show", i, cwd=tmp_path).stdout for i in question_ids(tmp_path)
    )
    assert "source [1], cited: " in shown
    assert "<moss.md>" in shown
    assert "source: none: corpus found nothing" in shown
    assert shown.count("source") == 2
    assert "other.json allows a search: they are asked without one" in done.stderr
    assert "--corpus is not used: add --with-web-search" in without.stderr
    assert "--with-web-search is not used: --rescore asks no model" in again.stderr


def test_search_that_fails_is_no_mark_for_the_model_and_says_why(tmp_path: Path) -> None:
    asked = (question("moss", allow_web_search=True, scorer="includes"), question("snow"))
    searching = (f"--set={eval_set(tmp_path, *asked)}", "--with-web-search", "--search=searxng")
    with room(tmp_path, Pupil()) as where, ScriptedServer([sized(500, "broken")]) as searx:
        done = where.eval(*searching, where.judge, check=1, SEARXNG_URL=searx.host)
    assert f"search_failed × 1: search with searxng at {searx.host} failed: HTTP 500" in done.stdout
    moss, snow = items_by_id(where.files[0]).values()
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
    (pair,) = items_by_id(where.files[1])["moss"]["comparisons"]
    assert (pair["verdict"], pair["state"]) == (None, "skipped_sut_error")
