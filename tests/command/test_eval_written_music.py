"""Music by a model of text: the command of the specification, and the set of tunes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.command_line import run_cli
from support.scripted import LlamaCppFacade, OllamaFacade, ScriptedServer

from pytest_llamaburn.audio import clips
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path

USUAL = ("--progress=plain", "--no-profile", "--warmup=0")
# Sixteen bars of 3/4 at 96: 30 s.
TUNE = "X:1\nT:Jazz\nM:3/4\nL:1/4\nQ:1/4=96\nK:G\n" + "G B d | e d B | c A F | G3 |\n" * 4


def document(folder: Path) -> dict[str, Any]:
    (path,) = (folder / "results/multimodal/music").glob("*.json")
    found: dict[str, Any] = results.load(path)
    assert results.check(found) is None
    return found


def test_a_model_of_text_writes_the_music_that_is_rendered(tmp_path: Path) -> None:
    facade = LlamaCppFacade(texts=[f"```abc\n{TUNE}```"])
    with ScriptedServer(facade) as server:
        asked = ("--prompt", "upbeat jazz", "--duration", "30s", "--output", "music.wav")
        host = f"--host={server.host}/v1"
        done = run_cli("eval", "--model", "tiny:latest", host, *USUAL, *asked, cwd=tmp_path)
        (body,) = [
            json.loads(r.partition(b"\r\n\r\n")[2]) for r in server.requests if b"bar{1" in r
        ]
    said = "music: the model writes ABC notation (llama.cpp has no endpoint for sound)"
    assert said in done.stderr
    assert "Write this music in ABC notation: upbeat jazz." in body["messages"][-1]["content"]
    assert "last 30 seconds" in body["messages"][-1]["content"]
    assert clips.read(tmp_path / "music.wav").seconds == 30
    assert (tmp_path / "music.abc").read_text() == TUNE
    assert (tmp_path / "music.mid").is_file()
    found = document(tmp_path)
    (item,) = found["results"]["items"]
    assert (item["correct"], item["verdict"]["extracted"]) == (True, "30 s")
    assert item["measured"]["constrained_by"] == "grammar"
    assert found["config"]["music_by"] == "abc"
    assert found["config"]["max_tokens"] > 512
    measured = found["results"]["measured"]
    assert measured["onset_f1"]["mean"] > 0.95
    assert measured["duration_error_s"]["mean"] == 0
    assert "onset f1" in done.stdout


def test_answers_that_are_no_abc_are_wrong_and_counted(tmp_path: Path) -> None:
    facade = OllamaFacade(texts=["La la la."])
    with ScriptedServer(facade) as server:
        host = f"--host={server.host}"
        words = ("--set=music_abc", "--limit=6", "--no-abc-grammar", "--threshold=parse_rate>0.5")
        done = run_cli("eval", "--model", "tiny", host, *USUAL, *words, cwd=tmp_path, check=1)
        chats = [r for r in server.requests if b"in ABC notation" in r]
        assert not any(b'"format"' in r for r in chats)
    found = document(tmp_path)["results"]
    rate = found["rates"]["parse_rate"]
    assert (rate["mean"], rate["n_scored"], rate["by_state"]) == (0, 6, {"unparsable": 6})
    assert found["correct"]["mean"] == 0
    assert found["measured"]["audio_seconds"]["n"] == 0
    assert "the answer is no ABC" in found["measured"]["audio_seconds"]["reason"]
    assert "parse_rate>0.5: fail" in done.stdout + done.stderr
