"""A real engine of speech: its numbers, and that each is wrong once the engine is spoiled."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.command_line import run_cli
from support.speech_peer import NAME, Speech, engine, serving

from pytest_llamaburn.audio import clips
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.backends.openai import Backend
from pytest_llamaburn.evalsets import Question
from pytest_llamaburn.kinds.eval.settings import Eval
from pytest_llamaburn.modalities import speech
from pytest_llamaburn.option import model_of
from pytest_llamaburn.scorers import wer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("hibari", reason="the engine of speech is in the extra [test]")
TEXT = "The train leaves at nine. Please bring your own lunch."
SAID = Question("q", TEXT, TEXT, "c", scorer="wer")
Spoken = dict[str, Any]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Speech], Spoken]:
    """A function that has a text spoken and returns the numbers of the speech."""
    speak, folder = engine(), tmp_path_factory.mktemp("results")

    def measured(how: Speech) -> Spoken:
        with serving(speak, how) as host:
            settings: Any = model_of(Eval)(host=host, results_dir=str(folder))
            call = speech.ask(Backend(settings), Model(NAME, NAME), SAID, [], settings)
            trace, found = asyncio.run(call)
        assert trace.failure is None
        return {**found, "wer": wer.score(trace.text, SAID).details["wer"]}

    return measured


@pytest.fixture(scope="module")
def good(spoken: Callable[[Speech], Spoken]) -> Spoken:
    return spoken(Speech())


def test_good_speech_is_understood_and_sounds_good(good: Spoken) -> None:
    assert good["wer"] <= 0.1
    assert good["audio_quality_score"] > 2.8
    assert good["clipped_share"] == 0
    assert 0 < good["silent_share"] < 0.5
    assert 3 < good["audio_seconds"] < 6
    assert good["real_time_factor"] == good["generation_time_ms"] / 1000 / good["audio_seconds"]


def test_streamed_speech_is_the_same_begins_earlier_and_waits_for_a_slow_server(
    good: Spoken, spoken: Callable[[Speech], Spoken]
) -> None:
    found = spoken(Speech(streams=True, pause_s=1.0))
    assert found["wer"] == good["wer"]
    assert found["audio_seconds"] == good["audio_seconds"]
    assert found["time_to_first_audio_ms"] > 1000
    assert found["generation_time_ms"] > found["time_to_first_audio_ms"] + 1000
    assert found["real_time_factor"] > 2 / found["audio_seconds"]


def test_a_server_that_sends_silence_is_found_out(spoken: Callable[[Speech], Spoken]) -> None:
    found = spoken(Speech(spoil=np.zeros_like))
    assert found["silent_share"] == 1
    assert found["wer"] >= 1
    assert found["audio_quality_score"] is None


def test_clipped_speech_is_counted_and_sounds_worse(
    good: Spoken, spoken: Callable[[Speech], Spoken]
) -> None:
    found = spoken(Speech(spoil=lambda samples: np.clip(60 * samples, -1, 1)))
    assert found["clipped_share"] > 0.2
    assert found["audio_quality_score"] < good["audio_quality_score"] - 0.5


def test_other_words_at_half_the_speed_are_long_and_not_what_was_asked_for(
    good: Spoken, spoken: Callable[[Speech], Spoken]
) -> None:
    found = spoken(Speech(speed=0.5, says="A train leaves the old bridge. My brother has a cat."))
    assert found["audio_seconds"] > 1.6 * good["audio_seconds"]
    assert found["wer"] > 0.5
    assert found["audio_quality_score"] > 2.5


def test_the_command_of_the_specification_speaks(tmp_path: Path) -> None:
    with serving(engine(), Speech()) as host:
        words = ("--text", "Hello world", "--output", "speech.wav", f"--host={host}")
        done = run_cli("eval", "--model", NAME, *words, "--no-profile", cwd=tmp_path)
    (path,) = (tmp_path / "results/multimodal/speech").glob("*.json")
    (item,) = json.loads(path.read_text())["results"]["items"]
    assert item["correct"] is True
    assert clips.read(tmp_path / "speech.wav").seconds == item["measured"]["audio_seconds"]
    assert "speech.wav: 1.40 s, heard as 'Hello world.'" in done.stdout
    assert "audio quality" in done.stdout
    assert "tokens per second" not in done.stdout
