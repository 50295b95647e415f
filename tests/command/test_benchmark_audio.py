"""Benchmarks with recordings in the prompt: what is sent, and what the file and the table say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.command_line import run_cli
from support.scripted import LlamaCppFacade, ScriptedServer

from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

HEARS = json.dumps({"total_slots": 1, "modalities": {"audio": True}})
COUNTED = {
    "prompt_tokens": 70,
    "completion_tokens": 4,
    "prompt_tokens_details": {"audio_tokens": 50},
}


def benchmark(
    tmp_path: Path, server: ScriptedServer, *options: str, check: int = 0
) -> subprocess.CompletedProcess[str]:
    usual = (f"--host={server.host}/v1", "--iterations=2", "--warmup=1", "--no-profile")
    return run_cli("benchmark", "tiny:latest", *usual, *options, cwd=tmp_path, check=check)


def test_recordings_go_with_every_prompt_and_their_tokens_are_told_apart(tmp_path: Path) -> None:
    clips.write(levels.tone(440, 2, 16_000), tmp_path / "a.wav")
    clips.write(levels.tone(440, 1, 16_000), tmp_path / "b.flac")
    with ScriptedServer(LlamaCppFacade(props=HEARS, usage=COUNTED)) as server:
        done = benchmark(tmp_path, server, "--audio=a.wav", "--audio=b.flac")
        heard = [request for request in server.requests if b'"input_audio"' in request]
    assert len(heard) == 1 + 1 + 2  # a warm-up, the probe, two timed requests
    (path,) = (tmp_path / "results/benchmarks").glob("*.json")
    document: Any = results.load(path)["results"]
    sent = document["media"]["sent"]
    assert [(one["seconds"], one["sent_mime"]) for one in sent] == [
        (2, "audio/wav"),
        (1, "audio/wav"),
    ]
    assert all(one["prepare_ms"] > 0 for one in sent)
    assert [run["media_tokens"] for run in document["runs"]] == [50, 50]
    assert "with each prompt: a.wav 2 s, b.flac 1 s" in done.stdout


def test_a_recording_that_cannot_be_sent_or_is_not_taken_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"hello")
    facade = LlamaCppFacade(props=HEARS)
    with ScriptedServer(facade) as server:
        done = benchmark(tmp_path, server, "--audio=bad.wav", check=4)
    assert "bad.wav: cannot be read as sound" in done.stderr
    deaf = LlamaCppFacade(props=HEARS.replace("audio", "vision"))
    with ScriptedServer(deaf) as server:
        done = benchmark(tmp_path, server, "--audio=bad.wav", check=4)
    assert "tiny:latest takes no recordings" in done.stderr
    assert facade.chats == deaf.chats == 0
