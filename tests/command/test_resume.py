"""Continuing and recovering runs that were cut."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.benchmark_documents import header
from support.command_line import COMMAND, results_in, run_cli
from support.processes import Process
from support.scripted import OllamaFacade, Request, ScriptedServer, Steps
from support.stalling_server import FINISHED, Stalling

from pytest_llamaburn.store.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLANNED = 9


class Cut(Stalling):
    """Hangs after some timed requests until told to go on, then answers all."""

    going_on = False

    def __call__(self, request: Request) -> Steps:
        return OllamaFacade.__call__(self, request) if self.going_on else super().__call__(request)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(Cut()) as running:
        yield running


def cut(server: ScriptedServer, facade: Cut, cwd: Path, number: signal.Signals) -> None:
    """Begin a run and end it by a signal while it measures."""
    args = ("benchmark", "tiny", f"--host={server.host}", f"--iterations={PLANNED}")
    nowhere = subprocess.DEVNULL
    running = Process[bytes]([*COMMAND, *args], cwd=cwd, stdout=nowhere, stderr=nowhere)
    assert facade.stalled.wait(60)
    running.send_signal(number)
    running.wait(60)
    facade.going_on = True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_cut_run_is_continued_under_its_name_and_path(
    number: signal.Signals, tmp_path: Path
) -> None:
    facade = Cut()
    with ScriptedServer(facade) as server:
        cut(server, facade, tmp_path, number)
        before = results_in(tmp_path / "results")
        run_cli("benchmark", "--resume=last", cwd=tmp_path)
    (document,) = results_in(tmp_path / "results")
    assert document["status"] == "complete"
    assert len(document["results"]["runs"]) == PLANNED
    assert len({run["prompt_id"] for run in document["results"]["runs"]}) == PLANNED
    assert [d["run_id"] for d in before] in ([], [document["run_id"]])
    assert not (tmp_path / "results" / ".journal").exists()
    timed = [r for r in server.requests if b"/api/chat" in r and b'"messages": [{' in r]
    assert len(timed) == PLANNED + 1 + 2 * 2  # the one that hung, and two warm-ups


def test_killed_run_is_offered_and_recovered(tmp_path: Path) -> None:
    facade = Cut()
    with ScriptedServer(facade) as server:
        cut(server, facade, tmp_path, signal.SIGKILL)
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=1", "--max-tokens=9")
        offered = run_cli(*args, cwd=tmp_path).stderr
        assert "was killed before it wrote its file: llamaburn results recover" in offered
        recovered = run_cli("results", "recover", cwd=tmp_path).stdout.strip()
        again = run_cli(*args, cwd=tmp_path).stderr
    assert "was killed" not in again
    found = {d["config"]["max_tokens"]: d for d in results_in(tmp_path / "results")}
    assert found[128]["status"] == "interrupted"
    assert len(found[128]["results"]["runs"]) == FINISHED
    assert (tmp_path / recovered).is_file()
    run_cli("results", "validate", recovered, cwd=tmp_path)


def test_continuing_with_other_settings_is_refused(tmp_path: Path) -> None:
    facade = Cut()
    with ScriptedServer(facade) as server:
        cut(server, facade, tmp_path, signal.SIGINT)
        args = ("benchmark", "--resume=last", "--max-tokens=7")
        done = run_cli(*args, cwd=tmp_path, check=4)
    assert "--max-tokens 7 differs from the run's own, 128" in done.stderr
    assert results_in(tmp_path / "results")[0]["status"] == "interrupted"


def test_continuing_a_run_of_another_kind_is_refused(tmp_path: Path) -> None:
    left = Journal(tmp_path / "results", "run-1", "main")
    left.write("header", **header(run_id="run-1"))
    left.close()
    done = run_cli("stress", "--resume=last", cwd=tmp_path, check=4)
    assert done.stderr == (
        "llamaburn: --resume: run-1 is of llamaburn/benchmark, not llamaburn/stress\n"
    )


def test_continuing_on_another_model_is_refused(tmp_path: Path) -> None:
    class Changing(Cut):
        def _play(self, replies: dict[str, object], request: Request, **headers: str) -> Steps:  # type: ignore[override]
            steps = super()._play(replies, request, **headers)
            if self.going_on:
                return [s.replace(b"765525e6", b"ffffffff") for s in steps if isinstance(s, bytes)]
            return steps

    facade = Changing()
    with ScriptedServer(facade) as server:
        cut(server, facade, tmp_path, signal.SIGINT)
        done = run_cli("benchmark", "--resume=last", cwd=tmp_path, check=4)
    assert "the model's digest was 765525e6, now it is ffffffff" in done.stderr
    assert len(results_in(tmp_path / "results")[0]["results"]["runs"]) == FINISHED


def test_continuing_on_another_server_is_refused(tmp_path: Path) -> None:
    class Updated(Cut):
        def _play(self, replies: dict[str, object], request: Request, **headers: str) -> Steps:  # type: ignore[override]
            version = {"version": "0.33.0"} if self.going_on else {"version": "0.32.15"}
            return super()._play({**replies, "/api/version": version}, request, **headers)

    facade = Updated()
    with ScriptedServer(facade) as server:
        cut(server, facade, tmp_path, signal.SIGINT)
        updated = run_cli("benchmark", "--resume=last", cwd=tmp_path, check=4).stderr
        with ScriptedServer(OllamaFacade()) as other:
            moved = ("benchmark", "--resume=last", f"--host={other.host}")
            elsewhere = run_cli(*moved, cwd=tmp_path, check=4).stderr
    assert "the server's version was 0.32.15, now it is 0.33.0" in updated
    assert f"--host {other.host} differs from the run's own, {server.host}" in elsewhere
    assert len(results_in(tmp_path / "results")[0]["results"]["runs"]) == FINISHED


def test_nothing_to_continue_is_said(tmp_path: Path) -> None:
    done = run_cli("benchmark", "--resume=last", cwd=tmp_path, check=4)
    assert "no run was left unfinished" in done.stderr
    done = run_cli("results", "recover", "x", cwd=tmp_path, check=4)
    assert "there is no unfinished run 'x'" in done.stderr


def test_killed_run_that_was_to_measure_nothing_is_recovered_as_nothing(tmp_path: Path) -> None:
    made = Journal(tmp_path / "results", "run-1", "main")
    made.write("header", **header(run_id="run-1"))
    made.close()
    done = run_cli("results", "recover", cwd=tmp_path)
    assert done.stdout == "run-1: there was nothing to measure, so there is no result\n"
    assert list((tmp_path / "results").iterdir()) == []


def test_running_measurement_is_no_leftover(server: ScriptedServer, tmp_path: Path) -> None:
    facade = server._script
    assert isinstance(facade, Cut)
    args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=9")
    running = Process[bytes](
        [*COMMAND, *args], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert facade.stalled.wait(60)
    assert run_cli("results", "recover", cwd=tmp_path).stdout == ""
    running.kill()
    running.wait(60)
    assert "benchmarks" in run_cli("results", "recover", cwd=tmp_path).stdout


OWN_TESTS = """
import os, signal

