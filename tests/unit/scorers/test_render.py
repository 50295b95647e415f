"""The scorer `render`, and what an eval makes of its scores; no browser is needed here."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llamaburn import evalsets, kept_media, rendering
from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.kinds.eval import measures, programs, rates
from pytest_llamaburn.rendering import Order, Rendering
from pytest_llamaburn.scorers import render

if TYPE_CHECKING:
    from pathlib import Path

GOOD = Rendering((), 60, 120, 60.0, 17.0, "WebGL 2: a renderer", 9, 40.0, (), b"png")
ANSWER = "```js\nimport * as THREE from 'three';\n```"


def asked(**options: Any) -> Any:
    return SimpleNamespace(reference=None, options=options)


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    """Render nothing; return what was to be rendered."""
    seen: list[Order] = []

    def take(order: Order) -> Rendering:
        seen.append(order)
        return GOOD

    monkeypatch.setattr(rendering, "render", take)
    return seen


@pytest.mark.parametrize(
    ("answer", "language"),
    [
        (ANSWER, "javascript"),
        ("import * as THREE from 'three';\n", "javascript"),
        ("```html\n<canvas></canvas>\n```\nand\n```js\nlet a = 1;\n```", "html"),
        ("```javascript\n<!doctype html><script></script>\n```", "html"),
        ("```\n<html></html>\n```", "html"),
        ("~~~three.js\nlet a = 1;\n~~~", "javascript"),
        ("```python\nprint(1)\n```\n```js\nlet a = 1;\n```", "javascript"),
    ],
)
def test_program_of_an_answer_is_found(answer: str, language: str, orders: list[Order]) -> None:
    assert render.score(answer, asked(seconds=1)).correct
    assert (orders[0].language, orders[0].seconds) == (language, 1)


@pytest.mark.parametrize("answer", ["I cannot draw.", "```python\nprint(1)\n```", "```js\n```"])
def test_answer_without_a_program_is_wrong(answer: str, orders: list[Order]) -> None:
    found = render.score(answer, asked())
    assert (found.correct, found.state, orders) == (False, "unparsable", [])


def test_empty_answer_is_wrong() -> None:
    assert render.score("<think>hm</think>", asked()).state == "empty"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"errors": ("TypeError: x",)}, "error: TypeError: x"),
        ({"draw_calls": 0}, "nothing was drawn: there was no draw call"),
        ({"frames": 1}, "one frame was drawn: the picture does not move"),
        ({"png": None}, "the browser could not take a picture"),
        ({"colours": 1}, "the picture is blank"),
        ({"contrast": 0.9}, "the picture is blank"),
    ],
)
def test_each_condition_of_success_alone_makes_an_answer_wrong(
    change: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "render", lambda _: GOOD._replace(**change))
    found = render.score(ANSWER, asked())
    assert (found.correct, found.reason) == (False, why)
    assert found.details["render_success"] == 0


def test_browser_that_fails_is_no_verdict_on_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Order) -> Rendering:
        raise UsageError("no browser")

    monkeypatch.setattr(rendering, "render", fail)
    found = render.score(ANSWER, asked())
    assert (found.correct, found.state, found.reason) == (None, "unavailable", "no browser")


def test_duration_that_is_no_number_is_a_fault() -> None:
    assert [name for name, _ in render.faults(asked(seconds="long"))] == ["seconds"]


def item(correct: bool | None, state: str = "scored", **details: Any) -> Any:
    verdict = {"correct": correct, "state": state, "details": details}
    question = {"scorer": "render", "category": "c"}
    return {"question": question, "verdict": verdict, "more_samples": []}


def test_frame_rates_are_those_of_successful_renderings() -> None:
    """A blank canvas is fast; an answer without code has no rate, but is no success either."""
    items: list[Any] = [
        item(True, render_success=1, fps=30.0, frame_time_p95_ms=40.0, renderer="SwiftShader"),
        item(False, render_success=0, fps=115.0, frame_time_p95_ms=9.0, renderer="SwiftShader"),
        item(False, "unparsable"),
        item(None, "unavailable"),
    ]
    found = programs.of(items)
    assert found["programs"]["measured"]["fps"]["mean"] == 30.0
    assert found["programs"]["renderers"] == {"SwiftShader": 1}
    assert rates.of(items)["rates"]["render_success"]["mean"] == pytest.approx(1 / 3)
    document = {"results": {"items": items, **found}}
    assert measures.MEASURES["fps"].observed(document).value == 30.0
    assert measures.MEASURES["frame_time_p95_ms"].observed(document, "p50").value == 40.0
    missing = measures.MEASURES["program_runtime_ms"].observed(document)
    assert (missing.value, missing.reason) == (None, "no scorer of this set measures it")


def test_without_a_success_the_rate_is_unknown_with_a_reason() -> None:
    found = programs.of([item(False, render_success=0, fps=115.0)])
    assert found["programs"]["measured"]["fps"]["mean"] is None
    assert found["programs"]["measured"]["fps"]["reason"] == "no answer is known to be right"
    (sheet,) = programs.sheets(found["programs"])
    assert (sheet.rows, sheet.empty) == ([], "no answer is known to be right")
    other: Any = {**item(True), "question": {"scorer": "exact"}}
    assert programs.of([other]) == {}


def test_picture_is_kept_beside_the_result(tmp_path: Path) -> None:
    score = {"details": {"picture": base64.b64encode(b"png").decode()}}
    programs.keep_picture(score, tmp_path / "run", "../a b-0", tmp_path)
    picture_id = score["details"].pop("screenshot_id")
    assert score["details"] == {"screenshot": "screenshots/run/.._a_b-0.png"}
    assert kept_media.found(tmp_path, picture_id) == tmp_path / kept_media.FOLDER / picture_id
    assert (tmp_path / "run" / ".._a_b-0.png").read_bytes() == b"png"


def test_picture_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    score = {"details": {"picture": base64.b64encode(b"png").decode()}}
    programs.keep_picture(score, tmp_path / "run", "a", tmp_path)
    assert score["details"]["screenshot"] is None
    assert score["details"]["screenshot_error"]
    without: dict[str, Any] = {"details": {"picture": None}}
    programs.keep_picture(without, tmp_path, "a", tmp_path)
    assert without["details"] == {"screenshot": None}


def test_set_has_thirty_scenes_and_is_that_of_the_script() -> None:
    import write_program_sets

    found = evalsets.load_eval_set("threejs_gen")
    assert len(found.questions) == 30
    for name, content in write_program_sets.sets().items():
        path = write_program_sets.FOLDER / f"{name}.json"
        import json

        assert json.loads(path.read_text("utf-8")) == content
