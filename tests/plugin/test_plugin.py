"""The plugin from a test's side: markers, fixtures, exit codes and what a session leaves."""

from __future__ import annotations

import json
import re
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from support.scripted import (
    Close,
    OllamaFacade,
    Request,
    ScriptedServer,
    Steps,
    ollama_stream,
    sized,
)

from pytest_llamaburn import plugin

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITES = Path(__file__).parents[2] / "suites" / "benchmark"
QUIET = ("-p", "no:cacheprovider")
BROKEN: Steps = [sized(500, {"error": "boom"}), Close()]

SENTENCE = "results was removed or moved while the run went on: what was measured is kept in "
USER_TEST = """
    import pytest

    @pytest.mark.llm_benchmark(iterations=3)
    def test_answers_quickly(measure):
        result = measure("Name three colours.")
        assert result.ttft_ms.p50 < 60_000
        assert result.osl.mean == 4
"""


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(OllamaFacade()) as running:
        yield running


def benchmark_session(
    pytester: pytest.Pytester, server: ScriptedServer, *args: str
) -> pytest.RunResult:
    options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny:latest")
    return pytest_session(pytester, *options, *args)


def pytest_session(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run a session in this process, or in its own where it has workers."""
    apart = any(arg.startswith("-n") and arg != "-n0" for arg in args)
    start = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
    return start(*QUIET, *args)


def result_files(pytester: pytest.Pytester) -> list[dict[str, Any]]:
    paths = sorted((pytester.path / "results" / "benchmarks").glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


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
    result.stdout.fnmatch_lines(["model 'tinny'*tiny:latest*llamaburn models pull tinny"])


def test_collecting_asks_no_server(pytester: pytest.Pytester) -> None:
    options = ("--llamaburn-host=127.0.0.1:1", "--llamaburn-model=any")
    result = pytest_session(pytester, *options, "--collect-only", str(SUITES))
    assert result.ret == 0
    assert not (pytester.path / "results").exists()


@pytest.mark.usefixtures("installed_plugins_are_loaded")
def test_switched_off_plugin_has_no_options_and_no_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(USER_TEST.replace("@pytest.mark.llm_benchmark(iterations=3)", ""))
    result = pytester.runpytest_inprocess(*QUIET, "-p", "no:asyncio", "-p", "no:llamaburn")
    result.stdout.fnmatch_lines(["*fixture 'measure' not found"])


@pytest.mark.usefixtures("installed_plugins_are_loaded")
def test_unrelated_session_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_plain():\n    assert True\n")

    def output(*args: str) -> list[str]:
        lines = pytester.runpytest_subprocess("-p", "no:cacheprovider", *args).outlines
        kept = (line for line in lines if not line.startswith("plugins:"))
        return [re.sub(r"in [\d.]+s", "", line) for line in kept]

    without = output("-p", "no:llamaburn")
    before = {path.name for path in pytester.path.iterdir()}
    assert output() == without
    assert {p.name for p in pytester.path.iterdir()} - before == {"runpytest-1"}


def test_a_session_without_our_items_imports_little_of_us_and_nothing_heavy(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    pytester.makeconftest(
        """
        import sys

        def pytest_unconfigure():
            ours = (name for name in sys.modules if name.startswith("pytest_llamaburn."))
            print("ours:", *sorted(name.partition(".")[2] for name in ours))
            print("heavy:", *sorted(sys.modules.keys() & {
                "httpx", "msgspec", "numpy", "pandas", "pydantic", "rich", "uvloop", "asyncio",
            }))
        """
    )
    plain = ("--disable-plugin-autoload", "-p", "pytest_llamaburn.plugin")
    result = pytester.runpytest_subprocess(*plain, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    ours = "errors files fixtures kinds kinds._kind kinds.benchmark kinds.eval kinds.stress"
    assert f"ours: {ours} options plugin registry session settings texts" in result.outlines
    assert "heavy:" in map(str.rstrip, result.outlines)


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
        ("llm_benchmark(2)", "llm_benchmark: 2 is refused: name what it is: iterations, *"),
        ("llm_benchmark(thresholds=500)", "llm_benchmark: thresholds=500 is refused: must be*"),
        ("llm_eval(iterations=2)", "llm_eval: unknown keyword 'iterations'*Known: thresholds"),
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


def test_options_are_declared_where_the_command_line_may_name_one(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeconftest(
        """
        def pytest_configure(config):
            print("declared:", hasattr(config.option, "llamaburn_model"))
        """
    )
    pytester.makefile(".txt", words="--llamaburn-model=m\n--co")
    plain = ("--disable-plugin-autoload", "-p", "pytest_llamaburn.plugin", *QUIET, "-s")

    def declared(*args: str) -> bool:
        lines = pytester.runpytest_inprocess(*plain, *args).outlines
        return "declared: True" in lines

    assert not declared()
    assert declared("--llamaburn-model=m")
    assert declared("@words.txt")
    assert declared("--help")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--llamaburn-model=m")
    assert declared()
    monkeypatch.delenv("PYTEST_ADDOPTS")
    pytester.makeini("[pytest]\naddopts = --llamaburn-model=m")
    assert declared()


def test_options_are_declared_where_the_plugin_is_loaded_before_any_configuration_file(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    ended = pytester.inline_run("--llamaburn-model=m", *QUIET, plugins=[plugin])
    ended.assertoutcome(passed=1)


@pytest.mark.parametrize("body", ["assert llm.model.id == 'tiny:latest'", "pytest.skip('no')"])
def test_session_that_measures_nothing_and_was_not_to_leaves_no_file(
    body: str, pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(f"import pytest\n\ndef test_name(llm):\n    {body}\n")
    assert benchmark_session(pytester, server).ret == 0
    assert list((pytester.path / "results").iterdir()) == []


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


def test_session_in_another_thread_leaves_its_file_when_it_is_cut(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        def test_cut(measure):
            measure("Hi?", iterations=1)
            raise KeyboardInterrupt
        """
    )
    code = (
        "import sys, threading, pytest\n"
        "run = lambda: print('code', int(pytest.main(sys.argv[1:])))\n"
        "thread = threading.Thread(target=run)\nthread.start()\nthread.join()\n"
    )
    options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny:latest")
    result = pytester.run(sys.executable, "-c", code, *QUIET, *options)
    assert "code 2" in result.outlines
    assert result_files(pytester)[0]["status"] == "interrupted"


