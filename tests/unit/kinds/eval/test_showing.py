"""What judges of an eval are shown: media of questions, pictures and sounds of answers."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import clips as clips_of

from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.evalsets import Question
from pytest_llamaburn.kinds.eval import showing
from pytest_llamaburn.kinds.eval.settings import Eval
from pytest_llamaburn.modalities import video
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS: Any = model_of(Eval)()


def test_media_of_a_question_are_shown_and_large_images_made_smaller(tmp_path: Path) -> None:
    Image.new("RGB", (3136, 784), "red").save(tmp_path / "a.png")
    clips.write(levels.tone(440, 2, 16_000), tmp_path / "a.wav")
    entries = [
        {"kind": "image", "path": str(tmp_path / "a.png")},
        {"kind": "audio", "path": str(tmp_path / "a.wav")},
    ]
    asked = Question("q", "?", None, "c")._replace(media=tuple(entries))
    row = {"media": [{}, {"seconds": 2.0}]}
    image, sound = showing.media(asked, row, SETTINGS)
    assert (image.kind, image.of, sound.kind, sound.of) == (
        "image",
        "question",
        "audio",
        "question",
    )
    assert Image.open(io.BytesIO(image.medium().raw)).size == (1568, 392)
    assert (sound.most_tokens, sound.seen().mime) == (70, "audio/wav")
    assert [one.kind for one in showing.media(asked, None, SETTINGS)] == ["image", "audio"]


def test_frames_of_a_video_that_the_model_saw_are_shown_in_order(tmp_path: Path) -> None:
    path = clips_of.colours(tmp_path / "a.mp4", "red", "green", "blue")
    asked = Question("q", "?", None, "c")._replace(media=({"kind": "video", "path": str(path)},))
    row = {"media": [{"seconds": 3.0, "frames": [0.5, 1.5, 2.5]}]}
    frames = showing.media(asked, row, SETTINGS)
    assert {(one.kind, one.of) for one in frames} == {("image", "video")}
    pixels = [np.asarray(Image.open(io.BytesIO(one.medium().raw)))[9, 9] for one in frames]
    assert [int(pixel.argmax()) for pixel in pixels] == [0, 1, 2]


@given(st.integers(1, 400), st.integers(1, 12))
def test_stills_are_some_of_the_frames_in_order_from_all_of_the_video(n: int, most: int) -> None:
    times = video.stills({"seconds": n, "frames": [*range(n)]}, SETTINGS, most)
    assert times == sorted(set(times))
    assert len(times) == min(n, most)
    assert abs(times[0] - (n - 1 - times[-1])) <= 1


def test_the_sound_and_the_picture_of_an_answer_are_shown(tmp_path: Path) -> None:
    clips.write(levels.tone(440, 1, 16_000), tmp_path / "a.wav")
    row = {"measured": {"audio_path": str(tmp_path / "a.wav"), "audio_seconds": 1.0}}
    asked = Question("q", "?", None, "c")
    picture, sound = showing.media(asked, row, SETTINGS, "cGlj")
    assert (picture.of, picture.seen().url) == ("answer", "data:image/png;base64,cGlj")
    assert (sound.of, sound.most_tokens, sound.medium().raw[:4]) == ("answer", 35, b"RIFF")
    assert showing.media(asked, {"measured": {"audio_path": None}}, SETTINGS) == ()
