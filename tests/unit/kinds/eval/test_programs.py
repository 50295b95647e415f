"""What programs of answers measured: how long they ran, and comparisons of two files."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest
from support.comparisons import comparison_document
from support.eval_documents import eval_document, eval_item
from support.questions import Asked

from pytest_llamaburn.kinds.eval import measures, programs
from pytest_llamaburn.scorers import code


def drawn(name: str, fps: float, *, correct: bool = True) -> Any:
    details = {"render_success": 1, "fps": fps, "frame_time_p95_ms": 900 / fps}
    verdict = {
        "correct": correct,
        "state": "scored",
        "reason": "",
        "extracted": "",
        "details": details,
    }
    item = eval_item(name, verdict=verdict, correct=correct, cached=False)
    return {**item, "question": {**item["question"], "scorer": "render"}}


def document(run: str, renderer: str, *frames: float) -> dict[str, Any]:
    made = eval_document(*(drawn(f"q{n}", fps) for n, fps in enumerate(frames)))
    made["results"]["programs"] = {"measured": {}, "renderers": {renderer: len(frames)}}
    return {**made, "run_id": run}


def changes(before: Any, after: Any) -> dict[str, Any]:
    found = comparison_document("eval", before, after)["results"]["differences"]
    return {one["mark"]: one for one in found}


def test_frame_rates_of_one_renderer_are_compared_by_question() -> None:
    before = document("a", "SwiftShader", 30, 40, 50, 60)
    found = changes(before, document("b", "SwiftShader", 20, 31, 39, 50))["fps"]
    assert (found["baseline"], found["value"], found["questions"]) == (45, 35, 4)
    assert (found["difference"], found["verdict"]) == (-10, "worse")
    low, high = found["ci95"]
    assert low < -10 < high < 0
    assert (
        changes(before, document("b", "SwiftShader", 30, 40.1, 50, 60.1))["fps"]["verdict"]
        == "same"
    )


def test_frame_rates_of_two_renderers_are_not_compared() -> None:
    before = document("a", "SwiftShader", 30, 40, 50, 60)
    found = changes(before, document("b", "NVIDIA L4", 60, 60, 60, 60))
    for name in ("fps", "frame_time_p95_ms"):
        assert (found[name]["verdict"], found[name]["ci95"]) == ("inconclusive", None)
        assert found[name]["reason"] == "drawn by NVIDIA L4, in the baseline by SwiftShader"


def test_without_a_question_that_both_drew_there_is_nothing_to_compare() -> None:
    before = document("a", "SwiftShader", 30)
    after = document("b", "SwiftShader", 30)
    after["results"]["items"] = [drawn("q0", 30, correct=False)]
    found = changes(before, after)["fps"]
    assert found["reason"] == "no question has a right answer in both"
    alone = changes(before, document("b", "SwiftShader", 60))["fps"]
    assert (alone["verdict"], alone["reason"]) == (
        "inconclusive",
        "one value, or all are equal: no interval",
    )


def test_the_run_time_of_a_program_is_that_of_its_tests() -> None:
    """A quarter of a second of waiting is in it; the start of the sandbox around it is not all."""
    program = "```python\nimport time\ndef wait(s):\n    time.sleep(s)\n    return s\n```"
    asked = Asked("", {"tests": "assert wait(0.25) == 0.25", "entry_point": "wait"})
    began = perf_counter()
    found = code.score(program, asked)
    whole_ms = (perf_counter() - began) * 1000
    if found.state == "unavailable":
        pytest.skip(found.reason)
    assert found.correct, found.reason
    assert 250 <= found.details["runtime_ms"] <= whole_ms
    verdicts = [found, found._replace(correct=False, details={"runtime_ms": 9e9})]
    items: Any = [
        {
            "question": {"scorer": "code", "category": "c"},
            "verdict": one._asdict(),
            "more_samples": [],
        }
        for one in verdicts
    ]
    results = {"items": items, **programs.of(items)}
    seen = measures.MEASURES["program_runtime_ms"].observed({"results": results})
    assert seen.value == pytest.approx(found.details["runtime_ms"])  # of right answers alone
