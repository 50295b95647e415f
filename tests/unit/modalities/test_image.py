"""Images as requests carry them, and the shipped sets that are drawn."""

from __future__ import annotations

import io
import sys
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import draw_media_sets
import pytest
from PIL import Image
from support.refusals import refusal

from pytest_llamaburn import modalities
from pytest_llamaburn.errors import DatasetError, MissingExtraError
from pytest_llamaburn.evalsets import load_eval_set
from pytest_llamaburn.modalities import image

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.media import Medium

SETS = draw_media_sets.sets()
AS_IT_IS = SimpleNamespace(image_size=None)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMABURN_CACHE_DIR", str(tmp_path / "cache"))


def saved(path: Path, size: tuple[int, int] = (40, 30), mode: str = "RGB", **how: Any) -> Path:
    Image.new(mode, size).save(path, **how)
    return path


def opened(medium: Medium) -> Image.Image:
    return Image.open(io.BytesIO(medium.raw))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jpeg"])
def test_what_every_server_decodes_is_sent_byte_for_byte(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name)
    medium = image.encode(path, AS_IT_IS)
    assert medium.raw == path.read_bytes()
    assert medium.mime == image.SUFFIXES[path.suffix]
    assert medium.url.parts[0] == f"data:{medium.mime};base64,".encode()
    assert (medium.facts["width"], medium.facts["height"]) == (40, 30)
    assert medium.facts["bytes"] == medium.facts["sent_bytes"] == path.stat().st_size
    assert (medium.facts["resized"], medium.facts["prepare_ms"] > 0) == (False, True)


@pytest.mark.parametrize("name", ["a.webp", "a.gif", "a.bmp", "a.tiff"])
def test_other_formats_are_sent_as_png(tmp_path: Path, name: str) -> None:
    medium = image.encode(saved(tmp_path / name), AS_IT_IS)
    assert (medium.mime, opened(medium).format) == ("image/png", "PNG")
    assert medium.facts["resized"] is False


def test_transparency_is_kept(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.webp", mode="RGBA", lossless=True)
    assert opened(image.encode(path, AS_IT_IS)).mode == "RGBA"


@pytest.mark.parametrize(("suffix", "form"), [(".png", "PNG"), (".jpg", "JPEG")])
def test_larger_images_are_made_smaller_in_their_own_kind(
    tmp_path: Path, suffix: str, form: str
) -> None:
    path = saved(tmp_path / f"a{suffix}", (400, 100))
    medium = image.encode(path, SimpleNamespace(image_size=200))
    assert (opened(medium).size, opened(medium).format) == ((200, 50), form)
    assert (medium.facts["sent_width"], medium.facts["resized"]) == (200, True)
    small = image.encode(saved(tmp_path / f"b{suffix}"), SimpleNamespace(image_size=200))
    assert small.facts["resized"] is False


def test_an_image_that_a_camera_turned_is_upright_when_it_is_made_smaller(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    path = saved(tmp_path / "a.jpg", (400, 100), exif=exif)
    assert opened(image.encode(path, SimpleNamespace(image_size=200))).size == (50, 200)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes): replace or remove it"),
        (b"GIF89a", "cannot be decoded: it is no image, or a damaged one"),
        (b"plain text", "cannot be decoded: it is no image"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert words in refusal(DatasetError, image.check, path)
    assert words in refusal(DatasetError, image.encode, path, AS_IT_IS)


def test_a_cut_image_is_refused_by_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.effect_noise((200, 200), 80).save(path)
    image.check(path)
    path.write_bytes(path.read_bytes()[:-2000])
    assert "cannot be decoded: it is cut off" in refusal(DatasetError, image.check, path)


def test_a_missing_image_and_a_directory_are_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(DatasetError, image.check, tmp_path / "gone.png")
    assert "cannot be read" in refusal(DatasetError, image.check, tmp_path)


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    image.ready()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pytest-llamaburn\[image\]'"):
        image.ready()


@pytest.mark.parametrize(
    ("width", "size"), [(100, "up to 0.1 MP"), (1000, "up to 1 MP"), (3000, "above 4 MP")]
)
def test_groups_by_size(width: int, size: str) -> None:
    assert image.size_of({"sent_width": width, "sent_height": width})[0] == size


def test_media_of_an_option_are_checked_and_encoded(tmp_path: Path) -> None:
    given = SimpleNamespace(image=(str(saved(tmp_path / "a.png")),), image_size=None)
    assert modalities.given(given) == [image]
    (medium,) = modalities.of_settings(image, given)
    assert medium.facts["path"] == str(tmp_path / "a.png")
    assert modalities.given(SimpleNamespace(image=())) == []


def test_the_sets_in_the_files_are_those_of_the_script() -> None:
    for name, content in SETS.items():
        kept = load_eval_set(name)
        assert [q.id for q in kept.questions] == [q["id"] for q in content["questions"]]
        made = [q["media"][0] for q in content["questions"]]
        assert [{**one, "kind": "image"} for one in made] == [q.media[0] for q in kept.questions]


@pytest.mark.parametrize("name", SETS)
def test_a_set_with_images_is_balanced_from_easy_to_hard(name: str) -> None:
    questions = load_eval_set(name).questions
    assert len(questions) >= 20
    assert len({question.id for question in questions}) == len(questions)
    categories = Counter(question.category for question in questions)
    assert len(categories) >= 3
    assert min(categories.values()) >= 4
    levels = Counter(question.options["level"] for question in questions)
    assert min(levels[level] for level in ("easy", "medium", "hard")) >= 6
    assert len({str(q.media[0]["make"]) for q in questions}) == len(questions)


def test_images_are_drawn_once_and_what_is_drawn_differently_is_told(tmp_path: Path) -> None:
    question = load_eval_set("image_qa").questions[2]
    path = modalities.located(question.media[0])
    assert path.parent == tmp_path / "cache" / "media"
    assert modalities.check(question.media) == []
    with Image.open(path) as drawn:
        assert drawn.getpixel((160, 160)) == (0, 0, 255)  # the blue triangle
    Image.new("RGB", (320, 320), "red").save(path)
    (note,) = modalities.check(question.media)
    assert "is drawn differently" in note


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLAMABURN_CACHE_DIR", str(tmp_path / "file"))
    (question,) = load_eval_set("image_qa").questions[:1]
    words = refusal(DatasetError, modalities.check, question.media)
    assert "cannot be written" in words
    assert "set LLAMABURN_CACHE_DIR to a directory with room" in words
