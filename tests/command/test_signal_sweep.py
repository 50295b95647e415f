"""Signals in each phase of a run: what was finished is in a valid file, or can be put there."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from support.command_line import COMMAND, results_in
from support.processes import Process
from support.scripted import OllamaFacade, Request, ScriptedServer, Steps

from pytest_llamaburn.commands import main
from pytest_llamaburn.store import results

SUITES = Path(__file__).parents[2] / "suites" / "benchmark"
ITERATIONS = 9
SIGNALS = {
    "SIGINT": (signal.SIGINT,),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
    "SIGTERM": (signal.SIGTERM,),
    "SIGKILL": (signal.SIGKILL,),
}


class Moment(NamedTuple):
    """So long after the server got the request of this number of a kind."""

    kind: str
    number: int
    most_s: float = 0.02  # as long as an answer takes

    def delay_s(self, seed: str) -> float:
        """Return when in the moment the signal comes, another time for each seed."""
        return random.Random(f"{self}/{seed}").uniform(0, self.most_s)  # noqa: S311 - no secret


PHASES = {
    "command": (
        Moment("other", 1),  # it looks for the server
        Moment("load", 1),
        Moment("warm-up", 2),  # then it opens its journal
        Moment("timed", 1),
        Moment("timed", 5),
        Moment("timed", ITERATIONS),
        Moment("timed", ITERATIONS, 0.2),  # it ends its journal and writes the file
        Moment("timed", ITERATIONS, 0.5),
    ),
    "two workers": (
        Moment("timed", 1),
        Moment("timed", 5),
        Moment("timed", ITERATIONS, 0.5),
    ),
}


def kind_of(request: Request) -> str:
    if request.path != "/api/chat":
        return "other"
    asked = request.json["messages"]
    if not asked:
        return "load"
    return "warm-up" if "Say hello" in str(asked) else "timed"


class Watched(OllamaFacade):
    """Says when it got the request of a moment, and how many timed ones it got."""

    def __init__(self, moment: Moment) -> None:
        super().__init__(token_s=0.003)
        self.reached = threading.Event()
        self.got: Counter[str] = Counter()
        self._moment = moment

    @property
    def timed(self) -> int:
        return self.got["timed"]

    def __call__(self, request: Request) -> Steps:
        self.got[kind_of(request)] += 1
        if self.got[self._moment.kind] >= self._moment.number:
            self.reached.set()
        return super().__call__(request)


def command(host: str) -> list[str]:
    about = [f"--host={host}", f"--iterations={ITERATIONS}", "--allow-parallel"]
    return [*COMMAND, "benchmark", "tiny", *about]


def workers(host: str) -> list[str]:
    words = ("model=tiny", f"host={host}", f"iterations={ITERATIONS}", "allow-parallel")
    about = [f"--llamaburn-{word}" for word in words]
    bare = ["--disable-plugin-autoload", "-pxdist", "-pllamaburn", "-pno:cacheprovider", "-q"]
    return [sys.executable, "-m", "pytest", *bare, str(SUITES), "-n2", *about]


def cut(argv: list[str], facade: Watched, name: str, delay_s: float) -> str:
    """Start a run and send it signals at the moment; return what it said when it is over."""
    cwd = Path(argv.pop())
    with (cwd / "said").open("w+") as said:
        running = Process[bytes](argv, cwd=cwd, stdout=said, stderr=said, start_new_session=True)
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
    # Python itself tells and drops a Ctrl-C that comes in a callback of its garbage collection.
    assert said.count("Traceback") <= said.count("Exception ignored in") or not found, said


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("how", PHASES)
def test_signal_in_any_phase_loses_nothing_that_was_finished(
    how: str, name: str, tmp_path: Path
) -> None:
    def one(moment: Moment) -> None:
        place = tmp_path / "-".join(map(str, moment))
        place.mkdir()
        facade = Watched(moment)
        with ScriptedServer(facade) as server:
            argv = (command if how == "command" else workers)(server.host)
            said = cut([*argv, str(place)], facade, name, moment.delay_s(f"{how}/{name}"))
        check(place, facade, 1 if how == "command" else 2, said)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, PHASES[how]))
