"""Evals with videos: which frames are sent, what is recorded, and what is refused."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from support import clips
from support.command_line import run_cli
from support.eval_rooms import items_by_id, room
from support.eval_servers import Pupil
from support.scripted import ScriptedServer, sized
from support.watcher import TOKENS, Watcher, colour, data_of, frames

from pytest_llamaburn.modalities import video
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORDER = "Which colours, in order?"
THREE = ("red", "green", "blue")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMABURN_CACHE_DIR", str(tmp_path / "cache"))


def videos(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    """A directory with a clip of three seconds, and what is asked about it."""
    folder = tmp_path / "videos"
    clips.colours(folder / "clip.mp4", *THREE)
    asked = rows or ({},)
    usual = {"media": "clip.mp4", "prompt": ORDER, "reference": "red, green, blue"}
    (folder / "manifest.json").write_text(json.dumps([{**usual, **row} for row in asked]))
    return folder


class Room:
    """A directory and a server with a model that watches."""

    def __init__(self, cwd: Path, host: str) -> None:
        self.cwd, self.host = cwd, host

    def eval(self, *words: str, **more: Any) -> Any:
        usual = (f"--host={self.host}", "--no-profile", "--warmup=0", "--progress=plain")
        given = ("eval", "--model", "tiny:latest", "--set", "video_mme", "--input", "./videos/")
        return run_cli(*given, *usual, *words, cwd=self.cwd, **more)

    @property
    def path(self) -> Path:
        return max((self.cwd / "results/multimodal/video").glob("*.json"))

    @property
    def document(self) -> dict[str, Any]:
        return results.load(self.path)


@contextmanager
def watched(cwd: Path, watcher: Watcher) -> Iterator[Room]:
    with ScriptedServer(watcher) as server:
        yield Room(cwd, server.host)


def test_frames_are_sent_with_their_times_and_recorded(tmp_path: Path) -> None:
    videos(tmp_path)
    watcher = Watcher()
    with watched(tmp_path, watcher) as where:
        done = where.eval("--video-rate=2")
        document = where.document
    (content,) = watcher.asked
    assert [colour(image) for image in frames(content)] == [*("red",) * 2, *("green",) * 2] + [
        "blue"
    ] * 2
    texts = [one["text"] for one in content if one["type"] == "text"]
    head = "A video of 3.0 s follows as 6 frames, each after its time.\n0.0 s:"
    assert texts == [head, "0.5 s:", "1.0 s:", "1.5 s:", "2.0 s:", "2.5 s:", ORDER]
    assert [one["type"] for one in content] == [*("text", "image_url") * 6, "text"]
    (item,) = document["results"]["items"]
    assert item["correct"] is True
    (medium,) = item["media"]
    assert medium["frames"] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert (medium["seconds"], medium["sampled_by"]) == (3.0, "rate")
    assert (medium["sent_width"], medium["sent_height"]) == clips.SIZE
    images = [one["image_url"]["url"] for one in content if one["type"] == "image_url"]
    assert medium["sent_bytes"] == sum(len(data_of(url)) for url in images)
    assert medium["prepare_ms"] > 0
    assert document["telemetry"]["media_probe"]["prompt_tokens"] == TOKENS
    assert "as 6 frames" in done.stdout
    assert "video by length" in done.stdout
    schema = json.loads(run_cli("schema", "eval", cwd=tmp_path).stdout)
    jsonschema.Draft202012Validator(schema).validate(document)


def test_more_frames_than_the_budget_are_spread_over_the_video(tmp_path: Path) -> None:
    videos(tmp_path)
    watcher = Watcher()
    with watched(tmp_path, watcher) as where:
        done = where.eval("--video-rate=4", "--video-frames=3", "--image-size=32")
        (item,) = where.document["results"]["items"]
    assert [colour(image) for image in frames(watcher.asked[0])] == [*THREE]
    assert {image.size for image in frames(watcher.asked[0])} == {(32, 24)}
    (medium,) = item["media"]
    assert (medium["frames"], medium["sampled_by"]) == ([0.5, 1.5, 2.5], "budget")
    assert (medium["video_rate"], medium["video_frames"], medium["resized"]) == (4, 3, True)
    assert "1 of them at less than --video-rate" in done.stdout


def test_a_model_that_sees_another_order_is_wrong(tmp_path: Path) -> None:
    videos(tmp_path, {"options": {"temporal": True}}, {"id": "b", "prompt": "What is first?"})
    with watched(tmp_path, Watcher(sees=lambda seen: [*reversed(seen)])) as where:
        where.eval()
        shares = where.document["results"]
    assert shares["correct"]["right"] == 0
    assert (shares["rates"]["temporal_accuracy"]["mean"], shares["correct"]["n_scored"]) == (0, 2)


def test_accuracies_of_parts_can_be_gated_and_compared(tmp_path: Path) -> None:
    videos(tmp_path, {"options": {"temporal": True}}, {"id": "b", "reference": "a dog"})
    with watched(tmp_path, Watcher()) as where:
        where.eval("--threshold=temporal_accuracy.mean>=1", "--threshold=correct.mean>=0.5")
        good = where.path
        assert where.document["results"]["rates"]["temporal_accuracy"]["n_total"] == 1
    with watched(tmp_path, Watcher(sees=lambda seen: [*reversed(seen)])) as where:
        gate = "--threshold=temporal_accuracy.mean>=1"
        done = where.eval(gate, "--video-frames=12", check=1)
        assert "temporal_accuracy.mean>=1: fail: 0" in done.stdout
        compared = run_cli("compare", str(good), str(where.path), cwd=tmp_path)
    assert "video_frames" in compared.stdout
    assert "correct" in compared.stdout


def test_sound_goes_to_a_model_that_hears(tmp_path: Path) -> None:
    folder = videos(tmp_path, {"options": {"audio_visual": True}})
    clips.colours(folder / "clip.mp4", *THREE, beep_at=1.0)
    hearing = Watcher(senses=("vision", "audio"))
    with watched(tmp_path, hearing) as where:
        where.eval()
        (item,) = where.document["results"]["items"]
        assert where.document["config"]["video_sound"] == "sound"
    (sound,) = [one for one in hearing.asked[0] if one["type"] == "input_audio"]
    assert sound["input_audio"]["format"] == "wav"
    assert item["media"][0]["sound"] == "audio/wav"
    assert where.document["results"]["rates"]["audio_visual_accuracy"]["mean"] == 1


def test_a_whole_file_goes_only_to_a_server_that_takes_videos(tmp_path: Path) -> None:
    folder = videos(tmp_path)
    watcher = Watcher(senses=("vision", "video"))
    with watched(tmp_path, watcher) as where:
        where.eval("--video-as=file")
        (item,) = where.document["results"]["items"]
    kinds = [one["type"] for one in watcher.asked[0]]
    assert kinds == ["video_url", "text"]
    raw = data_of(watcher.asked[0][0]["video_url"]["url"])
    assert raw == (folder / "clip.mp4").read_bytes()
    assert [one["type"] for one in watcher.probes[0]] == ["video_url", "text"]
    assert (item["media"][0]["sent_as"], item["media"][0]["frames"]) == ("file", [])


def test_ollama_gets_the_frames_in_order_and_their_times_before_the_question(
    tmp_path: Path,
) -> None:
    folder = videos(tmp_path)
    pupil = Pupil(capabilities=("completion", "vision"), answers={"": "red, green, blue"})
    with room(tmp_path, pupil) as where:
        where.eval("--set=video_mme", f"--input={folder}")
    (message,) = pupil.asked[0]["messages"]
    assert len(message["images"]) == 3
    told, asked = message["content"].split("\n\n")
    assert told.endswith(
        "3 frames of a video of 3.0 s, in order, at these times: 0.0 s, 1.0 s, 2.0 s."
    )
    assert asked == ORDER


def test_a_long_video_is_a_failure_of_its_own_and_not_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    clip = {"seconds": 24, "frames_per_second": 1, "size": [512, 288]}
    scene = {"at": 0, "items": [], "background": "red"}
    video.make({**clip, "scenes": [scene]}, folder / "long.mp4")
    (folder / "long.txt").write_text("red")
    watcher = Watcher()
    with watched(tmp_path, watcher) as where:
        done = where.eval("--video-frames=24", check=5)
        document = where.document
    assert watcher.asked == []
    (item,) = document["results"]["items"]
    assert (item["error"]["kind"], item["correct"]) == ("media_overflow", None)
    words = "24 frames of a video take at least 2400 tokens, and the context has 2048"
    assert words in item["error"]["message"]
    assert "use --video-frames 19" in item["error"]["message"]
    assert words in done.stderr
    assert len(item["media"][0]["frames"]) == 24


def test_what_the_server_says_of_too_many_frames_is_told_apart(tmp_path: Path) -> None:
    videos(tmp_path, {"id": "a", "prompt": "too long"}, {"id": "b"})
    no = {"error": {"code": 400, "message": "x", "type": "exceed_context_size_error"}}
    with watched(tmp_path, Watcher(replies={"too long": [sized(400, no)]})) as where:
        where.eval(check=1)
        found = items_by_id(where.document)
    assert found["a"]["error"]["kind"] == "media_overflow"
    assert (found["a"]["correct"], found["b"]["correct"]) == (None, True)


def test_a_bad_video_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    path = videos(tmp_path, {"id": "a"}, {"id": "b"}, {"id": "c", "media": "d.mp4"}) / "clip.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    path.with_name("d.mp4").write_bytes(b"")
    watcher = Watcher()
    with watched(tmp_path, watcher) as where:
        done = where.eval(check=4)
    assert "clip.mp4 cannot be decoded: it is no video" in done.stderr
    assert "; 1 more file: videos/d.mp4" in done.stderr
    assert "Traceback" not in done.stderr
    assert (watcher.asked, watcher.probes) == ([], [])
    assert not (tmp_path / "results" / "multimodal").exists()


def test_shipped_clips_are_filmed_and_asked(tmp_path: Path) -> None:
    watcher = Watcher()
    with ScriptedServer(watcher) as server:
        usual = (f"--host={server.host}", "--no-profile", "--warmup=0", "--limit=6")
        run_cli("eval", "tiny:latest", "--set=video_mme", *usual, cwd=tmp_path)
    assert len(watcher.asked) == 6
    assert all(len(frames(content)) > 3 for content in watcher.asked)
    (path,) = (tmp_path / "results/multimodal/video").glob("*.json")
    by_category = results.load(path)["results"]["by_category"]
    assert sorted(by_category) == ["count", "motion", "order", "sound", "thing", "when"]


def test_a_benchmark_sends_a_video_with_every_prompt(tmp_path: Path) -> None:
    clip = clips.colours(tmp_path / "clip.mp4", *THREE)
    watcher = Watcher()
    with ScriptedServer(watcher) as server:
        usual = (f"--host={server.host}", "--no-profile", "--warmup=0", "--iterations=2")
        given = ("--video", str(clip), "--video-frames=2")
        done = run_cli("benchmark", "tiny:latest", *given, *usual, cwd=tmp_path)
    assert [len(frames(content)) for content in watcher.asked] == [2, 2]
    (path,) = (tmp_path / "results" / "benchmarks").glob("*.json")
    media = results.load(path)["results"]["media"]
    assert media["sent"][0]["frames"] == [0.75, 2.25]
    assert media["probes"]["video"]["prompt_tokens"] == TOKENS
    assert "with each prompt: clip.mp4 as 2 frames of 64 × 48" in done.stdout
