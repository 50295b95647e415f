"""What is left when a run is cut: real signals on the real command."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.command_line import COMMAND, results_in, run_cli
from support.processes import Process
from support.scripted import OllamaFacade, Request, ScriptedServer, Steps
from support.stalling_server import FINISHED, Stalling

from pytest_llamaburn.load import turn
from pytest_llamaburn.store import journal, results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def start(
    host: str, cwd: Path, how: type[subprocess.Popen[str]] = Process, **env: str
) -> subprocess.Popen[str]:
    args = ("benchmark", "tiny", f"--host={host}", "--iterations=9", "-o", "json")
    return how(
        [*COMMAND, *args],
        cwd=cwd,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


@pytest.mark.parametrize("number", ENDING)
def test_signal_leaves_a_valid_file_with_the_finished_requests(
    number: signal.Signals, tmp_path: Path
) -> None:
    facade = Stalling()
    with ScriptedServer(facade) as server:
        running = start(server.host, tmp_path)
        assert facade.stalled.wait(60)
        running.send_signal(number)
        stdout, stderr = running.communicate(timeout=300)
    assert running.returncode == 2, stderr
    assert "Traceback" not in stderr
    (document,) = results_in(tmp_path / "results")
    assert results.check(document) is None
    assert document["status"] == "interrupted"
    assert len(document["results"]["runs"]) == FINISHED
    assert document["results"]["totals"]["planned"] == 9
    assert '"status": "interrupted"' in stdout


def test_more_signals_change_nothing(tmp_path: Path) -> None:
    facade = Stalling()
    with ScriptedServer(facade) as server:
        running = start(server.host, tmp_path)
        assert facade.stalled.wait(60)
        while running.poll() is None:
            running.send_signal(signal.SIGINT)
            time.sleep(0.05)  # as fast as a user's fingers are
        stdout, stderr = running.communicate()
    assert running.returncode in (2, -signal.SIGINT), stderr  # the latter while Python shuts down
    # Python tells and drops a Ctrl-C that comes while it waits for its threads to end.
    assert stderr.count("Traceback") <= stderr.count("Exception ignored in")
    assert len(results_in(tmp_path / "results")[0]["results"]["runs"]) == FINISHED
    assert '"status": "interrupted"' in stdout


def test_killed_run_leaves_its_finished_requests_in_the_journal(tmp_path: Path) -> None:
    facade = Stalling()
    with ScriptedServer(facade) as server:
        running = start(server.host, tmp_path)
        assert facade.stalled.wait(60)
        running.kill()
        running.communicate(timeout=300)
    assert running.returncode == -signal.SIGKILL
    (folder,) = (tmp_path / "results" / ".journal").iterdir()
    record = journal.read(folder)
    assert len(record.rows) == FINISHED
    assert results.check(results.build(record)) is None
    assert results.build(record)["status"] == "interrupted"


def begun_ignoring(number: signal.Signals, host: str, cwd: Path) -> subprocess.Popen[bytes]:
    """Start a run in a process that ignores a signal, as shells and nohup have it."""
    return subprocess.Popen(
        [*COMMAND, "benchmark", "tiny", f"--host={host}", "--iterations=9"],
        cwd=cwd,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),  # noqa: PLW1509
    )


def test_run_started_with_sigint_ignored_still_ends_on_it(tmp_path: Path) -> None:
    facade = Stalling()
    with ScriptedServer(facade) as server:
        running = begun_ignoring(signal.SIGINT, server.host, tmp_path)
        assert facade.stalled.wait(60)
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(60) == 2


INTERRUPTED_LOOP = """
import asyncio, signal
from pytest_llamaburn.load.loop import completed, loop_factory

signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
loop, cuts = (loop_factory() or asyncio.new_event_loop)(), 0

async def work():
    for _ in range(20):
        await asyncio.sleep(0)

for moment in range(3000):
    try:
        signal.setitimer(signal.ITIMER_REAL, (moment % 600 + 1) * 1e-6)
        completed(loop, work())
        signal.setitimer(signal.ITIMER_REAL, 0)
        sum(range(100))  # a signal that came just before is seen here
    except KeyboardInterrupt:
        cuts += 1
