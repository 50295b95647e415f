"""`llamaburn eval --set threejs_gen --render` with a real browser."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from support import chromium, scenes
from support.eval_rooms import room
from support.eval_servers import Pupil

if TYPE_CHECKING:
    from pathlib import Path

FENCE = "```javascript\n{}```"


def test_scenes_are_rendered_and_measured(tmp_path: Path) -> None:
    chromium.require()
    answers = {
        "torus knot": FENCE.format(scenes.CUBE),
        "circles it": FENCE.format(scenes.BLANK),
    }
    pupil = Pupil(answers=answers)
    with room(tmp_path, pupil) as where:
        done = where.eval("--set=threejs_gen", "--limit=6", "--render", "--threshold=fps.mean>=1")
    assert {one["options"]["num_predict"] for one in pupil.asked} == {4096}
    folder = tmp_path / "results" / "multimodal" / "threejs"
    (path,) = folder.glob("*.json")
    results = json.loads(path.read_text("utf-8"))["results"]
    verdicts = {one["question"]["id"]: one["verdict"] for one in results["items"]}
    good, blank = verdicts["shapes-3"], verdicts["light-1"]
    assert (good["correct"], blank["correct"]) == (True, False)
    assert blank["reason"] == "the picture is blank"
    for verdict in (good, blank):
        picture = folder / verdict["details"]["screenshot"]
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert results["rates"]["render_success"]["mean"] == 1 / 6
    assert results["programs"]["measured"]["fps"]["n"] == 1
    assert "renderer: WebGL 2: " in done.stdout
    assert "gate fps.mean>=1: pass" in done.stdout


def test_rendering_must_be_asked_for_and_belongs_to_its_sets(tmp_path: Path) -> None:
    with room(tmp_path, Pupil()) as where:
        without = where.eval("--set=threejs_gen", check=4)
        other = where.eval("--set=general_knowledge", "--render", check=4)
        assert where.pupil.requests == []
    assert "must run in a browser to be scored: add --render" in without.stderr
    assert "--render: no answer of general_knowledge is rendered: leave it out" in other.stderr


def test_without_a_browser_the_eval_ends_before_it_asks(tmp_path: Path) -> None:
    chromium.require()
    with room(tmp_path, Pupil()) as where:
        done = where.eval("--set=threejs_gen", "--render", check=4, LLAMABURN_BROWSER="nobrowser")
        assert where.pupil.requests == []
    assert "LLAMABURN_BROWSER: nobrowser is no program" in done.stderr


def test_judge_sees_what_the_code_drew(tmp_path: Path) -> None:
    chromium.require()
    answers = {"torus knot": FENCE.format(scenes.CUBE)}
    with room(tmp_path, Pupil(answers=answers)) as where:
        where.eval("--set=threejs_gen", "--limit=6", "--render", where.judge)
        bodies = [one.partition(b"\r\n\r\n")[2] for one in where.assessor.requests]
    asked = [
        one["messages"][-1] for one in map(json.loads, filter(None, bodies)) if one.get("messages")
    ]
    folder = tmp_path / "results" / "multimodal" / "threejs"
    (picture,) = folder.glob("screenshots/*/shapes-3-0.png")
    shown = [one["images"] for one in asked if "images" in one]
    assert shown == [[base64.b64encode(picture.read_bytes()).decode()]]
    assert (
        len([one for one in asked if "QUESTION" in one["content"]]) == 6
    )  # the others drew nothing
