"""A user's test measures: what is planned, sent and kept in the file."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.plugin_sessions import BROKEN, SUITES, USER_TEST, benchmark_session, result_files
from support.scripted import (
    OllamaFacade,
    Request,
    ScriptedServer,
    Steps,
    ollama_stream,
)


def test_users_test_measures_and_leaves_a_result_file(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(USER_TEST)
    benchmark_session(pytester, server).assert_outcomes(passed=1)
    (document,) = result_files(pytester)
    assert document["status"] == "complete"
    assert [r["prompt_id"] for r in document["results"]["runs"]] == ["test_answers_quickly"] * 3
    assert not (pytester.path / "results" / ".journal").exists()


def test_table_stands_in_the_terminal_summary(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(USER_TEST)
    result = benchmark_session(pytester, server)
    result.stdout.fnmatch_lines(["tiny:latest (Q4_1*", "*time to first token*ms*"])


def test_suite_spreads_iterations_over_prompts(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-iterations=7").assert_outcomes(
        passed=7
    )
    (document,) = result_files(pytester)
    assert document["results"]["prompts"] == {"sets": ["default"], "available": 24, "used": 7}


def test_more_iterations_than_prompts_repeat_prompts_evenly(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-iterations=30").assert_outcomes(
        passed=24
    )
    (document,) = result_files(pytester)
    ids = [run["prompt_id"] for run in document["results"]["runs"]]
    assert len(ids) == 30
    assert {ids.count(one) for one in ids} == {1, 2}


def test_order_of_prompts_follows_the_seed(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    def order(seed: int) -> list[str]:
        collect = ("--collect-only", "-q", f"--llamaburn-seed={seed}", "--llamaburn-iterations=24")
        lines = benchmark_session(pytester, server, str(SUITES), *collect).outlines
        return [line.rpartition("[")[2] for line in lines if "[" in line]

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == sorted(order(2))


def test_workers_that_each_measure_less_than_expected_complete_the_plan(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("n", range(4))
        def test_one(n, measure):
            measure(f"x{n}", iterations=2)
        """
    )
    benchmark_session(pytester, server, "-n2").assert_outcomes(passed=4)
    (document,) = result_files(pytester)
    assert document["status"] == "complete"
    assert document["results"]["totals"]["planned"] == 8


def test_workers_of_one_session_share_one_file_and_never_overlap(
    pytester: pytest.Pytester,
) -> None:
    facade = OllamaFacade(token_s=0.02)
    args = (str(SUITES), "-n2", "--llamaburn-iterations=6", "--llamaburn-warmup=0")
    with ScriptedServer(facade) as slow:
        benchmark_session(pytester, slow, *args).assert_outcomes(passed=6)
        stamps = sorted(
            (sent[0], sent[-1])
            for request, sent in zip(slow.requests, slow.sent_ns, strict=True)
            if b'"messages": [{' in request
        )
    assert len(stamps) == 6
    assert all(before[1] <= after[0] for before, after in pairwise(stamps))
    (document,) = result_files(pytester)
    assert document["status"] == "complete"
    assert document["results"]["totals"]["requests"] == 6


def test_two_models_give_two_files_of_one_session(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    result = benchmark_session(
        pytester, server, str(SUITES), "--llamaburn-model=tiny", "--llamaburn-iterations=2"
    )
    result.assert_outcomes(passed=4)
    first, second = result_files(pytester)
    assert first["session_id"] == second["session_id"]
    assert first["run_id"] != second["run_id"]


def test_repeats_are_runs_of_their_own_in_one_file(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(
        pytester, server, str(SUITES), "--llamaburn-repeats=2", "--llamaburn-iterations=3"
    )
    (document,) = result_files(pytester)
    assert document["status"] == "complete"
    assert [r["repeat"] for r in document["results"]["runs"]] == [0, 0, 0, 1, 1, 1]


def test_failed_requests_do_not_fail_the_session(pytester: pytest.Pytester) -> None:
    with ScriptedServer(OllamaFacade(faults={3: BROKEN})) as server:
        result = benchmark_session(pytester, server, str(SUITES))
    assert result.ret == 0
    (document,) = result_files(pytester)
    assert document["results"]["errors"] == {"server_error": 1}
    assert document["results"]["totals"]["failed"] == 1
    assert document["results"]["summary"]["time_to_first_token_ms"]["n"] == 4


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_items_that_are_skipped_or_only_look_at_the_model_leave_a_complete_file(
    workers: str, pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_one(measure):
            measure("Hi?", iterations=1)

        def test_two(measure):
            pytest.skip("not today")

        @pytest.mark.skip
        def test_three(measure):
            measure("Hi?", iterations=1)

        def test_four(measure):
            measure("Hi?", iterations=1)
            pytest.skip("seen enough")

        def test_five(llm):
            assert llm.model.id == "tiny:latest"
        """
    )
    benchmark_session(pytester, server, workers).assert_outcomes(passed=2, skipped=3)
    (document,) = result_files(pytester)
    assert document["status"] == "complete"
    assert document["results"]["totals"]["planned"] == 2


class LongCold(OllamaFacade):
    """An Ollama whose first answer after an unload has ten tokens instead of four.

    A count tells cold requests from warm ones on any machine, however busy; a time may not.
    """

    was_cold = False

    def _chat(self, whole: Steps) -> Steps:
        cold, self.was_cold = self.was_cold, False
        return super()._chat(ollama_stream(["a"] * 10, eval_count=10) if cold else whole)

    def __call__(self, request: Request) -> Steps:
        if request.path == "/api/chat" and request.json.get("keep_alive") == 0:
            self.was_cold = True
        return super().__call__(request)


def test_statistics_and_thresholds_of_both_starts_are_of_the_warm_requests(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.llm_benchmark(iterations=2, thresholds=["osl.mean<5", "osl.n<=2"])
        def test_one(measure):
            found = measure("Hi?")
            assert found.osl.max == 4
            assert [run["start"] for run in found.runs] == ["cold", "warm"] * 2
            assert [run["output_sequence_length"] for run in found.runs] == [10, 4] * 2
        """
    )
    with ScriptedServer(LongCold()) as server:
        benchmark_session(pytester, server, "--llamaburn-start=both").assert_outcomes(passed=1)


def test_precision_of_both_starts_is_of_the_warm_requests(pytester: pytest.Pytester) -> None:
    options = ("start=both", "iterations=4", "precision=0.1", "precision-metric=osl")
    with ScriptedServer(LongCold()) as server:
        flags = [f"--llamaburn-{option}" for option in (*options, "max-iterations=12")]
        assert benchmark_session(pytester, server, str(SUITES), *flags).ret == 0
    assert len(result_files(pytester)[0]["results"]["runs"]) == 4 * 2


def test_failed_measuring_test_makes_the_file_partial(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        def test_one(measure):
            measure("Hi?", iterations=1)

        def test_two(measure):
            assert False
        """
    )
    benchmark_session(pytester, server).assert_outcomes(passed=1, failed=1)
    assert result_files(pytester)[0]["status"] == "partial"