def test_session_cut_where_the_interpreter_knows_no_line_ends_like_any_other(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        import types

        def stop():
            raise KeyboardInterrupt

        def without_lines(function):
            units = len(function.__code__.co_code) // 2
            spans = (min(8, units - start) for start in range(0, units, 8))
            table = bytes(0xF8 | span - 1 for span in spans)  # "no location", of so many units
            return types.FunctionType(function.__code__.replace(co_linetable=table), {})

        def test_cut(measure):
            measure("Hi?", iterations=1)
            without_lines(stop)()
        """
    )
    options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny:latest")
    result = pytester.runpytest_subprocess(*QUIET, *options)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.no_fnmatch_line("*TypeError*")
    assert result_files(pytester)[0]["status"] == "interrupted"


def test_ollama_client_is_blocking_and_async(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        import asyncio

        def test_blocking(ollama_client):
            assert ollama_client.list()["models"][0]["name"] == "tiny:latest"
            assert ollama_client.load("tiny:latest")["done_reason"] == "load"
            assert len(ollama_client.ps()["models"]) == 1
            assert ollama_client.show("tiny:latest")["capabilities"] == ["completion"]
            assert ollama_client.unload("tiny:latest")["done_reason"] == "unload"

        def test_async(ollama_client):
            async def names():
                return [m["name"] for m in (await ollama_client.aio.list())["models"]]
            assert asyncio.run(names()) == ["tiny:latest"]
        """
    )
    benchmark_session(pytester, server).assert_outcomes(passed=2)


@pytest.mark.parametrize("call", ["measure('Hi?')", "ollama_client.list()"])
def test_what_blocks_says_so_in_an_async_test(
    call: str, pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        f"""
        import asyncio

        def test_async({call.partition("(")[0].partition(".")[0]}):
            async def blocking():
                {call}
            asyncio.run(blocking())
        """
    )
    result = benchmark_session(pytester, server)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["fixtures of LlamaBurn block: use them in a plain*"])


def test_json_output_can_be_written_to_a_file(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-output=out.json").assert_outcomes(
        passed=5
    )
    out = json.loads((pytester.path / "out.json").read_text())
    assert out == result_files(pytester)[0]


