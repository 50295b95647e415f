"""A run on dropped files that is cut: its files stay until it is complete."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from support.scripted import Hang, ScriptedServer, Steps
from support.served import Served, serving
from support.sound_peer import SoundPeer
from support.web_api import WAITS_S

from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.web import uploads

if TYPE_CHECKING:
    from pathlib import Path

RAW = {"content-type": "application/octet-stream"}


class Ears:
    """Transcribes one recording, and hangs at the second one until the run was cut."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.hangs = threading.Event()

    def __call__(self, raw: bytes) -> str | Steps:
        self.heard.append(raw)
        if len(self.heard) == 2:
            self.hangs.set()
            return [Hang()]
        return "good morning"


def begun(served: Served, host: str) -> str:
    """Drop two recordings, and start an eval on them; return the upload's id."""
    upload = served.client.post("/uploads", json={"modality": "audio"}).json()
    path = f"/uploads/{upload['id']}"
    for n in range(2):
        sound = clips.encode(levels.tone(440 + n, 1, 16_000))
        served.client.post(f"{path}/files?name={n}.wav", content=sound, headers=RAW)
    samples = [{"file": n, "reference": "good morning"} for n in range(2)]
    served.client.put(f"{path}/samples", json={"samples": samples})
    settings = {"model": "sound", "backend": "openai", "host": f"{host}/v1", "profile": False}
    asked = {"set": ["audio_stt"], "input": upload["setting"], "warmup": 0}
    answer = served.client.post("/eval/run", json={**settings, **asked})
    assert answer.status_code == 202, answer.text
    return str(upload["id"])


def test_dropped_files_stay_until_a_run_that_was_cut_is_complete(tmp_path: Path) -> None:
    ears, home = Ears(), tmp_path / "results" / uploads.FOLDER
    with ScriptedServer(SoundPeer(text=ears)) as peer:
        with serving(tmp_path) as first:
            upload = begun(first, peer.host)
            assert ears.hangs.wait(WAITS_S)
            first.process.send_signal(signal.SIGTERM)
            assert first.process.wait(WAITS_S) == 0
        assert sorted(one.name for one in home.glob("*/*")) == ["0.wav", "1.wav", "manifest.json"]
        with serving(tmp_path) as second:
            (cut,) = second.client.get("/jobs").json()["unfinished"]
            job = second.client.post("/eval/run", json={"resume": cut["run_id"]}).json()
            over = second.wait(f"/jobs/{job['id']}", lambda job: job["state"] == "ended")
            second.wait("/jobs", lambda _: not (home / upload).exists())
            row = second.client.get("/results/multimodal").json()["rows"][0]
    assert (over["exit_code"], row["status"]) == (0, "complete")
    assert len(ears.heard) == 3
    assert ears.heard[1] == ears.heard[2]
