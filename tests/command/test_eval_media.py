"""Evals with images: what is sent, where the file lies, what is refused before it begins."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from PIL import Image
from support.command_line import run_cli
from support.eval_rooms import items_by_id, room
from support.eval_servers import Assessor, Pupil, eval_set, question
from support.scripted import Request, Steps, sized

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RED, BLUE = (255, 0, 0), (0, 0, 255)
SEES = ("completion", "vision")


class NoEyes(Pupil):
    """A model that refuses any image."""

    def __call__(self, request: Request) -> Steps:
        messages = request.json["messages"] if request.path == "/api/chat" else []
        if any("images" in message for message in messages):
            words = "this model is missing data required for image input"
            return [sized(500, {"error": words})]
        return super().__call__(request)


def seeing(**fields: Any) -> Pupil:
    return Pupil(capabilities=SEES, **fields)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMABURN_CACHE_DIR", str(tmp_path / "cache"))


def picture(path: Path, colour: str = "red", size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def images(tmp_path: Path, **references: str) -> Path:
    """A directory of images, each with a text file that has its reference."""
    folder = tmp_path / "images"
    for name, text in references.items():
        picture(folder / f"{name}.png", name)
        (folder / f"{name}.txt").write_text(text)
    return folder


def media_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "results").glob("multimodal/*/*.json"))


def sent_images(request: Mapping[str, Any]) -> list[Image.Image]:
    found = request["messages"][-1]["images"]
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


def test_shipped_set_is_drawn_sent_and_scored_in_the_folder_of_its_modality(tmp_path: Path) -> None:
    pupil = seeing(answers={"": "red"})
    with room(tmp_path, pupil) as where:
        done = where.eval("--set=image_qa", "--limit=5", "--cache=none")
    assert [len(sent_images(one)) for one in pupil.asked] == [1] * 5
    (path,) = media_files(tmp_path)
    assert path.parent.name == "image"
    assert path.name.startswith("tiny_latest_2")
    document = results.load(path)
    shown = document["results"]["media"]
    assert (shown["sent"], shown["modality"]) == (5, "image")
    assert shown["prepare_ms"]["n"] == 5
    assert document["telemetry"]["media_probe"]["width"] == 336
    (item,) = (i for i in document["results"]["items"] if i["question"]["category"] == "colour")
    assert item["media"][0]["sent_bytes"] > 0
    assert item["correct"] == (item["question"]["reference"] == "red")
    assert document["results"]["rates"]["vqa_accuracy"]["n_total"] == 5
    assert "image by size" in done.stdout
    assert "vqa_accuracy" in done.stdout
    schema = json.loads(run_cli("schema", "eval", cwd=tmp_path).stdout)
    jsonschema.Draft202012Validator(schema).validate(document)
    listed = run_cli("results", "list", "multimodal", cwd=tmp_path).stdout
    assert path.stem in listed


def test_images_of_a_directory_are_asked_as_the_set_asks(tmp_path: Path) -> None:
    folder = images(tmp_path, red="red", blue="blue")
    pupil = seeing(answers={"": "Red."})
    with room(tmp_path, pupil) as where:
        where.eval("--set=image_qa", f"--input={folder}")
    assert [sent_images(one)[0].getpixel((0, 0)) for one in pupil.asked] == [BLUE, RED]
    document = results.load(media_files(tmp_path)[0])
    found = items_by_id(document)
    assert {name: item["correct"] for name, item in found.items()} == {
        "red.png": True,
        "blue.png": False,
    }
    assert "one word" in found["red.png"]["question"]["prompt"]
    assert document["results"]["eval_set"]["path"] == str(folder)


def test_manifest_gives_prompts_references_and_several_images(tmp_path: Path) -> None:
    folder = images(tmp_path)
    for name in ("red", "blue"):
        picture(folder / f"{name}.png", name)
    row = {"question": "Which differ?", "answer": "both", "images": ["red.png", "blue.png"]}
    (folder / "manifest.jsonl").write_text(json.dumps(row))
    pupil = seeing(answers={"differ": "both"})
    with room(tmp_path, pupil) as where:
        where.eval("--set=image_qa", f"--input={folder}")
    (asked,) = pupil.asked
    assert [image.getpixel((0, 0)) for image in sent_images(asked)] == [RED, BLUE]
    (item,) = results.load(media_files(tmp_path)[0])["results"]["items"]
    assert (item["correct"], len(item["media"])) == (True, 2)


def test_own_set_with_media_and_smaller_images_is_recorded(tmp_path: Path) -> None:
    picture(tmp_path / "big.png", size=(400, 200))
    asked = question("big", scorer="exact", reference="red", media=["big.png"])
    path = eval_set(tmp_path, asked)
    with_modality = {**json.loads((tmp_path / path).read_text()), "modality": "image"}
    (tmp_path / path).write_text(json.dumps(with_modality))
    pupil = seeing(answers={"": "red"})
    with room(tmp_path, pupil) as where:
        done = where.eval(f"--set={path}", "--image-size=100")
    (image,) = sent_images(pupil.asked[0])
    assert image.size == (100, 50)
    (item,) = results.load(media_files(tmp_path)[0])["results"]["items"]
    (medium,) = item["media"]
    assert (medium["width"], medium["sent_width"], medium["resized"]) == (400, 100, True)
    assert "1 made smaller" in done.stdout


def test_sample_that_the_server_refuses_is_a_failure_and_not_wrong(tmp_path: Path) -> None:
    folder = images(tmp_path, red="red", blue="blue")
    (folder / "manifest.csv").write_text(
        "media,prompt,reference\nred.png,first,red\nblue.png,second,blue\n"
    )
    no = [sized(400, {"error": "Failed to load image or audio file"})]
    with room(tmp_path, seeing(answers={"first": "red", "second": no})) as where:
        where.eval("--set=image_qa", f"--input={folder}", check=1)
    document = results.load(media_files(tmp_path)[0])
    refused = next(i for i in document["results"]["items"] if i["error"])
    assert refused["error"]["kind"] == "media_refused"
    assert (refused["correct"], refused["verdict"]["state"]) == (None, "skipped_sut_error")
    assert document["results"]["correct"]["mean"] == 1.0
    assert document["results"]["errors"] == {"media_refused": 1}


def test_model_without_vision_is_refused_by_what_the_server_says(tmp_path: Path) -> None:
    pupil = Pupil()
    with room(tmp_path, pupil) as where:
        done = where.eval("--set=image_qa", "--limit=2", check=4)
    assert pupil.asked == []
    assert "tiny:latest takes no images" in done.stderr
    assert "choose a model with vision" in done.stderr
    assert media_files(tmp_path) == []


def test_server_that_says_nothing_of_vision_is_asked_once_and_refused(tmp_path: Path) -> None:
    pupil = NoEyes(capabilities=())
    with room(tmp_path, pupil) as where:
        done = where.eval("--set=image_qa", "--limit=2", check=4)
    assert pupil.asked == []
    assert "tiny:latest takes no images" in done.stderr
    assert "missing data required for image input" in done.stderr


def test_truncated_image_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    folder = images(tmp_path, red="red")
    whole = (folder / "red.png").read_bytes()
    (folder / "red.png").write_bytes(whole[: len(whole) // 2])
    pupil = seeing()
    with room(tmp_path, pupil) as where:
        done = where.eval("--set=image_qa", f"--input={folder}", check=4)
    assert pupil.asked == []
    assert "red.png cannot be decoded" in done.stderr
    assert "Traceback" not in done.stderr
    assert media_files(tmp_path) == []


def test_judges_see_the_images_of_a_question_and_the_file_says_so(tmp_path: Path) -> None:
    folder = images(tmp_path, red="red")
    seen: list[Any] = []

    class Looking(Assessor):
        """A judge that writes down the images it gets."""

        def __call__(self, request: Request) -> Steps:
            if request.path == "/api/chat" and request.json["messages"]:
                seen.append(request.json["messages"][1])
            return super().__call__(request)

    with room(tmp_path, seeing(answers={"": "Red."}), Looking()) as where:
        words = ("--set=image_qa", f"--input={folder}", where.judge, "--criteria=accuracy")
        where.eval(*words)
        dry = where.eval(*words, "--dry-run")
    (call,) = seen
    assert base64.b64decode(call["images"][0]) == (folder / "red.png").read_bytes()
    assert "The images belong to the QUESTION" in call["content"]
    (item,) = results.load(media_files(tmp_path)[0])["results"]["items"]
    (judgment,) = item["scores"]["accuracy"]["judgments"]
    assert judgment["shown"] == ["image"]
    tokens = int(dry.stdout.partition(", about ")[2].partition(" tokens in")[0])
    assert tokens > 5000  # what an image can cost is in the estimate
