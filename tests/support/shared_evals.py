"""An eval whose questions have known answers, asked of one server or shared by several."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.store import results
from support.command_line import run_cli
from support.eval_servers import Pupil, eval_set, evals_in, question
from support.scripted import Hang, Pause, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.scripted import Request, Steps

COUNT = 12
ORDER = [f"n{number}x" for number in range(COUNT)]
ANSWERS = {name: f"right {name}" if place % 3 else "wrong" for place, name in enumerate(ORDER)}
OPTIONS = ("--no-profile", "--allow-parallel", "--warmup=0", "--output=table")


@dataclass
class HeldPupil(Pupil):
    """A model that answers some questions at once, and the others when `go` is set, if ever."""

    at_once: int = COUNT
    go: threading.Event | None = None

    def __call__(self, request: Request) -> Steps:
        steps = super().__call__(request)
        is_question = request.path == "/api/chat" and request.json["messages"]
        if not is_question or len(self.asked) <= self.at_once:
            return steps
        return [Pause(self.go), *steps] if self.go else [Hang()]


def pupil(at_once: int = COUNT) -> HeldPupil:
    """Return a model that gives the answers."""
    return HeldPupil(answers=ANSWERS, at_once=at_once)


def written_set(cwd: Path) -> str:
    """Write the set and return its path."""
    return eval_set(cwd, *(question(name, scorer="exact") for name in ORDER))


def own_places(cwd: Path) -> dict[str, Any]:
    """Return variables that keep what a command writes in a folder."""
    return {"TMPDIR": str(cwd), "XDG_CONFIG_HOME": str(cwd / "no-config"), "COLUMNS": "200"}


def scored(document: dict[str, Any]) -> list[Any]:
    """Return what must not depend on who was asked: questions, answers, verdicts, counts."""
    found = document["results"]
    items = [
        (one["question"]["id"], one["answer"], one["correct"], one["verdict"], one["error"])
        for one in found["items"]
    ]
    totals = {name: found["totals"][name] for name in ("requests", "succeeded", "failed")}
    return [items, found["correct"], found["by_category"], totals, document["status"]]


class Both(NamedTuple):
    """An eval by one server, the same shared by two, and how many questions each of them got."""

    cwd: Path
    stdout: str
    alone: dict[str, Any]
    shared: dict[str, Any]
    hosts: list[str]
    asked: list[int]


def alone_and_shared(cwd: Path, *more: str) -> Both:
    """Return an eval by one server, and the same by two with `more` words of the command."""
    pupils = [pupil(), pupil()]
    with ScriptedServer(pupils[0]) as first, ScriptedServer(pupils[1]) as second:
        words = ("eval", "tiny", f"--set={written_set(cwd)}", *OPTIONS)
        run_cli(*words, f"--host={first.host}", cwd=cwd, **own_places(cwd))
        (alone,) = evals_in(cwd / "results")
        pupils[0].asked.clear()
        hosts = [first.host, second.host]
        own = [f"--host={host}" for host in hosts]
        more = ("--results-dir=shared", *more)
        ended = run_cli(*words, *own, *more, cwd=cwd, **own_places(cwd))
    (shared,) = evals_in(cwd / "shared")
    assert results.check(shared) is None
    return Both(cwd, ended.stdout, alone, shared, hosts, [len(one.asked) for one in pupils])


def journalled(cwd: Path) -> list[str]:
    """Return the questions whose answers are in the journal."""
    return [line["prompt_id"] for line in journal_of(cwd) if line["type"] == "request"]


def journal_of(cwd: Path) -> list[dict[str, Any]]:
    """Return the whole lines of the journal so far."""
    lines = [
        line
        for path in (cwd / "results" / ".journal").rglob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    return [json.loads(line) for line in lines if line.endswith("}")]


def environment(**own: str) -> dict[str, str]:
    """Return this process's variables with some of its own."""
    return {**os.environ, **own}


def until(so: Callable[[], bool]) -> None:
    """Wait until something is so; a server in a thread has no event for it."""
    pause = threading.Event()
    for _ in range(6000):
        if so():
            return
        pause.wait(0.01)
    raise AssertionError("it never was so")
