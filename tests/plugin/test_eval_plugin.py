"""Evals and judges from a test's side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.eval_servers import Assessor, Pupil, Pupils, eval_set, evals_in, preference, question
from support.scripted import ScriptedServer, sized

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITE = Path(__file__).parents[2] / "suites" / "eval"
QUIET = ("-p", "no:cacheprovider")
JUDGED = """
    def test_capital(judge):
        opinion = judge("What is red?", "right red", reference="right red")
        assert opinion.score >= 4
        assert opinion.reasoning == "worth 5"
        assert opinion.evidence == ("a quote",)
"""


@pytest.fixture
def pupil() -> Iterator[ScriptedServer]:
    with ScriptedServer(Pupil(answers={"red": "right red"})) as running:
        yield running


@pytest.fixture
def assessor() -> Iterator[ScriptedServer]:
    with ScriptedServer(Assessor()) as running:
        yield running


def judged_by(server: ScriptedServer) -> str:
    return f"--llamaburn-judge=ollama:judge@{server.host}"


def on(server: ScriptedServer) -> tuple[str, str]:
    return f"--llamaburn-host={server.host}", "--llamaburn-model=tiny"


def chosen(pytester: pytest.Pytester, *names: str) -> str:
    asked = (question(name, scorer="includes") for name in names)
    return f"--llamaburn-eval-set={eval_set(pytester.path, *asked)}"


def test_suite_answers_all_before_it_marks_all(
    pytester: pytest.Pytester, pupil: ScriptedServer
) -> None:
    options = (*on(pupil), chosen(pytester, "red", "blue"))
    result = pytester.runpytest_inprocess(*QUIET, "-v", str(SUITE), *options)
    result.assert_outcomes(passed=4)
    order = [line.partition("::")[2].partition("[")[0] for line in result.outlines if "::" in line]
    assert order == ["test_answer"] * 2 + ["test_scores"] * 2
    result.stdout.fnmatch_lines(["tiny:latest* on small", "correct*share*0.500*"])
    (document,) = evals_in(pytester.path / "results")
    assert document["results"]["correct"]["right"] == 1


def test_exams_of_several_models_follow_one_another(
    pytester: pytest.Pytester, pupil: ScriptedServer
) -> None:
    options = (*on(pupil), "--llamaburn-model=other", chosen(pytester, "red", "blue"))
    collected = pytester.runpytest_inprocess(
        *QUIET, "--collect-only", "-q", str(SUITE), *options
    ).outlines
    ids = [line.partition("[")[2] for line in collected if "[" in line]
    assert [one.partition("-")[0] for one in ids] == ["tiny"] * 4 + ["other"] * 4


def test_marker_holds_thresholds_against_one_question(
    pytester: pytest.Pytester, pupil: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.llm_eval(thresholds=["correct.mean>=1"])
        def test_mine(llm_answer, llm_scores, llm_question):
            llm_answer(llm_question)
            llm_scores(llm_question)
        """
    )
    options = (*on(pupil), chosen(pytester, "red", "blue"))
    result = pytester.runpytest_inprocess(*QUIET, *options)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*correct.mean>=1: fail: 0*"])
    (document,) = evals_in(pytester.path / "results")
    assert [g["verdict"] for g in document["results"]["gates"]] == ["pass", "fail"]


def test_a_test_may_only_look_at_the_model_of_an_eval(
    pytester: pytest.Pytester, pupil: ScriptedServer
) -> None:
    pytester.makepyfile("def test_mine(llm_eval): assert llm_eval.model.id")
    options = (*on(pupil), chosen(pytester, "red", "blue"))
    pytester.runpytest_inprocess(*QUIET, *options).assert_outcomes(passed=1)
    assert not evals_in(pytester.path / "results")


def test_marks_without_an_answer_are_refused(
    pytester: pytest.Pytester, pupil: ScriptedServer
) -> None:
    options = (*on(pupil), chosen(pytester, "red"), "-k", "test_scores")
    result = pytester.runpytest_inprocess(*QUIET, str(SUITE), *options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*question 'red' was not answered: run its answers too*"])


def test_evals_refuse_to_be_spread_over_processes(
    pytester: pytest.Pytester, pupil: ScriptedServer
) -> None:
    options = (*on(pupil), chosen(pytester, "red"), "-n2")
    result = pytester.runpytest_subprocess(*QUIET, str(SUITE), *options)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["*an eval runs in one process: leave out -n*"])


def test_set_that_is_not_there_breaks_only_its_own_tests(
    pytester: pytest.Pytester, pupil: ScriptedServer
) -> None:
    pytester.makepyfile("def test_mine():\n    pass")
    options = (*on(pupil), "--llamaburn-eval-set=nowhere")
    result = pytester.runpytest_inprocess(*QUIET, str(SUITE), str(pytester.path), *options)
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*unknown eval set 'nowhere'*"])


def test_dry_run_is_refused_where_it_would_ask(
    pytester: pytest.Pytester, pupil: ScriptedServer
) -> None:
    options = (*on(pupil), chosen(pytester, "red"), "--llamaburn-dry-run")
    result = pytester.runpytest_inprocess(*QUIET, str(SUITE), *options)
    result.stdout.fnmatch_lines(["*--dry-run is refused in pytest*"])
    assert pupil.requests == []


def test_judge_scores_a_tests_own_answer(
    pytester: pytest.Pytester, assessor: ScriptedServer
) -> None:
    pytester.makepyfile(JUDGED)
    pytester.runpytest_inprocess(*QUIET, judged_by(assessor)).assert_outcomes(passed=1)


def test_judge_without_its_key_skips_the_test_and_says_why(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    pytester.makepyfile(JUDGED)
    result = pytester.runpytest_inprocess(*QUIET, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no key: set the environment variable ANTHROPIC_API_KEY*"])


def test_answer_that_is_not_judged_never_passes(pytester: pytest.Pytester) -> None:
    def silent(*_: str) -> Any:
        return [sized(400, {"error": "out of order"})]

    pytester.makepyfile("def test_mine(judge):\n    judge('Why?', 'Because.')")
    with ScriptedServer(Assessor(opinion=silent)) as broken:
        result = pytester.runpytest_inprocess(*QUIET, judged_by(broken))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the answer was not judged: api_error: *out of order*"])


def test_judge_is_asked_in_a_test_that_has_a_loop_of_its_own(
    pytester: pytest.Pytester, assessor: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        import asyncio

        def test_mine(judge):
            async def ask():
                return judge("What is red?", "wrong", criterion="coherence", rubric="Be kind.")

            assert asyncio.run(ask()).score == 2
        """
    )
    pytester.runpytest_inprocess(*QUIET, judged_by(assessor)).assert_outcomes(passed=1)


def test_comparison_runs_as_a_suite_with_the_other_model_first(pytester: pytest.Pytester) -> None:
    answers = Pupils(by_model={"tiny": {"red": "right red"}, "rival": {"red": "wrong"}})
    pairs = ("--llamaburn-pairwise", "--llamaburn-compare-to=rival")
    kind = Assessor(opinion=lambda *_: preference("tie"))
    with ScriptedServer(answers) as model, ScriptedServer(kind) as judge:
        options = (*on(model), chosen(pytester, "red"), judged_by(judge), *pairs)
        pytester.runpytest_inprocess(*QUIET, str(SUITE), *options).assert_outcomes(passed=4)
    documents = evals_in(pytester.path / "results")
    assert [d["results"]["pairwise"] and d["results"]["pairwise"]["ties"] for d in documents] == [
        None,
        1,
    ]
