"""The fixture `media` and the marker `llm_multimodal`: the media of a sample, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_llamaburn.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = """
import pytest
from PIL import Image

@pytest.mark.llm_multimodal(sample="image_qa/colour-1")
def test_image(media):
    assert media.paths == [media.image]
    with Image.open(media.image) as image:
        assert image.format == "PNG"
    (medium,) = media.encoded()
    assert (medium.mime, medium.raw) == ("image/png", media.image.read_bytes())
    assert media.question.reference

@pytest.mark.llm_multimodal(sample="audio_stt/clear-1")
def test_audio(media):
    assert media.audio.suffix == ".ogg"
    assert media.encoded()[0].facts["seconds"] > 1
"""
WRONG = """
import pytest

@pytest.mark.llm_multimodal({keywords})
def test_it(media):
    media.{name}
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMABURN_CACHE_DIR", str(tmp_path / "cache"))


def test_a_test_gets_the_media_of_the_sample_that_its_marker_names(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(IMAGE)
    pytester.runpytest().assert_outcomes(passed=2)


def test_a_test_gets_the_media_of_its_own_question(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_llamaburn.evalsets import load_eval_set

        @pytest.mark.parametrize("asked", load_eval_set("image_qa").questions[:2])
        def test_it(asked, media):
            assert media.question is asked
            assert media.image.is_file()
        """
    )
    pytester.runpytest().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("keywords", "name", "words"),
    [
        ("", "image", "media: the test has no question: name a sample"),
        ("sample='image_qa'", "image", "llm_multimodal: sample='image_qa' is refused"),
        ("sample=3", "image", "llm_multimodal: sample=3 is refused"),
        ("sample='image_qa/colour-999'", "image", "unknown question 'colour-999'"),
        ("sample='image_qa/colour-1'", "video", "'colour-1' has 0 media of the kind video"),
        ("sampel='image_qa/colour-1'", "image", "unknown keyword 'sampel'"),
    ],
)
def test_a_wrong_sample_is_told_in_one_sentence(
    pytester: pytest.Pytester, keywords: str, name: str, words: str
) -> None:
    pytester.makepyfile(WRONG.format(keywords=keywords, name=name))
    result = pytester.runpytest()
    assert words in result.stdout.str() + result.stderr.str()
    assert result.ret != 0


def test_without_the_library_the_test_is_skipped(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_llamaburn.modalities import image

    def missing() -> None:
        raise MissingExtraError("image", "an eval with images")

    monkeypatch.setattr(image, "imported", missing)
    pytester.makepyfile(WRONG.format(keywords="sample='image_qa/colour-1'", name="image"))
    pytester.runpytest("-rs").assert_outcomes(skipped=1)