print(cuts)
"""


def test_ctrl_c_at_any_moment_leaves_a_loop_that_runs_again() -> None:
    argv = [sys.executable, "-c", INTERRUPTED_LOOP]
    env = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_command_runs_in_any_thread_of_a_process_that_ignores_sigint() -> None:
    code = (
        "import signal, threading\n"
        "from pytest_llamaburn.commands import main\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "run = lambda: print('code', main(['schema']))\n"
        "thread = threading.Thread(target=run)\nthread.start()\nthread.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("code 0\n"), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_disk_keeps_what_was_finished(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1200k", "none", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        with ScriptedServer(OllamaFacade(texts=["x"] * 400)) as server:
            args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=200")
            done = run_cli(*args, f"--results-dir={small}", cwd=tmp_path, check=4)
        (document,) = results_in(small)
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert results.check(document) is None
    assert 0 < len(document["results"]["runs"]) < 200
    assert document["status"] in ("partial", "interrupted")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Return a function that takes from a directory the right to be written to."""
    with ExitStack() as closing:

        def forbid(place: Path) -> None:
            if os.geteuid():
                place.parent.chmod(0o500)
                closing.callback(place.parent.chmod, 0o700)
                return
            place.mkdir()  # no mode binds root: a file system does
            mount = ["mount", "-t", "tmpfs", "-o", "ro", "none", str(place)]
            if subprocess.run(mount, check=False, capture_output=True).returncode:
                pytest.skip("this machine lets nobody mount a file system")
            closing.callback(subprocess.run, ["umount", str(place)], check=True)

        yield forbid


def test_directory_that_becomes_read_only_costs_no_finished_request(
    read_only: Callable[[Path], None], tmp_path: Path
) -> None:
    facade = Stalling()
    with ScriptedServer(facade) as server:
        running = start(server.host, tmp_path)
        assert facade.stalled.wait(60)
        read_only(tmp_path / "results" / "benchmarks")
        running.send_signal(signal.SIGINT)
        _, stderr = running.communicate(timeout=300)
    assert running.returncode == 2
    assert "Traceback" not in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("llamaburn: ")]
    assert "cannot be written: " in line
    (document,) = results_in(tmp_path / "llamaburn-rescued")
    assert f"the file is {tmp_path / 'llamaburn-rescued' / 'benchmarks'}" in line
    assert len(document["results"]["runs"]) == FINISHED
    assert f"its journal is kept in {Path('results') / '.journal'}" in line
    (folder,) = (tmp_path / "results" / ".journal").iterdir()
    assert len(journal.read(folder).rows) == FINISHED


def test_nohup_outlives_the_terminal(tmp_path: Path) -> None:
    facade = Stalling()
    with ScriptedServer(facade) as server:
        running = begun_ignoring(signal.SIGHUP, server.host, tmp_path)
        assert facade.stalled.wait(60)
        running.send_signal(signal.SIGHUP)
        running.send_signal(signal.SIGTERM)  # signals are taken in the order of their numbers
        assert running.wait(60) == 2
    assert len(results_in(tmp_path / "results")[0]["results"]["runs"]) == FINISHED


PYTEST = (
    *(sys.executable, "-m", "pytest", "-pno:cacheprovider", "-pno:asyncio", "-v"),
    *(str(Path(__file__).parents[2] / "suites" / "benchmark"), "--llamaburn-model=tiny"),
    *("--llamaburn-iterations=9", "--llamaburn-progress=plain", "--llamaburn-host="),
)


@pytest.mark.parametrize(
    "argv", [(*COMMAND, "benchmark", "tiny", "--iterations=9", "--host="), PYTEST]
)
def test_closed_terminal_costs_no_finished_request(argv: tuple[str, ...], tmp_path: Path) -> None:
    facade = Stalling()
    ours, theirs = pty.openpty()
    with ScriptedServer(facade) as server:
        running = subprocess.Popen(
            [*argv[:-1], argv[-1] + server.host],
            cwd=tmp_path,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(theirs)
        thread = threading.Thread(target=swallow, args=(ours, facade.stalled))
        thread.start()
        assert facade.stalled.wait(60)
        thread.join()
        os.close(ours)  # the kernel sends SIGHUP, and what is written from here on is an error
        assert running.wait(60) == 2
    (document,) = results_in(tmp_path / "results")
    assert results.check(document) is None
    assert document["status"] == "interrupted"
    assert len(document["results"]["runs"]) == FINISHED


def swallow(descriptor: int, until: threading.Event) -> None:
    """Read what a terminal shows, until an event: a full one would stop who writes."""
    while not until.is_set():
        if select.select([descriptor], [], [], 0.05)[0]:
            os.read(descriptor, 4096)


# A results directory that goes away


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_results_directory_that_goes_away_costs_no_finished_request(
    how: str, tmp_path: Path
) -> None:
    place = tmp_path / "results"

    class Losing(OllamaFacade):
        """Takes the results directory away while the third timed request is answered."""

        def __call__(self, request: Request) -> Steps:
            if request.path == "/api/chat" and self.chats == 2 + 3:
                if how == "removed":
                    shutil.rmtree(place)
                else:
                    place.rename(tmp_path / "elsewhere")
            return super().__call__(request)

    with ScriptedServer(Losing()) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=9")
        done = run_cli(*args, "--progress=plain", cwd=tmp_path, check=4)
    (document,) = results_in(place)
    assert results.check(document) is None
    assert document["status"] == "complete"
    assert len(document["results"]["runs"]) == 9
    sentence = (
        f"results was removed or moved while the run went on: what was measured is kept in {place}"
    )
    told, last = done.stderr.index(f"{sentence}\n"), done.stderr.index("9/9 requests")
    assert told < last < done.stderr.index(f"llamaburn: {sentence}\n")
    assert not (place / ".journal").exists()


@contextmanager
def stopped(running: subprocess.Popen[str]) -> Iterator[None]:
    """Hold a process still, so that it writes nothing while its directories are taken away."""
    running.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, running.pid, os.WSTOPPED)
    yield
    running.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("has_home", [True, False])
