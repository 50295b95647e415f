"""`llamaburn eval --set code_exec`: programs that are right, broken, and impossible to run here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.containment import contained, needs
from support.eval_rooms import room
from support.eval_servers import Pupil

from pytest_llamaburn.evalsets import load_eval_set

if TYPE_CHECKING:
    from pathlib import Path

WRONG = {
    "python": "print('wrong')",
    "javascript": "console.log('wrong')",
    "c": '#include <stdio.h>\nint main(void) { puts("wrong"); return 0; }',
}
LIMITS = ("--set=code_exec", "--limit=9", "--pass-k=1")


def answers(*, right: bool) -> dict[str, Any]:
    return {
        one.prompt: f"```{language}\n{one.reference if right else WRONG[language]}\n```"
        for one in load_eval_set("code_exec").questions
        for language in [one.options["language"]]
    }


def written(folder: Path) -> Any:
    (path,) = (folder / "results" / "multimodal" / "code").glob("*.json")
    return json.loads(path.read_text("utf-8"))["results"]


@contained
@needs("javascript")
@needs("c")
def test_solutions_pass_and_are_measured_by_category(tmp_path: Path) -> None:
    with room(tmp_path, Pupil(answers=answers(right=True))) as where:
        done = where.eval(
            *LIMITS, "--threshold=program_peak_memory_mb.max<=200", "--threshold=correct>=1"
        )
    results = written(tmp_path)
    assert (results["correct"]["mean"], results["pass_at_k"]["mean"]) == (1.0, 1.0)
    assert {one["pass_at_k"]["mean"] for one in results["by_category"].values()} == {1.0}
    programs = results["programs"]
    assert programs["measured"]["program_runtime_ms"]["n"] == 9
    memory = {
        name: one["program_peak_memory_mb"]["p50"] for name, one in programs["by_category"].items()
    }
    assert len(memory) == 9
    for topic in ("text", "numbers", "data"):
        assert 0.5 < memory[f"c {topic}"] < 8 < memory[f"python {topic}"] < 25
        assert memory[f"javascript {topic}"] > 25
    assert "gate program_peak_memory_mb.max<=200: pass" in done.stdout
    assert "programs that are right, by category" in done.stdout


@contained
@needs("javascript")
@needs("c")
def test_broken_programs_do_not_pass(tmp_path: Path) -> None:
    with room(tmp_path, Pupil(answers=answers(right=False))) as where:
        where.eval(*LIMITS)
    results = written(tmp_path)
    assert (results["correct"]["mean"], results["pass_at_k"]["mean"]) == (0.0, 0.0)
    measured = results["programs"]["measured"]
    assert measured["program_peak_memory_mb"]["mean"] is None
    assert measured["program_runtime_ms"]["reason"] == "no answer is known to be right"


@contained
def test_a_language_that_cannot_run_here_ends_the_eval_before_it_asks(
    tmp_path: Path,
) -> None:
    with room(tmp_path, Pupil()) as where:
        done = where.eval("--set=code_exec", check=4, PATH="/nonexistent")
        assert where.pupil.requests == []
    assert "programs in C need a C compiler, and none of cc, gcc, clang is on PATH" in done.stderr
    assert "apt install gcc libc6-dev" in done.stderr
