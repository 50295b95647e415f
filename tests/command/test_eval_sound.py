"""Evals with sound: the commands of the specification, their files, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from support.command_line import run_cli
from support.scripted import ScriptedServer
from support.sound_peer import SoundPeer

from pytest_llamaburn.audio import clips, levels

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

USUAL = ("--backend=openai", "--progress=none", "--no-profile", "--warmup=0")


class Room:
    """A directory, and a server for sound."""

    def __init__(self, cwd: Path, peer: SoundPeer, host: str) -> None:
        self.cwd, self.peer, self.host = cwd, peer, host

    def eval(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        host = f"--host={self.host}/v1"
        return run_cli("eval", "--model", "sound", host, *USUAL, *words, cwd=self.cwd, **more)

    def document(self, modality: str) -> dict[str, Any]:
        path, *_ = (self.cwd / "results/multimodal" / modality).glob("*.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setenv("LLAMABURN_CACHE_DIR", str(tmp_path / "cache"))
    peer = SoundPeer()
    with ScriptedServer(peer) as server:
        yield Room(tmp_path, peer, server.host)


def recordings(folder: Path, **references: str) -> None:
    for name, text in references.items():
        clips.write(levels.tone(440, 1, 16_000), folder / f"{name}.wav")
        (folder / f"{name}.txt").write_text(text)


def test_recordings_of_a_directory_are_transcribed_and_scored(room: Room) -> None:
    recordings(room.cwd / "audio", a="good morning", b="good evening all")
    room.peer.text = "Good morning!"
    done = room.eval("--set", "audio_stt", "--input", "./audio/")
    document = room.document("audio")
    found = {item["question"]["id"]: item for item in document["results"]["items"]}
    assert (found["a.wav"]["correct"], found["b.wav"]["correct"]) == (True, False)
    counts = found["b.wav"]["verdict"]["details"]
    assert (counts["substitutions"], counts["deletions"], counts["insertions"]) == (1, 1, 0)
    assert document["results"]["rates"]["wer"]["mean"] == pytest.approx(2 / 5)
    measured = document["results"]["measured"]
    assert measured["audio_seconds"]["mean"] == 1
    assert measured["real_time_factor"]["n"] == 2
    assert "real time factor" in done.stdout
    gates = ("--threshold=real_time_factor<1", "--threshold=wer<0.5")
    room.eval("--set=audio_stt", "--input=./audio/", *gates)
    done = room.eval("--set=audio_stt", "--input=./audio/", "--threshold=audio_seconds>2", check=1)
    assert "audio_seconds>2: fail: 1" in done.stderr + done.stdout
    schema = json.loads(run_cli("schema", "eval", cwd=room.cwd).stdout)
    jsonschema.Draft202012Validator(schema).validate(document)


def test_music_is_generated_and_kept(room: Room) -> None:
    asked = ("--prompt", "upbeat jazz", "--duration", "30s", "--output", "music.wav")
    done = room.eval(*asked, check=None)
    assert "music.wav: 10.0 s\n" in done.stdout
    assert "render ms, onset f1, notes: the music has no score\n" in done.stdout
    assert [one.get("duration_seconds") for _, one in room.peer.asked] == [None, 30]
    assert clips.read(room.cwd / "music.wav").seconds == 10
    (item,) = room.document("music")["results"]["items"]
    assert item["measured"]["duration_error_s"] == -20
    assert item["correct"] is False


def test_scenes_of_the_shipped_set_are_composed_as_they_were_when_it_was_made(room: Room) -> None:
    from pytest_llamaburn import media_sets, modalities

    found = media_sets.load("audio_events", None)
    assert len(found.questions) >= 20
    assert [note for one in found.questions for note in modalities.check(one.media)] == []


@pytest.mark.parametrize("name", ["audio_stt", "audio_events", "tts", "music", "music_abc"])
def test_shipped_sets_have_enough_questions_of_several_categories(name: str) -> None:
    from pytest_llamaburn import media_sets

    found = media_sets.load(name, None)
    assert len(found.questions) >= 20
    assert len({one.category for one in found.questions}) >= 3
    for one in found.questions:
        assert all(Path(medium["path"]).is_file() for medium in one.media if "path" in medium)


def test_a_directory_that_is_not_there_is_one_sentence(room: Room) -> None:
    done = room.eval("--set=audio_stt", "--input=./gone/", check=4)
    assert done.stderr == "llamaburn: --input: gone does not exist: name a directory of media\n"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "a.wav: cannot be read as sound: it is empty"),
        (b"RIFF....", "a.wav: cannot be read as sound"),
        (clips.encode(levels.tone(440, 1, 16_000))[:-99], "a.wav: cut off: 99 bytes are missing"),
    ],
)
def test_a_bad_recording_is_refused_before_the_run(room: Room, raw: bytes, reason: str) -> None:
    recordings(room.cwd / "audio", a="good morning")
    (room.cwd / "audio/a.wav").write_bytes(raw)
    done = room.eval("--set=audio_stt", "--input=./audio/", check=4)
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert not (room.cwd / "results/multimodal").exists()
    assert room.peer.asked == []