def test_directory_that_goes_with_everything_around_it_leaves_a_file_elsewhere(
    has_home: bool, tmp_path: Path
) -> None:
    facade, places = Stalling(), [tmp_path / name for name in ("place", "home", "scratch")]
    for folder in places:
        folder.mkdir()
    place, home, scratch = places
    with ScriptedServer(facade) as server:
        running = start(server.host, place, HOME=str(home), TMPDIR=str(scratch))
        assert facade.stalled.wait(60)
        with stopped(running):
            for folder in (place, *([] if has_home else [home])):
                shutil.rmtree(folder)
                folder.write_text("in the way")
            running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate(timeout=300)
    assert running.returncode == 2, stderr
    assert "Traceback" not in stderr
    refuge = home if has_home else scratch
    (path,) = refuge.glob("**/llamaburn-rescued/benchmarks/*.json")
    assert f"wrote {path}" in stderr
    document = results.load(path)
    assert len(document["results"]["runs"]) == FINISHED
    assert json.loads(stdout) == document


# Waiting for another measurement


def test_who_waits_is_told_for_whom_and_may_go(tmp_path: Path) -> None:
    facade, lost = Stalling(), tmp_path / "other"
    lost.mkdir()
    with ScriptedServer(facade) as server:
        first = start(server.host, tmp_path, subprocess.Popen)  # whose command line is shown
        assert facade.stalled.wait(60)
        second = start(server.host, lost)
        assert second.stderr is not None
        line = second.stderr.readline()
        second.send_signal(signal.SIGINT)
        assert second.wait(60) == 2
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 2
    for running in (first, second):
        running.communicate()
    (document,) = results_in(tmp_path / "results")
    words = "waiting: another LlamaBurn measurement runs on this machine: "
    about = f", run {document['run_id']} of tiny, since {document['timestamp']}"
    assert line.startswith(f"{words}process {first.pid} (")
    assert line.endswith(f"){about}; Ctrl-C ends the wait\n")
    assert "pytest_llamaburn benchmark tiny" in line
    assert not (lost / "results").exists()


def test_a_program_that_reads_the_progress_is_told_of_the_wait_as_a_stage(tmp_path: Path) -> None:
    holder = turn.Holder(os.getpid(), "2026-01-14T10:30:00Z", "run-1", "tiny")
    with ScriptedServer(OllamaFacade()) as server, turn.alone(holder, str):
        running = start(server.host, tmp_path, LLAMABURN_PROGRESS="json")
        assert running.stderr is not None
        said = [json.loads(running.stderr.readline()) for _ in range(2)]
        running.send_signal(signal.SIGINT)
        running.communicate()
    assert said[0]["event"] == "note"
    assert said[0]["text"].endswith("run run-1 of tiny, since 2026-01-14T10:30:00Z")
    assert said[1]["stage"] == "waiting for another measurement"
    assert running.returncode == 2


def test_who_waits_in_pytest_is_told_too(tmp_path: Path) -> None:
    holder = turn.Holder(os.getpid(), "2026-01-14T10:30:00Z", "run-1", "tiny")
    with ScriptedServer(OllamaFacade()) as server, turn.alone(holder, str):
        running = subprocess.Popen(
            [*PYTEST[:-1], PYTEST[-1] + server.host],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert running.stdout is not None
        line = next(line for line in running.stdout if "waiting: another" in line)
        running.send_signal(signal.SIGINT)
        rest, _ = running.communicate(timeout=300)
    assert line.startswith("llamaburn: waiting: another LlamaBurn measurement runs on this machine")
    assert line.endswith("run run-1 of tiny, since 2026-01-14T10:30:00Z; Ctrl-C ends the wait\n")
    assert running.returncode == 2, rest
