"""A directory and two servers in which an eval takes place."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.store import results
from support.command_line import run_cli
from support.eval_servers import (
    Assessor,
    Pupil,
    evals_in,
    question,
)
from support.scripted import ScriptedServer, Steps, sized

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path

QUESTIONS = (
    question("red", scorer="includes", category="colours"),
    question("blue", scorer="includes", category="colours"),
    question("love"),
)


ANSWERS = {"red": "It is right red.", "blue": "Green.", "love": "<think>hm</think>A right thing."}


CRASH: Steps = [sized(500, {"error": "llama runner process has terminated: exit status 2"})]


class Room:
    """Where an eval takes place: a directory and the two servers."""

    def __init__(self, cwd: Path, pupil: ScriptedServer, assessor: ScriptedServer) -> None:
        self.cwd, self.pupil, self.assessor = cwd, pupil, assessor
        self.judge = f"--judge=ollama:judge:latest@{assessor.host}"

    def eval(self, *args: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return run_cli("eval", "tiny", f"--host={self.pupil.host}", *args, cwd=self.cwd, **more)

    @property
    def files(self) -> list[dict[str, Any]]:
        return evals_in(self.cwd / "results")


@contextmanager
def room(cwd: Path, pupil: Pupil, assessor: Assessor | None = None) -> Iterator[Room]:
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ScriptedServer(one)) for one in (pupil, assessor or Assessor())
        ]
        yield Room(cwd, *servers)


def items_by_id(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a valid file's items by the id of their question."""
    assert results.check(document) is None
    return {item["question"]["id"]: item for item in document["results"]["items"]}


def question_ids(cwd: Path) -> list[str]:
    return [path.stem for path in sorted((cwd / "results" / "evals").glob("*.json"))]


def shown_results(name: str, output: str, cwd: Path) -> str:
    return run_cli("results", "show", name, "-o", output, cwd=cwd).stdout
