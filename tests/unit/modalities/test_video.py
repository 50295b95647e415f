"""Videos as requests carry them: sampling, seeking, sound, damage, and the shipped sets."""

from __future__ import annotations

import io
import re
import sys
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import av
import pytest
import video_sets
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor
from support import clips
from support.refusals import refusal

from pytest_llamaburn import modalities
from pytest_llamaburn.backends._base import Model, Server
from pytest_llamaburn.errors import DatasetError, MissingExtraError, ServerError
from pytest_llamaburn.evalsets import load_eval_set
from pytest_llamaburn.media import identified
from pytest_llamaburn.modalities import _footage, _quality, video

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.media import Medium

RED, BLUE = (255, 0, 0), (0, 0, 255)


def asked(**fields: Any) -> SimpleNamespace:
    usual = {"video_rate": 1.0, "video_frames": 16, "video_as": "frames", "video_sound": "none"}
    return SimpleNamespace(**{**usual, "image_size": None, **fields})


def pictures(medium: Medium) -> list[Any]:
    """The colours in the middle of the frames, as red, green and blue of 0 or 255."""
    images = [Image.open(io.BytesIO(one.raw)) for one in medium.parts if one.kind == "image"]
    found = [image.getpixel((image.width // 2, image.height // 2)) for image in images]
    return [tuple(255 * round(part / 255) for part in pixel) for pixel in found]  # type: ignore[union-attr]


def nearest(image: Image.Image) -> str:
    pixel: Any = image.getpixel((0, 0))

    def away(name: str) -> int:
        return sum((a - b) ** 2 for a, b in zip(ImageColor.getrgb(name), pixel, strict=False))

    return min(video_sets.COLOURS, key=away)


@given(st.floats(0.01, 20_000), st.floats(0.001, 60), st.integers(1, 500))
def test_sampled_times_are_rising_inside_and_at_most_the_budget(
    seconds: float, rate: float, most: int
) -> None:
    times = _footage.sampled(seconds, rate, most)
    assert 1 <= len(times) <= most
    assert times == sorted(set(times))
    assert 0 <= times[0] <= times[-1] < seconds
    if len(times) > 1:
        gap = times[1] - times[0]
        assert gap >= 1 / rate * 0.99
        assert times[-1] + 1.01 * max(gap, times[0]) >= seconds - 0.01  # the end is not left out


def test_an_hour_at_a_frame_in_ten_seconds_has_360_frames() -> None:
    times = _footage.sampled(3600, 0.1, 360)
    assert (len(times), times[1], times[-1]) == (360, 10.0, 3590.0)
    assert _footage.sampled(3600, 0.1, 4) == [450, 1350, 2250, 3150]


@pytest.mark.parametrize("key", [1, 7, 100], ids=["every", "some", "first"])
@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mpeg4"), ("a.mkv", "mpeg4"), ("a.avi", "mpeg4")]
)
def test_a_frame_is_the_one_shown_at_its_time_however_it_is_reached(
    tmp_path: Path, name: str, codec: str, key: int
) -> None:
    path = clips.other(tmp_path / name, codec, seconds=10, key=str(key))
    medium = video.encode(path, asked(video_rate=0.4))
    assert medium.facts["frames"] == pytest.approx([0, 2.5, 5, 7.5], abs=0.002)
    assert pictures(medium) == [RED, RED, BLUE, BLUE]
    whole = video.encode(path, asked(video_rate=4, video_frames=100))
    assert len(whole.facts["frames"]) == 40
    assert pictures(whole) == [RED] * 20 + [BLUE] * 20


@pytest.mark.parametrize("key", [5, 40, 1000])
def test_frames_between_are_left_out_without_a_change_of_the_others(
    tmp_path: Path, key: int
) -> None:
    path = clips.shades(tmp_path / "a.mp4", "libx264", frames=300, key=key, bf="3", g=str(key))
    check_shown(path, threads=0)


def test_no_frame_is_lost_to_what_sixteen_threads_of_a_decoder_hold_back(tmp_path: Path) -> None:
    fixed = "b-adapt=0:bframes=3:scenecut=0"
    options = {"g": "1000", "x264-params": fixed}
    path = clips.shades(tmp_path / "a.mp4", "libx264", 200, 1000, rate=5, **options)
    check_shown(path, threads=16)


def check_shown(path: Path, threads: int) -> None:
    """Check that the pictures at some times are those that decoding every frame shows then."""
    with av.open(str(path)) as container:
        decoded: list[Any] = [*container.decode(video=0)]
        every = {float(frame.time): frame.to_image().tobytes() for frame in decoded}
    with _footage.opened(path) as footage:
        footage._stream.codec_context.thread_count = threads
        times = _footage.sampled(footage.seconds, 0.29, 100)
        found = [(time, image.tobytes()) for time, image in footage.pictures(times)]
    shown = [max(at for at in every if at <= time + 1e-3) for time in times]
    assert [time for time, _ in found] == shown
    assert all(every[time] == content for time, content in found)


def test_only_what_is_needed_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[float] = []
    time_of = _footage.Footage._time

    def noted(self: Any, frame: Any) -> float:
        decoded.append(time_of(self, frame))
        return decoded[-1]

    monkeypatch.setattr(_footage.Footage, "_time", noted)
    counts = {}
    for key in (4, 400):
        decoded.clear()
        path = clips.other(tmp_path / f"{key}.mp4", "mpeg4", seconds=50, key=str(key))
        video.encode(path, asked(video_rate=0.1))
        counts[key] = len(set(decoded)), len(decoded)
    assert counts[4][0] < 40  # of 200 frames: it seeks
    assert counts[400][1] < 3 * 200 + 40  # seeking back is given up where it does not help


def test_a_video_that_a_camera_turned_is_upright(tmp_path: Path) -> None:
    path = clips.other(tmp_path / "a.mp4", "mpeg4", turned="90")
    medium = video.encode(path, asked())
    assert (medium.facts["width"], medium.facts["height"]) == (48, 64)


def test_frames_are_at_most_as_large_as_they_should_be(tmp_path: Path) -> None:
    scene = {"at": 0, "items": [], "background": "red"}
    path = tmp_path / "a.mp4"
    video.make({"seconds": 1, "frames_per_second": 1, "size": [1024, 512], "scenes": [scene]}, path)
    facts = video.encode(path, asked()).facts
    assert (facts["width"], facts["sent_width"], facts["sent_height"]) == (1024, 512, 256)
    assert video.encode(path, asked(image_size=100)).facts["sent_height"] == 50


def test_times_are_told_as_clocks_in_longer_videos(tmp_path: Path) -> None:
    scene = {"at": 0, "items": [], "background": "red"}
    path = tmp_path / "a.mp4"
    video.make(
        {"seconds": 4000, "frames_per_second": 0.05, "size": [32, 32], "scenes": [scene]}, path
    )
    medium = video.encode(path, asked(video_frames=2))
    assert [one.text for one in medium.parts] == [
        "A video of 1:06:40 follows as 2 frames, each after its time.\n16:40:",
        "50:00:",
    ]


def test_the_sound_is_that_of_the_video(tmp_path: Path) -> None:
    import numpy as np

    from pytest_llamaburn.audio import clips as sounds

    path = clips.colours(tmp_path / "a.mp4", "red", "blue", "red", beep_at=1.0)
    medium = video.encode(path, asked(video_sound="sound"))
    sound = medium.parts[-1]
    heard = sounds.decode(sound.raw, "a")
    assert (sound.kind, heard.sample_rate) == ("audio", 16_000)
    assert heard.seconds == pytest.approx(3)
    loud = np.abs(heard.mono).reshape(30, -1).max(axis=1) > 0.1
    assert [*np.flatnonzero(loud)] == [*range(10, 20)]
    spectrum = np.abs(np.fft.rfft(heard.mono[16_000:32_000]))
    assert np.argmax(spectrum) == 440
    assert medium.facts["sent_bytes"] == sum(len(one.raw) for one in medium.parts)


def test_the_sound_of_a_long_video_is_sent_as_mp3(tmp_path: Path) -> None:
    path = clips.colours(tmp_path / "a.mp4", "red", seconds=61.0, beep_at=1.0)
    medium = video.encode(path, asked(video_sound="sound"))
    assert medium.facts["sound"] == "audio/mp3"
    assert len(medium.parts[-1].raw) < 61 * 48_000 / 8 * 1.1


def test_a_transcript_is_written_down_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []

    def understood(clip: Any) -> str:
        lengths.append(clip.seconds)
        return "a <|im_end|> tone"

    monkeypatch.setattr(_quality, "understood", understood)
    path = clips.colours(tmp_path / "a.mp4", "red", "blue", beep_at=0.5)
    medium = video.encode(path, asked(video_sound="transcript"))
    assert lengths == [2.0]
    assert medium.facts["transcript"] == "a <|im_end|> tone"
    assert medium.facts["transcript_by"] == "whisper:tiny.en"
    assert medium.text.partition("In the video is said: ")[2].startswith("a < | im_end| >  tone")
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\n\n")
    medium = video.encode(path, asked(video_sound="transcript"))
    assert "In the video nobody speaks." in medium.text
    (tmp_path / "a.srt").unlink()
    (tmp_path / "a.srt").mkdir()
    silent = clips.colours(tmp_path / "b.mp4", "red")
    facts = video.encode(silent, asked(video_sound="transcript")).facts
    assert facts["sound_reason"] == "the video has no sound"


def test_subtitles_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = clips.colours(tmp_path / "a.mp4", "red")
    (tmp_path / "a.srt").write_bytes(b"\xff\xfe\x00bad\xd8")
    words = refusal(DatasetError, video.encode, path, asked(video_sound="transcript"))
    assert "a.srt cannot be read" in words


@pytest.mark.parametrize(
    ("told", "decided"),
    [((), "none"), (("completion", "vision"), "none"), (("vision", "audio"), "sound")],
)
def test_sound_is_sent_if_the_server_says_that_the_model_hears(
    told: tuple[str, ...], decided: str
) -> None:
    model, server = Model("eye", "eye", capabilities=told), Server("x", None, "here", local=True)
    assert video.settled(asked(video_sound="auto"), model, server) == {"video_sound": decided}
    assert video.settled(asked(video_sound="transcript"), model, server) == {}


@pytest.mark.parametrize(
    ("option", "capability"), [({"video_as": "file"}, "video"), ({"video_sound": "sound"}, "audio")]
)
def test_what_the_model_surely_does_not_take_is_refused(
    option: dict[str, str], capability: str
) -> None:
    server = Server("x", None, "here", local=True)
    deaf = Model("eye", "eye", capabilities=("completion", "vision"))
    words = refusal(ServerError, video.settled, asked(**option), deaf, server)
    assert f"here says that eye has completion, vision, not {capability}" in words
    unknown = Model("eye", "eye")
    assert video.settled(asked(**option), unknown, server) == {}


def test_other_frames_are_another_request(tmp_path: Path) -> None:
    red, blue = (clips.colours(tmp_path / f"{name}.mp4", name) for name in ("red", "blue"))
    keys = [identified({}, [video.encode(path, asked())]) for path in (red, blue, red)]
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes): replace or remove it"),
        (b"plain text", "cannot be decoded: it is no video, or a damaged one"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert words in refusal(DatasetError, video.check, path)
    assert words in refusal(DatasetError, video.encode, path, asked())


def test_a_missing_video_a_directory_and_sound_alone_are_refused(tmp_path: Path) -> None:
    assert "it does not exist" in refusal(DatasetError, video.check, tmp_path / "gone.mp4")
    assert "it is a directory" in refusal(DatasetError, video.check, tmp_path)
    assert "has no pictures" in refusal(DatasetError, video.check, clips.tones(tmp_path / "a.mp4"))


@pytest.mark.parametrize(
    ("name", "options"), [("a.mp4", {"movflags": "faststart"}), ("a.mkv", {}), ("a.avi", {})]
)
def test_a_video_that_was_cut_in_the_middle_is_refused(
    tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    path = clips.other(tmp_path / name, "mpeg4", seconds=30, **options)
    video.check(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    words = refusal(DatasetError, video.check, path)
    assert "cut off" in words or "cannot be decoded" in words


def test_a_file_that_is_too_large_for_a_request_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clips.colours(tmp_path / "a.mp4", "red")
    monkeypatch.setattr(video, "_LARGEST_FILE", 100)
    words = refusal(DatasetError, video.encode, path, asked(video_as="file"))
    assert "leave out --video-as file, so that frames are sent" in words


def test_without_pyav_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    video.ready()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pytest-llamaburn\[video\]'"):
        video.ready()


@pytest.mark.parametrize(
    ("seconds", "group"),
    [(9, "up to 10 s"), (60.2, "up to 1 min"), (3600, "up to 1 h"), (4e3, "above 1 h")],
)
def test_groups_by_length(seconds: float, group: str) -> None:
    assert video.size_of({"seconds": seconds})[0] == group


@pytest.mark.parametrize("name", ["video_mme", "video_long"])
def test_a_set_with_videos_is_balanced_from_easy_to_hard(name: str) -> None:
    questions = load_eval_set(name).questions
    assert len(questions) >= 20
    categories = Counter(question.category for question in questions)
    assert len(categories) >= 4
    assert len(set(categories.values())) == 1
    levels = Counter(question.options["level"] for question in questions)
    assert min(levels[level] for level in ("easy", "medium", "hard")) >= 6
    made = [q["media"][0]["make"] for q in getattr(video_sets, name)()["questions"]]
    assert made == [question.media[0]["make"] for question in questions]


def test_lengths_of_the_long_set_go_from_a_minute_to_an_hour() -> None:
    made = [q.media[0]["make"]["seconds"] for q in load_eval_set("video_long").questions]
    assert sorted({seconds / 60 for seconds in made}) == [1, 5, 10, 20, 30, 60]


def test_clips_are_filmed_once_and_what_is_filmed_differently_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMABURN_CACHE_DIR", str(tmp_path / "cache"))
    by_id = {q.id: q for q in load_eval_set("video_mme").questions}
    for name in ("order-1", "sound-1"):
        assert modalities.check(by_id[name].media) == []
    clips.colours(modalities.located(by_id["order-1"].media[0]), "red", "blue")
    (note,) = modalities.check(by_id["order-1"].media)
    assert "is drawn differently" in note


def test_what_is_right_of_a_shipped_clip_is_in_its_pictures(tmp_path: Path) -> None:
    by_id = {q.id: q for q in load_eval_set("video_mme").questions}
    path = tmp_path / "a.mp4"
    video.make(by_id["order-2"].media[0]["make"], path)
    question = by_id["order-2"]
    frames = video.encode(path, asked()).parts
    seen = [nearest(Image.open(io.BytesIO(one.raw)).resize((1, 1))) for one in frames]
    assert ", ".join(dict.fromkeys(seen)) == question.reference
    pattern = question.options["pattern"]
    assert re.search(pattern, f"They are {question.reference}.")
    backwards = ", ".join(reversed((question.reference or "").split(", ")))
    assert not re.search(pattern, backwards)
    assert not re.search(pattern, f"{question.reference}, red")


def test_the_library_is_known_to_read_what_suffixes_say() -> None:
    assert {"mp4", "avi", "matroska", "mpegts", "webm", "mov"} <= {*av.formats_available}