def test_one(measure):
    measure("my own prompt", iterations=2)

def test_two(measure):
    if "KILLED" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
    measure("another of mine", iterations=2)
"""


def own_tests(server: ScriptedServer, cwd: Path, *args: str, **env: str) -> int:
    """Run tests that bring their own prompts, as their user does; return pytest's exit code."""
    (cwd / "test_own.py").write_text(OWN_TESTS)
    options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny:latest", *args)
    command = [sys.executable, "-m", "pytest", "-pno:cacheprovider", *options, "test_own.py"]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **env}, capture_output=True, check=False
    ).returncode


def test_run_of_tests_is_continued_by_pytest_and_refused_by_the_command(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        assert own_tests(server, tmp_path, KILLED="1") == -signal.SIGKILL
        (folder,) = (tmp_path / "results" / ".journal").iterdir()
        again = f"pytest --llamaburn-resume={folder.name}"
        refused = run_cli("benchmark", "--resume=last", cwd=tmp_path, check=4).stderr
        assert again.split()[1] in refused
        assert "tests made that run: run pytest again" in refused
        assert results_in(tmp_path / "results") == []
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=1")
        assert f"writes the file, {again} continues the run" in run_cli(*args, cwd=tmp_path).stderr
        advice = run_cli("doctor", f"--host={server.host}", cwd=tmp_path, check=None).stdout
        assert again in advice
        assert own_tests(server, tmp_path, "--llamaburn-resume=last") == 0
    (own,) = [d for d in results_in(tmp_path / "results") if d["run_id"] == folder.name]
    assert own["status"] == "complete"
    assert [r["prompt_id"] for r in own["results"]["runs"]] == ["test_one"] * 2 + ["test_two"] * 2
