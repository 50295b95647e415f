"""Markers and calls of a test: their limits, and what they may not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.plugin_sessions import USER_TEST, benchmark_session, result_files

if TYPE_CHECKING:
    from support.scripted import (
        ScriptedServer,
    )


def test_second_measure_call_in_a_test_is_planned_too(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        def test_two(measure):
            assert len(measure("One?", iterations=2).runs) == 2
            assert measure("Two?", iterations=1).ttft_ms.n == 1
        """
    )
    benchmark_session(pytester, server).assert_outcomes(passed=1)
    totals = result_files(pytester)[0]["results"]["totals"]
    assert (totals["planned"], totals["requests"]) == (3, 3)


def test_measuring_zero_times_is_refused(pytester: pytest.Pytester, server: ScriptedServer) -> None:
    pytester.makepyfile("def test_none(measure):\n    measure('Hi?', iterations=-1)\n")
    result = benchmark_session(pytester, server)
    result.stdout.fnmatch_lines(["measure: iterations=-1 is refused*"])


@pytest.mark.parametrize("iterations", ["0", "'two'", "True"])
def test_what_is_no_number_of_requests_is_refused(
    iterations: str, pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(f"def test_none(measure):\n    measure('Hi?', iterations={iterations})\n")
    result = benchmark_session(pytester, server)
    result.stdout.fnmatch_lines([f"measure: iterations={iterations} is refused: must be a whole*"])


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("llm_benchmark(iterations='two')", "llm_benchmark: iterations='two' is refused*"),
        ("llm_benchmark(iterations=0)", "llm_benchmark: iterations=0 is refused: must be a whole*"),
        ("llm_benchmark(iteration=2)", "*unknown keyword 'iteration'; did you mean 'iterations'?*"),
        ("llm_benchmark(2)", "llm_benchmark: 2 is refused: use a keyword: iterations, *"),
        ("llm_benchmark(thresholds=500)", "llm_benchmark: thresholds=500 is refused: must be*"),
        (
            "llm_eval(iterations=2)",
            "llm_eval: unknown keyword 'iterations'*Known: thresholds, sample",
        ),
        ("llm_multimodal(2)", "llm_multimodal: 2 is refused: use a keyword: thresholds, sample"),
        ("llm_stress(thresholds=[5])", "llm_stress: thresholds=?5? is refused: must be texts*"),
    ],
)
def test_wrong_marker_is_told_by_its_test_alone_and_asks_no_server(
    marker: str, words: str, pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.{marker}
        def test_ours(measure):
            measure("Hi?")

        def test_plain():
            assert True
        """
    )
    result = benchmark_session(pytester, server)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([words])
    assert server.requests == []


def test_threshold_of_a_marker_may_stand_alone(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(USER_TEST.replace("iterations=3", "thresholds='osl.mean<4'"))
    result = benchmark_session(pytester, server)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*osl.mean<4: fail: 4*"])


def test_unknown_metric_of_a_result_lists_the_known(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile("def test_x(measure):\n    measure('Hi?', iterations=1).speed\n")
    benchmark_session(pytester, server).stdout.fnmatch_lines(
        ["*no metric 'speed'; known: time_to_first_token*"]
    )


def test_unknown_statistic_of_a_metric_lists_the_known(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile("def test_x(measure):\n    measure('Hi?', iterations=1).ttft_ms.p42\n")
    lines = ["*time_to_first_token_ms has no 'p42'; known: unit, n, *"]
    benchmark_session(pytester, server).stdout.fnmatch_lines(lines)


def test_marker_holds_thresholds_against_what_its_test_measures(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.llm_benchmark(iterations=1, thresholds=["osl.mean>=4", "osl.max<4"])
        def test_short(measure):
            measure("Hi?")
        """
    )
    result = benchmark_session(pytester, server)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*AssertionError: osl.max<4*"])
    gates = result_files(pytester)[0]["results"]["gates"]
    assert [gate["verdict"] for gate in gates] == ["pass", "fail"]
