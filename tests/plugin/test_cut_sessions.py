"""A session that is cut, or loses its directory or its disk, keeps what was finished."""

from __future__ import annotations

import shutil
import sys

import pytest
from support.plugin_sessions import QUIET, SUITES, benchmark_session, result_files
from support.scripted import (
    OllamaFacade,
    Request,
    ScriptedServer,
    Steps,
)

SENTENCE = "results was removed or moved while the run went on: what was measured is kept in "


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
    from pytest_llamaburn.store import ledger
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
    cut = "        ledger._write = full\n        raise KeyboardInterrupt\n"
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
