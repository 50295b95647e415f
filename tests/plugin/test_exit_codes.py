"""How a session ends, and what it says."""

from __future__ import annotations

import pytest
from support.plugin_sessions import (
    BROKEN,
    SUITES,
    USER_TEST,
    benchmark_session,
    pytest_session,
    result_files,
)
from support.scripted import (
    OllamaFacade,
    ScriptedServer,
)


def test_nothing_measured_exits_five(pytester: pytest.Pytester) -> None:
    with ScriptedServer(OllamaFacade(faults=dict.fromkeys(range(9), BROKEN))) as server:
        result = benchmark_session(pytester, server, str(SUITES))
    assert result.ret == 5
    (document,) = result_files(pytester)
    assert document["status"] == "failed"
    assert document["results"]["errors"] == {"server_error": 5}


def test_statistics_of_nothing_name_the_errors(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(USER_TEST)
    with ScriptedServer(OllamaFacade(faults=dict.fromkeys(range(9), BROKEN))) as server:
        result = benchmark_session(pytester, server)
    assert result.ret == 5
    result.stdout.fnmatch_lines(
        ["*time_to_first_token_ms.p50: nothing was measured*server_error*3*"]
    )


def test_failed_assertion_about_a_model_exits_one(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(USER_TEST.replace("60_000", "0"))
    assert benchmark_session(pytester, server).ret == 1
    assert result_files(pytester)[0]["status"] == "complete"


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_no_server_exits_four_with_one_sentence_and_no_file(
    pytester: pytest.Pytester, workers: str
) -> None:
    options = ("--llamaburn-host=127.0.0.1:1", "--llamaburn-model=any", workers)
    result = pytest_session(pytester, *options, str(SUITES))
    assert result.ret == 4
    result.stdout.fnmatch_lines(["no server at http://127.0.0.1:1*ollama serve*embedded*"])
    assert "Traceback" not in result.stdout.str()
    assert not (pytester.path / "results").exists()


def test_our_errors_leave_the_users_other_tests_and_exit_code_alone(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(USER_TEST + "\n    def test_plain():\n        assert True\n")
    options = ("--llamaburn-host=127.0.0.1:1", "--llamaburn-model=any")
    result = pytest_session(pytester, *options)
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 1


def test_wrong_setting_fails_only_our_items(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(USER_TEST + "\n    def test_plain():\n        assert True\n")
    result = pytest_session(pytester, "--llamaburn-iterations=0")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["--iterations: '0' is refused*"])


def test_unknown_model_names_the_nearest_and_how_to_pull(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tinny")
    result = pytest_session(pytester, *options, str(SUITES))
    assert result.ret == 4
    result.stdout.fnmatch_lines(["*no model 'tinny'*tiny:latest*llamaburn models pull tinny"])


def test_collecting_asks_no_server(pytester: pytest.Pytester) -> None:
    options = ("--llamaburn-host=127.0.0.1:1", "--llamaburn-model=any")
    result = pytest_session(pytester, *options, "--collect-only", str(SUITES))
    assert result.ret == 0
    assert not (pytester.path / "results").exists()


@pytest.mark.parametrize("body", ["assert llm.model.id == 'tiny:latest'", "pytest.skip('no')"])
def test_session_that_measures_nothing_and_was_not_to_leaves_no_file(
    body: str, pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(f"import pytest\n\ndef test_name(llm):\n    {body}\n")
    assert benchmark_session(pytester, server).ret == 0
    assert list((pytester.path / "results").iterdir()) == []
