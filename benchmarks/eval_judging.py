"""Compare the duration of judging with the ideal, and measure the cost of its journal.

A model on the loopback answers 100 questions; a judge there takes 200 ms per call. The ideal is
calls / concurrency × latency. The journal's share is its write time / the judging time.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from _report import Line, report

from pytest_llamaburn.store.journal import Journal

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from support.command_line import run_cli
from support.eval_servers import CRITERIA, Assessor, Pupil, eval_set, question, verdict
from support.scripted import ScriptedServer

_QUESTIONS = 100
_LATENCY_S = 0.2
_CONCURRENCIES = {4: 1.1, 16: None}  # goals; at 16 the loopback servers need much CPU themselves


def main() -> int:
    """Measure; return 1 if a goal is missed."""
    lines = []
    for concurrency, goal in _CONCURRENCIES.items():
        ideal_s = math.ceil(_QUESTIONS * len(CRITERIA) / concurrency) * _LATENCY_S
        wall_s, judgments = _judged(concurrency)
        journal = _journal_s(judgments) / wall_s
        lines += [
            Line(f"{concurrency} at once: ideal", ideal_s, "s"),
            Line(f"{concurrency} at once: wall / ideal", wall_s / ideal_s, "", goal),
            Line(f"{concurrency} at once: journal / wall", journal, "", 0.01),
        ]
    return report(f"{_QUESTIONS} questions judged at {_LATENCY_S} s a call", lines)


def _judged(concurrency: int) -> tuple[float, list[dict[str, Any]]]:
    """Return the seconds from the first call to the end of the last call, and the judgments."""
    starts: list[float] = []

    def opinion(_prompt: str, _criterion: str) -> dict[str, Any]:
        starts.append(perf_counter())
        return verdict(3)

    assessor = Assessor(latency_s=_LATENCY_S, opinion=opinion)
    with (
        tempfile.TemporaryDirectory() as folder,
        ScriptedServer(Pupil()) as model,
        ScriptedServer(assessor) as judge,
    ):
        asked = (question(f"thing {number}") for number in range(_QUESTIONS))
        args = ("tiny", f"--host={model.host}", f"--set={eval_set(Path(folder), *asked)}")
        spec = f"--judge=ollama:judge@{judge.host}"
        limit = f"--judge-concurrency={concurrency}"
        run_cli("eval", *args, spec, limit, cwd=Path(folder))
        (path,) = (Path(folder) / "results" / "evals").glob("*.json")
        items = json.loads(path.read_text())["results"]["items"]
    found = [j for item in items for s in item["scores"].values() for j in s["judgments"]]
    return starts[-1] + _LATENCY_S - starts[0], found


def _journal_s(judgments: list[dict[str, Any]]) -> float:
    """Return how long a journal takes to write these judgments."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder), "run", "main")
        began = perf_counter()
        for judgment in judgments:
            journal.write("judgment", key=["thing", "accuracy", "judge", "0"], **judgment)
        spent = perf_counter() - began
        journal.close()
    return spent


if __name__ == "__main__":
    sys.exit(main())
