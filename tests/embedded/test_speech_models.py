"""Real models of speech: Whisper hears sentences, DNSMOS hears noise."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_llamaburn import media_sets
from pytest_llamaburn.audio import clips
from pytest_llamaburn.audio.clips import clip_of
from pytest_llamaburn.backends import whisper
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.errors import ModelError
from pytest_llamaburn.kinds.eval.settings import Eval
from pytest_llamaburn.modalities import _quality, audio
from pytest_llamaburn.option import model_of
from pytest_llamaburn.scorers import wer

SET = media_sets.load("audio_stt", None)


def sentence(name: str) -> Any:
    return next(one for one in SET.questions if one.id == name)


async def heard(name: str) -> tuple[str, dict[str, Any]]:
    settings: Any = model_of(Eval)(model=("whisper:tiny.en",))
    backend = whisper.Backend(settings)
    await backend.open("whisper:tiny.en")
    model = await backend.describe("whisper:tiny.en")
    medium = audio.encode(Path(sentence(name).media[0]["path"]), settings)
    trace, measured = await audio.ask(backend, model, sentence(name), [medium], settings)
    assert trace.failure is None
    return trace.text, measured


def test_whisper_writes_down_a_sentence_of_the_set() -> None:
    text, measured = asyncio.run(heard("clear-1"))
    found = wer.score(text, sentence("clear-1"))
    assert found.details["wer"] == 0, text
    assert measured["audio_seconds"] == pytest.approx(3.4, abs=0.2)
    assert measured["api"] == "in this process"


def test_another_sentence_has_errors() -> None:
    text, _ = asyncio.run(heard("clear-2"))
    assert wer.score(text, sentence("clear-1")).details["wer"] > 0.5


def test_noise_lowers_the_quality_of_speech_and_what_is_understood() -> None:
    clean = clips.read(Path(sentence("clear-1").media[0]["path"]))
    noise = np.random.RandomState(0).standard_normal(len(clean.samples))
    scores = [
        _quality.score(clip_of(clean.mono + level * noise, clean.sample_rate))
        for level in (0.0, 0.01, 0.1)
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 2.8
    assert scores[-1] < 2.0


def test_a_chat_and_an_unknown_model_are_refused() -> None:
    backend = whisper.Backend(model_of(Eval)())
    model = asyncio.run(backend.describe("whisper:tiny.en"))
    trace = asyncio.run(backend.stream(backend.wire(), backend.payload(model, [])))
    assert trace.failure is not None
    assert trace.failure.kind == "unsupported"
    with pytest.raises(ModelError, match="unknown whisper model 'tiny'"):
        asyncio.run(backend.open("tiny"))
    assert isinstance(model, Model)
