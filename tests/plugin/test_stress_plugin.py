"""A load from a test's side: the `llm_stress` fixture, its marker, and what a session leaves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.slot_server import SlotServer

from pytest_llamaburn.load import clock_error

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIET = ("-p", "no:cacheprovider")
SWEEP = ("--llamaburn-stress-mode=sweep", "--llamaburn-levels=1,2", "--llamaburn-level-requests=6")

USER_TEST = """
    import pytest

    @pytest.mark.llm_stress(thresholds=["error_rate<0.01", "failure_point.concurrency>=2"])
    def test_bears_two_clients(llm_stress):
        found = llm_stress()
        assert [level["concurrency"] for level in found["levels"]] == [1, 2]
        assert not found["failure_point"]["reached"]
"""
STRICT_TEST = """
    import pytest

    @pytest.mark.llm_stress(thresholds=["requests_per_sec@2>1e9", "error_rate@1<0.01"])
    def test_is_endless(llm_stress):
        llm_stress()
"""


def quick(_: int) -> float:
    return 0.01


@pytest.fixture(autouse=True)
def calibration_is_brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_error, "SECONDS", 0.2)


@pytest.fixture
def server() -> Iterator[SlotServer]:
    with SlotServer(4, quick) as running:
        yield running


def stress_session(pytester: pytest.Pytester, server: SlotServer, *args: str) -> pytest.RunResult:
    options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny")
    apart = any(arg.startswith("-n") for arg in args)
    start = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
    return start(*QUIET, *options, *SWEEP, *args)


def written(pytester: pytest.Pytester) -> dict[str, Any]:
    (path,) = (pytester.path / "results" / "stress").glob("*.json")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_a_users_test_loads_the_model_and_leaves_a_result_file(
    pytester: pytest.Pytester, server: SlotServer
) -> None:
    pytester.makepyfile(USER_TEST)
    result = stress_session(pytester, server, "--junitxml=report.xml")
    result.assert_outcomes(passed=1)
    document = written(pytester)
    report = (pytester.path / "report.xml").read_text()
    assert '<property name="requests_per_sec" value="' in report
    assert document["status"] == "complete"
    verdicts = {gate["expression"]: gate["verdict"] for gate in document["results"]["gates"]}
    assert verdicts == {"error_rate<0.01": "pass", "failure_point.concurrency>=2": "pass"}
    result.stdout.fnmatch_lines(["tiny (*", "*2 clients*", "*failure point*not reached*"])
    assert not (pytester.path / "results" / ".journal").exists()


def test_a_threshold_of_the_marker_that_is_broken_fails_the_test_and_keeps_the_file(
    pytester: pytest.Pytester, server: SlotServer
) -> None:
    pytester.makepyfile(STRICT_TEST)
    result = stress_session(pytester, server)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*requests_per_sec@2>1e9: fail: *"])
    gates = written(pytester)["results"]["gates"]
    assert [gate["verdict"] for gate in gates] == ["fail", "pass"]


def test_a_threshold_of_the_marker_that_no_level_decides_is_refused_before_the_load(
    pytester: pytest.Pytester, server: SlotServer
) -> None:
    pytester.makepyfile(STRICT_TEST.replace("@2", "@3"))
    result = stress_session(pytester, server)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*requests_per_sec@3>1e9' is refused: *no level 3*"])
    assert server.served == 2  # the warm-up


def test_a_file_that_cannot_be_written_costs_no_other_its_own(
    pytester: pytest.Pytester, server: SlotServer
) -> None:
    spoils = """
        from pathlib import Path

        def test_first(measure):
            measure("Hi?", iterations=1)
            Path("results/benchmarks").touch()
    """
    pytester.makepyfile(test_a=spoils, test_b=USER_TEST)
    result = stress_session(pytester, server)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["*benchmarks*cannot be written*its journal is kept in*"])
    assert written(pytester)["status"] == "complete"


def test_collecting_sends_nothing_and_writes_nothing(
    pytester: pytest.Pytester, server: SlotServer
) -> None:
    pytester.makepyfile(USER_TEST)
    result = stress_session(pytester, server, "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*test_bears_two_clients*"])
    assert server.served == 0
    assert not (pytester.path / "results").exists()


def test_of_several_workers_of_a_session_one_sends_the_load(
    pytester: pytest.Pytester, server: SlotServer
) -> None:
    pytester.makepyfile(USER_TEST)
    stress_session(pytester, server, "-n2").assert_outcomes(passed=1)
    document = written(pytester)
    assert document["status"] == "complete"
    assert document["results"]["totals"]["requests"] == 10 + 2 * 6
