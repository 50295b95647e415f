"""Images to a real engine: llama.cpp answers from pixels with a hand-wired colour projector."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from support import colour_projector
from support.command_line import run_cli

from pytest_llamaburn.backends import _catalogue
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path

# The colours that so small a text model names after this prompt.
NAMED = ("red", "green", "blue", "purple")
PROMPT = "The picture shows the color"
SMALL = ("--max-tokens=8", "--warmup=1", "--no-profile")


@pytest.fixture(scope="module")
def projectors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A projector that sees colours, and a broken one for which all colours are white."""
    folder, model = tmp_path_factory.mktemp("projectors"), _catalogue.fetch("smollm2-135m")
    found = {name: folder / f"{name}.gguf" for name in ("seeing", "blind")}
    for name, path in found.items():
        colour_projector.write(model, path, blind=name == "blind")
    return found


def colours(folder: Path) -> Path:
    rows = []
    folder.mkdir()
    for name in NAMED:
        rgb = tuple(255 * part for part in colour_projector.CORNERS[name])
        Image.new("RGB", (64, 64), rgb).save(folder / f"{name}.png")
        row = {"media": f"{name}.png", "prompt": PROMPT, "reference": name, "scorer": "includes"}
        rows.append(row)
    (folder / "manifest.json").write_text(json.dumps(rows))
    return folder


def asked(tmp_path: Path, projector: Path, *more: str) -> dict[str, Any]:
    options = (f"--input={colours(tmp_path / 'images')}", f"--mmproj={projector}", *SMALL, *more)
    run_cli("eval", "smollm2-135m", "--set=image_qa", *options, cwd=tmp_path)
    (path,) = (tmp_path / "results" / "multimodal" / "image").glob("*.json")
    return results.load(path)


def test_colours_are_named_from_their_pixels(tmp_path: Path, projectors: dict[str, Path]) -> None:
    document = asked(tmp_path, projectors["seeing"])
    assert document["results"]["correct"]["right"] == len(NAMED)
    probe = document["telemetry"]["media_probe"]
    assert probe["prompt_tokens"] == (colour_projector.IMAGE // colour_projector.PATCH) ** 2


def test_a_projector_without_colours_answers_wrong(
    tmp_path: Path, projectors: dict[str, Path]
) -> None:
    document = asked(tmp_path, projectors["blind"])
    assert document["results"]["correct"]["n_scored"] == len(NAMED)
    assert document["results"]["correct"]["right"] <= 1


def test_text_model_without_a_projector_takes_no_images(tmp_path: Path) -> None:
    folder = colours(tmp_path / "images")
    options = ("--set=image_qa", f"--input={folder}", *SMALL)
    done = run_cli("eval", "smollm2-135m", *options, cwd=tmp_path, check=4)
    assert "smollm2-135m takes no images" in done.stderr
    assert not [*(tmp_path / "results").glob("multimodal/*/*.json")]


def test_benchmark_with_an_image_counts_its_tokens_and_its_preparation(
    tmp_path: Path, projectors: dict[str, Path]
) -> None:
    image = colours(tmp_path / "images") / "red.png"
    options = (f"--image={image}", f"--mmproj={projectors['seeing']}", "--iterations=2", *SMALL)
    done = run_cli("benchmark", "smollm2-135m", *options, cwd=tmp_path)
    (path,) = (tmp_path / "results" / "benchmarks").glob("*.json")
    media = results.load(path)["results"]["media"]
    (sent,) = media["sent"]
    assert (sent["width"], sent["sent_bytes"]) == (64, image.stat().st_size)
    assert media["probes"]["image"]["prompt_tokens"] == 4
    assert "with each prompt: red.png 64 × 64" in done.stdout
    assert "336 × 336: 4 tokens" in done.stdout