def test_key_reaches_the_server_and_no_file(
    pytester: pytest.Pytester, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMABURN_API_KEY", "secret-5b1f")
    monkeypatch.setenv("OPENAI_API_KEY", "other-77aa")
    result = benchmark_session(pytester, server, str(SUITES))
    sent = b"".join(server.requests)
    assert b"Bearer secret-5b1f" in sent
    assert b"other-77aa" not in sent
    everything = result.stdout.str() + result.stderr.str()
    everything += "".join(p.read_text() for p in (pytester.path / "results").rglob("*.json"))
    assert "secret-5b1f" not in everything


def comparisons(pytester: pytest.Pytester) -> list[dict[str, Any]]:
    paths = sorted((pytester.path / "results" / "comparisons").glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


def test_session_is_compared_with_the_newest_earlier_benchmark_of_its_model(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    gate = "--llamaburn-fail-if=osl.mean:-50%"
    first = benchmark_session(pytester, server, str(SUITES), "--llamaburn-compare")
    assert first.ret == 0
    assert comparisons(pytester) == []
    second = benchmark_session(pytester, server, str(SUITES), "--llamaburn-compare=last", gate)
    assert second.ret == 0
    second.stdout.fnmatch_lines(["2 files, compared with A", "gate osl.mean:-50%: B: pass*"])
    (document,) = comparisons(pytester)
    before, after = sorted(result_files(pytester), key=lambda d: str(d["timestamp"] + d["run_id"]))
    compared = {file["run_id"]: file["baseline"] for file in document["results"]["files"]}
    assert sorted(compared) == sorted([before["run_id"], after["run_id"]])
    assert sorted(compared.values()) == [False, True]


def test_an_output_of_no_known_format_is_refused_before_anything_is_measured(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    options = (f"--llamaburn-host={server.host}", "--llamaburn-output=x.foo")
    result = pytest_session(pytester, *options, str(SUITES))
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --output: unknown format 'x.foo'*"])
    assert server.requests == []


def test_a_run_whose_journal_is_removed_at_its_end_keeps_what_was_finished(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        import shutil

        def test_one(measure):
            measure("Hi?", iterations=1)
            shutil.rmtree("results")
        """
    )
    result = benchmark_session(pytester, server)
    assert result.ret == 4
    result.stdout.fnmatch_lines([f"llamaburn: {SENTENCE}*"])
    (document,) = result_files(pytester)
    assert document["results"]["totals"]["succeeded"] == 1


def test_an_unfinished_run_is_no_baseline(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(pytester, server, str(SUITES))
    (whole,) = result_files(pytester)
    cut = {**whole, "run_id": "cut", "status": "interrupted", "timestamp": "2099-01-01T00:00:00Z"}
    (pytester.path / "results" / "benchmarks" / "zz.json").write_text(json.dumps(cut))
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-compare")
    (document,) = comparisons(pytester)
    assert whole["run_id"] in [file["run_id"] for file in document["results"]["files"]]


def test_sessions_of_several_workers_are_compared_too(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(pytester, server, str(SUITES))
    gate = "--llamaburn-fail-if=osl.mean:-50%"
    result = benchmark_session(
        pytester, server, str(SUITES), "-n2", "--llamaburn-compare=last", gate
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["2 files, compared with A", "gate osl.mean:-50%: B: pass*"])
    assert len(comparisons(pytester)) == 1


def test_regression_against_a_stored_baseline_fails_the_session(
    pytester: pytest.Pytester, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-output=baseline.json")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    options = ("--llamaburn-compare=baseline.json", "--llamaburn-fail-if=osl.mean:-5%")
    with ScriptedServer(OllamaFacade(final={"eval_count": 2})) as shorter:
        result = benchmark_session(
            pytester, shorter, str(SUITES), *options, "--llamaburn-results-dir=new"
        )
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "llamaburn: osl.mean:-5%: B: fail: -50.0%*",
            "::error file=new/comparisons/comparison_*::osl.mean:-5%25: B: fail: -50.0%25*",
        ]
    )
    assert "### 2 files, compared with A" in (pytester.path / "summary.md").read_text()


def test_gate_on_a_change_without_an_earlier_benchmark_is_undecided(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    options = ("--llamaburn-compare=last", "--llamaburn-fail-if=tps:-5%")
    result = benchmark_session(pytester, server, str(SUITES), *options)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*tps:-5%: undecided: no earlier benchmark of tiny:latest in*"])


def test_only_benchmarks_of_the_same_mode_are_a_baseline(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-benchmark-mode=correctness")
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-compare")
    assert comparisons(pytester) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--llamaburn-compare=nowhere.json"], "no result 'nowhere.json' in results*"),
        (["--llamaburn-fail-if=tps:-5%"], "--fail-if judges a comparison: name the baseline*"),
        (["--llamaburn-compare", "--llamaburn-fail-if=tps"], "--fail-if: 'tps' is refused*"),
    ],
)
def test_baseline_or_gate_that_cannot_be_read_exits_four_before_anything_is_measured(
    options: list[str], words: str, pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    result = benchmark_session(pytester, server, str(SUITES), *options)
    assert result.ret == 4
    result.stdout.fnmatch_lines([words])
    assert server.requests == []
    assert not (pytester.path / "results").exists()


def test_baseline_that_is_gone_when_it_is_needed_is_told(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-output=baseline.json")
    pytester.makepyfile(
        """
        from pathlib import Path

        def test_one(measure):
            measure("Hi?", iterations=1)
            Path("baseline.json").unlink()
        """
    )
    result = benchmark_session(pytester, server, "--llamaburn-compare=baseline.json")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["llamaburn: --compare: no result 'baseline.json'*"])


def test_file_that_cannot_be_written_is_told_in_the_summary(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        from pathlib import Path

        def test_one(measure):
            measure("Hi?", iterations=1)
            Path("results/benchmarks").touch()
        """
    )
    result = benchmark_session(pytester, server)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["llamaburn: *cannot be written*its journal is kept in*"])


def test_junit_report_carries_the_headline_numbers(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(USER_TEST)
    benchmark_session(pytester, server, "--junitxml=report.xml")
    report = (pytester.path / "report.xml").read_text()
    properties = ET.fromstring(report).iter("property")  # noqa: S314 - pytest's own writing
    found = {one.attrib["name"]: float(one.attrib["value"]) for one in properties}
    assert found["output_sequence_length_p50"] == 4
    assert found["time_to_first_token_ms_p50"] > 0
    assert found["total_generation_ms_p50"] >= found["time_to_first_token_ms_p50"]


@pytest.mark.parametrize("shown", ["-q", "-v", "-s"])
def test_progress_is_whole_lines_in_pytest_s_report(
    shown: str, pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(USER_TEST)
    result = benchmark_session(pytester, server, "--llamaburn-progress=auto", shown)
    steps = [line for line in result.outlines if re.search(r"\d/3 requests", line)]
    assert [line.partition(" requests")[0] for line in steps] == [
        f"llamaburn: {number}/3" for number in (1, 2, 3)
    ]
    assert result.stderr.str() == ""
    result.assert_outcomes(passed=1)


def test_progress_events_go_to_standard_error(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(USER_TEST)
    options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny:latest")
    result = pytester.runpytest_subprocess(*QUIET, *options, "--llamaburn-progress=json")
    events = [json.loads(line) for line in result.errlines if line.startswith("{")]
    assert [event["done"] for event in events if event["event"] == "progress"] == [1, 2, 3]


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_results_directory_that_is_removed_costs_no_request(
    pytester: pytest.Pytester, workers: str
) -> None:
    place = pytester.path / "results"

    class Losing(OllamaFacade):
        """Removes the results directory while the eighth request is answered."""

        def __call__(self, request: Request) -> Steps:
            if request.path == "/api/chat" and self.chats == 8:
                shutil.rmtree(place)
            return super().__call__(request)

    with ScriptedServer(Losing()) as losing:
        result = benchmark_session(
            pytester, losing, str(SUITES), workers, "--llamaburn-iterations=9"
        )
    (document,) = result_files(pytester)
    assert document["status"] == "complete"
    assert len(document["results"]["runs"]) == 9
    assert result.ret == 4
    lines = [line for line in result.outlines if f"{SENTENCE}{place}" in line]
    assert lines[-1].startswith("llamaburn: results was removed")


REFUSED = """
    import errno, os
    from pytest_llamaburn.store import journal
    from pytest_llamaburn.errors import ResultsError

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def test_one(llm, measure):
        measure("Name three colours.", iterations=2)
"""


def test_disk_that_is_full_when_a_run_is_cut_costs_no_finished_request(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    cut = "        journal._write = full\n        raise KeyboardInterrupt\n"
    pytester.makepyfile(REFUSED + cut)
    options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny:latest")
    result = pytester.runpytest_subprocess(*QUIET, *options)
    assert result.ret == 2
    (document,) = result_files(pytester)
    assert document["status"] == "interrupted"
    assert len(document["results"]["runs"]) == 2
    result.stdout.fnmatch_lines(["llamaburn: *.jsonl cannot be written: No space left on device*"])


def test_disk_that_refuses_to_be_synced_is_told(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(f"{REFUSED}        llm.journal._ledger.sync = full\n")
    result = benchmark_session(pytester, server)
    (document,) = result_files(pytester)
    assert (result.ret, document["status"]) == (4, "complete")
    result.stdout.fnmatch_lines(["llamaburn: *.jsonl cannot be written to disk: No space left on*"])


def test_library_that_a_run_loads_first_stays_loaded(pytester: pytest.Pytester) -> None:
    """This is of the tests themselves: httpx and numpy do not bear being loaded twice."""
    sys.modules.pop("colorsys", None)
    pytester.makepyfile(test_users="import colorsys\ndef test_it(): pass")
    pytester.runpytest_inprocess(*QUIET).assert_outcomes(passed=1)
    assert "colorsys" in sys.modules
    assert "test_users" not in sys.modules
