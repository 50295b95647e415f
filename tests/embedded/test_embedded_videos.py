"""Videos to a real engine: llama.cpp tells the order of frames with a hand-wired projector.

The text model is so small that it cannot answer a question. It can repeat what it was shown: one
solved example says in which form.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from support import clips, colour_projector
from support.command_line import run_cli

from pytest_llamaburn.backends import _catalogue
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path

SEEN = ("red", "green", "blue")
ORDERS = [*itertools.permutations(SEEN)]
ASKED = "Repeat:"
SOLVED = ("yellow", "black", "white")


def listed(colours: tuple[str, ...]) -> str:
    """The colours with the times of their frames, as a request has them."""
    return "".join(f"{second}.0 s: {colour}" for second, colour in enumerate(colours))


def about(shown: tuple[str, ...], right: tuple[str, ...], category: str) -> dict[str, Any]:
    pattern = r"\W*".join(rf"{second}\.0 s:\W*{colour}" for second, colour in enumerate(right))
    return {
        "id": f"{category}-{'-'.join(right)}",
        "prompt": ASKED,
        "category": category,
        "scorer": "regex",
        "pattern": f"(?i){pattern}",
        "reference": listed(right),
        "options": {"temporal": True},
        "media": [f"{'-'.join(shown)}.mp4"],
    }


def written(folder: Path) -> Path:
    """A set of clips in each order; the questions of `shuffled` show the frames in another one."""
    for order in ORDERS:
        clips.colours(folder / f"{'-'.join(order)}.mp4", *order)
    questions = [about(order, order, "ordered") for order in ORDERS]
    questions += [about((*order[1:], order[0]), order, "shuffled") for order in ORDERS]
    head = "A video of 3.0 s follows as 3 frames, each after its time.\n"
    example = {"prompt": f"{head}{listed(SOLVED)}{ASKED}", "answer": listed(SOLVED)}
    content = {"name": "orders", "modality": "video", "examples": [example]}
    path = folder / "orders.json"
    path.write_text(json.dumps({**content, "questions": questions}))
    return path


def right(tmp_path: Path, most: int, *, blind: bool = False) -> dict[str, Any]:
    """The share of right answers of each category, with a projector that sees or does not."""
    projector = tmp_path / "projector.gguf"
    model = _catalogue.fetch("smollm2-135m")
    colour_projector.write(model, projector, blind=blind, patch=colour_projector.WHOLE)
    given = (
        f"--set={written(tmp_path)}",
        f"--mmproj={projector}",
        "--few-shot=1",
        f"--limit={most}",
    )
    usual = ("--max-tokens=24", "--warmup=0", "--no-profile")
    run_cli("eval", "smollm2-135m", *given, *usual, cwd=tmp_path)
    (path,) = (tmp_path / "results" / "multimodal" / "video").glob("*.json")
    document = results.load(path)
    assert document["telemetry"]["media_probe"]["prompt_tokens"] == 1  # a frame is one token
    found = document["results"]["by_category"]
    return {name: group["correct"]["mean"] for name, group in found.items()}


def test_frames_are_told_in_their_order_and_at_their_times(tmp_path: Path) -> None:
    found = right(tmp_path, 8)
    assert found["ordered"] >= 3 / 4
    assert found["shuffled"] == 0


def test_a_projector_without_colours_tells_no_order(tmp_path: Path) -> None:
    assert right(tmp_path, 2, blind=True)["ordered"] == 0
