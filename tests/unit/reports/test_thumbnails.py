"""Reports show the samples of an eval small: those that there is room for, and how many are not."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from pytest_llamaburn import kept_media
from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.audio.clips import clip_of
from pytest_llamaburn.errors import MissingExtraError
from pytest_llamaburn.reports import html

if TYPE_CHECKING:
    from collections.abc import Sequence

EVAL = Path(__file__).parents[2] / "golden" / "journals" / "eval-complete" / "result.json"
SOURCE = re.compile(
    r'<img alt="" width="(\d+)" height="(\d+)" src="data:image/webp;base64,([^"]+)">'
)


def noise(number: int, size: tuple[int, int] = (640, 480)) -> bytes:
    """Return a picture that does not compress well."""
    grain = np.random.RandomState(number).randint(0, 255, (*size[::-1], 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grain).save(buffer, "PNG")
    return buffer.getvalue()


def saved(home: Path, media: Sequence[dict[str, Any]]) -> Path:
    """Save an eval with a question for each medium, as an eval with images is."""
    document = json.loads(EVAL.read_text(encoding="utf-8"))
    item = document["results"]["items"][0]
    document["results"]["items"] = [
        {**item, "question": {**item["question"], "id": f"q{n}"}, "media": [one]}
        for n, one in enumerate(media)
    ]
    path = home / "multimodal" / "image" / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_an_image_is_shown_small_beside_its_answer(tmp_path: Path) -> None:
    name = kept_media.keep(tmp_path, noise(1), ".png")
    page = html.render([saved(tmp_path, [{"kind": "image", "id": name}])])
    ((width, height, data),) = SOURCE.findall(page)
    assert (width, height) == ("160", "120")
    small = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (small.format, small.size) == ("WEBP", (160, 120))
    assert "img-src data:" in page
    assert page.index("<figcaption>image</figcaption>") < page.index("<h4>answer</h4>")


def test_pictures_that_make_a_page_too_large_are_left_out_and_counted(tmp_path: Path) -> None:
    names = [kept_media.keep(tmp_path, noise(n, (120, 90)), ".png") for n in range(40)]
    page = html.render([saved(tmp_path, [{"kind": "image", "id": name} for name in names])])
    shown = SOURCE.findall(page)
    assert {width for width, *_ in shown} == {"96"}
    assert 5 < len(shown) < 40
    left = 40 - len(shown)
    assert f"{left} pictures are left out, because they would make this page too large" in page
    assert len(page.encode()) <= 150_000


def test_sound_is_shown_as_its_waveform(tmp_path: Path) -> None:
    silent = np.zeros(8_000, np.float32)
    loud = levels.tone(440, 0.5, 16_000, 0.9).mono
    raw = clips.encode(clip_of(np.concatenate([silent, loud]), 16_000))
    name = kept_media.keep(tmp_path, raw, ".wav")
    page = html.render([saved(tmp_path, [{"kind": "audio", "id": name, "seconds": 1.0}])])
    (path,) = re.findall(r'<svg class="wave"[^>]*><path d="([^"]+)"', page)
    lines = [tuple(map(int, one)) for one in re.findall(r"M(\d+) (\d+)V(\d+)", path)]
    assert len(lines) == 120
    assert {(top, bottom) for column, top, bottom in lines if column < 59} == {(20, 21)}
    assert {(top, bottom) for column, top, bottom in lines if 65 < column < 115} == {(2, 38)}
    assert "<figcaption>audio, 1.00 s</figcaption>" in page


def test_what_is_not_kept_or_no_picture_is_counted(tmp_path: Path) -> None:
    broken = [kept_media.keep(tmp_path, b"x", suffix) for suffix in (".png", ".wav", ".mp4")]
    names = [*broken, None, "../../../../etc/passwd", f"{'0' * 32}.png"]
    path = saved(tmp_path, [{"kind": "image", "id": name} for name in names])
    page = html.render([path])
    assert SOURCE.findall(page) == []
    assert "6 pictures are not kept beside the result file, or cannot be drawn" in page


def test_a_missing_library_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingExtraError("audio", "reading and writing sound files")

    monkeypatch.setattr(clips, "soundfile_library", missing)
    names = [kept_media.keep(tmp_path, bytes([n]), ".wav") for n in range(2)]
    page = html.render([saved(tmp_path, [{"kind": "audio", "id": name} for name in names])])
    assert page.count("pytest-llamaburn[audio]") == 1


def test_sound_that_a_model_made_and_what_its_code_drew_are_shown(tmp_path: Path) -> None:
    sound = kept_media.keep(tmp_path, clips.encode(levels.tone(440, 1, 16_000)), ".wav")
    drawn = kept_media.keep(tmp_path, noise(1), ".png")
    path = saved(tmp_path, [{"kind": "image"}])  # of an earlier version: nothing was kept
    document = json.loads(path.read_text())
    (item,) = document["results"]["items"]
    item["measured"] = {"audio_id": sound}
    item["verdict"] = {**item["verdict"], "details": {"screenshot_id": drawn}}
    path.write_text(json.dumps(document))
    page = html.render([path])
    assert "<figcaption>answer</figcaption>" in page
    assert "<figcaption>what the code drew</figcaption>" in page
    assert "not kept" not in page


def test_a_video_is_shown_by_its_first_frame(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in (0, 255):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    name = kept_media.Keeper(tmp_path).of_file(tmp_path / "clip.mp4")
    seen = {"kind": "video", "id": name, "seconds": 0.2, "frames": [0.0, 0.1]}
    page = html.render([saved(tmp_path, [seen])])
    ((width, height, data),) = SOURCE.findall(page)
    assert (width, height) == ("64", "48")
    small = Image.open(io.BytesIO(base64.b64decode(data))).convert("L")
    assert np.asarray(small).max() < 40
    assert "<figcaption>video, 0.200 s, 2 frames</figcaption>" in page
