"""Signals at many moments of a run: what was finished is in a valid file, or can be put there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from command_line import COMMAND, results_in
from scripted import OllamaFacade, Request, ScriptedServer, Steps

from pytest_llamaburn.commands import main
from pytest_llamaburn.store import results

SUITES = Path(__file__).parents[2] / "suites" / "benchmark"
ITERATIONS = 9
MOMENTS = {"command": 18, "two workers": 6}  # for each signal
REQUESTS = {"command": 20, "two workers": 31}  # of all kinds, in a whole run
SIGNALS = {
    "SIGINT": (signal.SIGINT,),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
    "SIGTERM": (signal.SIGTERM,),
    "SIGKILL": (signal.SIGKILL,),
}


class Moment(NamedTuple):
    """So long after the server got this many requests, of whatever kind."""

    requests: int
    delay_s: float


class Watched(OllamaFacade):
    """Says when it got a number of requests, and how many timed ones it got."""

    def __init__(self, requests: int) -> None:
        super().__init__(token_s=0.003)
        self.reached = threading.Event()
        self.timed = 0
        self._left = requests

    def __call__(self, request: Request) -> Steps:
        self._left -= 1
        if self._left <= 0:
            self.reached.set()
        asks = request.path == "/api/chat" and request.json["messages"]
        self.timed += bool(asks) and "Say hello" not in str(asks)
        return super().__call__(request)


def moments(how: str, seed: str) -> list[Moment]:
    """Return moments from the first request to the time after the last, when the file is made."""
    rng, latest = random.Random(f"{how}/{seed}"), REQUESTS[how]  # noqa: S311 - not a secret
    places = [latest, *(rng.randint(1, latest) for _ in range(MOMENTS[how] - 1))]
    return [Moment(n, rng.random() * (0.5 if n == latest else 0.05)) for n in places]


def command(host: str) -> list[str]:
    about = [f"--host={host}", f"--iterations={ITERATIONS}", "--allow-parallel"]
    return [*COMMAND, "benchmark", "tiny", *about]


def workers(host: str) -> list[str]:
    words = ("model=tiny", f"host={host}", f"iterations={ITERATIONS}", "allow-parallel")
    about = [f"--llamaburn-{word}" for word in words]
    plain = [sys.executable, "-m", "pytest", "-pno:cacheprovider", "-pno:asyncio", "-q"]
    return [*plain, str(SUITES), "-n2", *about]


def cut(argv: list[str], facade: Watched, name: str, delay_s: float) -> str:
    """Start a run and send it signals at the moment; return what it said when it is over."""
    cwd = Path(argv.pop())
    with (cwd / "said").open("w+") as said:
        running = subprocess.Popen(argv, cwd=cwd, stdout=said, stderr=said, start_new_session=True)
        while running.poll() is None and not facade.reached.wait(0.05):
            pass
        family: list[psutil.Process] = []
        for number in SIGNALS[name]:
            time.sleep(delay_s)  # the moment itself, at which anything may be going on
            if running.poll() is None:
                family += psutil.Process(running.pid).children(recursive=True)
                send = os.killpg if number == signal.SIGINT else os.kill  # as a terminal does
                send(running.pid, number)
        running.wait(60)
        psutil.wait_procs(family, timeout=60)
        said.seek(0)
        return said.read()


def check(cwd: Path, facade: Watched, in_flight: int, said: str) -> None:
    """Whatever the server saw finished is in the one valid file, at the latest when recovered."""
    assert main(["results", "recover", f"--results-dir={cwd / 'results'}"]) == 0
    found = results_in(cwd / "results")
    if facade.timed > in_flight:
        assert len(found) == 1, said
    for document in found:
        assert results.check(document) is None
        runs = document["results"]["runs"]
        assert facade.timed - in_flight <= len(runs) <= facade.timed, said
        assert all(run["error"] is None for run in runs)
        assert document["status"] != "complete" or len(runs) == ITERATIONS, said
    assert "Traceback" not in said or not found, said


def sweep(cwd: Path, how: str, name: str) -> None:
    def one(moment: Moment) -> None:
        place = cwd / f"{moment.requests}-{moment.delay_s}"
        place.mkdir()
        facade = Watched(moment.requests)
        with ScriptedServer(facade) as server:
            argv = (command if how == "command" else workers)(server.host)
            said = cut([*argv, str(place)], facade, name, moment.delay_s)
        check(place, facade, 1 if how == "command" else 2, said)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, moments(how, name)))


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("how", ["command", "two workers"])
def test_signal_at_any_moment_loses_nothing_that_was_finished(
    how: str, name: str, tmp_path: Path
) -> None:
    sweep(tmp_path, how, name)
