"""Written music as sound: its numbers, which are wrong if the sound is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.scripted import ScriptedServer, sized

from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.backends._base import Server
from pytest_llamaburn.backends.openai import Backend
from pytest_llamaburn.errors import AudioError
from pytest_llamaburn.evalsets import Question
from pytest_llamaburn.kinds.eval.settings import Eval
from pytest_llamaburn.modalities import _onsets, _synthesis, _written, music
from pytest_llamaburn.notation.reading import tune_in
from pytest_llamaburn.option import model_of

# "Ode to Joy" of Beethoven's Ninth, with its repeat and a chord.
ODE = """\
X:1
T:Ode to Joy
M:4/4
L:1/4
Q:1/4=150
K:D
F F G A | A G F E | D D E F | F>E E2 |
F F G A | A G F E | D D E F | E>D D2 |
E E F D | E F/G/ F D | E F/G/ F E | D E A,2 |
[DFA] F G A | A G F E | D D E F | E>D [DFA]2 |]
"""
ASKED = Question("q", "ode", None, "c", scorer="abc", options={"seconds": 20})


def settings(folder: Path, **more: Any) -> Any:
    return model_of(Eval)(results_dir=str(folder), **more)


@pytest.fixture(scope="module")
def sound() -> clips.Clip:
    return _synthesis.rendered(tune_in(ODE))


def test_the_onsets_of_a_known_piece_are_found_in_its_rendering(sound: clips.Clip) -> None:
    score, heard = tune_in(ODE).onsets, _onsets.onsets_of(sound)
    assert len(score) == 62
    assert _onsets.f1(score, heard) >= 0.98
    assert sound.seconds == pytest.approx(64 * 60 / 150, abs=0.001)


def test_onsets_that_are_shifted_or_missing_lower_the_f1(sound: clips.Clip) -> None:
    score, heard = tune_in(ODE).onsets, _onsets.onsets_of(sound)
    assert _onsets.f1([one + 0.1 for one in score], heard) < 0.1
    assert _onsets.f1(score[:31], heard) == pytest.approx(2 * 31 / (31 + 62), abs=0.02)
    assert _onsets.f1([], heard) == 0
    assert _onsets.f1(score, []) == 0
    assert _onsets.f1([1.0, 1.02], [1.01]) == pytest.approx(2 / 3)  # each is used once


def test_silence_has_no_onset_and_a_lost_half_of_the_sound_costs_its_onsets(
    sound: clips.Clip,
) -> None:
    score = tune_in(ODE).onsets
    assert _onsets.onsets_of(clips.clip_of(np.zeros(44_100), 44_100)) == []
    cut = sound.samples.copy()
    cut[len(cut) // 2 :] = 0
    half = _onsets.f1(score, _onsets.onsets_of(clips.clip_of(cut, sound.sample_rate)))
    assert half == pytest.approx(2 / 3, abs=0.04)


def test_a_note_sounds_at_its_pitch_and_rests_are_silent() -> None:
    head = "X:1\nM:4/4\nL:1/4\nQ:1/4=60\nK:C\n"
    for note, hertz in {"A": 440, "c": 523.25, "A,": 220}.items():
        found = levels.frequency_hz(_synthesis.rendered(tune_in(f"{head}{note}2")))
        assert found == pytest.approx(hertz, rel=0.005)
    rests = _synthesis.rendered(tune_in(f"{head}C z3"))
    assert levels.levels(rests).silent_share == pytest.approx(0.75, abs=0.03)
    assert levels.levels(rests).clipped_share == 0


def test_the_numbers_of_a_tune_are_those_of_its_sound_and_of_the_answer(tmp_path: Path) -> None:
    found = _written.measured(ASKED, f"Here:\n{ODE}", 2000.0, "grammar", settings(tmp_path))
    assert found["audio_seconds"] == pytest.approx(25.6, abs=0.001)
    assert found["duration_error_s"] == pytest.approx(5.6, abs=0.001)
    assert found["generation_time_ms"] == pytest.approx(2000 + found["render_ms"])
    assert found["render_ms"] > 0
    assert found["real_time_factor"] == pytest.approx(
        found["generation_time_ms"] / 25_600, rel=1e-4
    )
    assert (found["notes"], found["constrained_by"]) == (66, "grammar")
    assert found["onset_f1"] >= 0.98
    assert 0 < found["spectral_flatness"] < 0.1
    kept = clips.read(Path(found["audio_path"]))
    assert kept.seconds == pytest.approx(25.6, abs=0.001)
    assert Path(found["abc_path"]).read_text() == ODE
    assert Path(found["midi_path"]).read_bytes()[:4] == b"MThd"


def test_without_a_time_or_a_length_asked_for_the_numbers_say_so(tmp_path: Path) -> None:
    asked = ASKED._replace(options={})
    found = _written.measured(asked, "X:1\nL:1/64\nK:C\nC", None, "none", settings(tmp_path))
    assert (found["generation_time_ms"], found["real_time_factor"]) == (None, None)
    assert found["null_reasons"]["spectral_flatness"] == "the music is shorter than 50 ms"
    assert "duration_error_s" not in found


def test_an_answer_that_is_no_abc_has_no_sound_and_says_why(tmp_path: Path) -> None:
    found = _written.measured(ASKED, "la la", 2000.0, "none", settings(tmp_path))
    assert found["audio_seconds"] is None
    assert found["null_reasons"]["audio_seconds"].startswith(
        "the answer is no ABC: there is no tune"
    )
    assert not [*tmp_path.iterdir()]


def test_a_sound_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.mid").mkdir()
    with pytest.raises(AudioError, match=r"a\.wav: cannot be written"):
        _written.measured(
            ASKED, ODE, 1.0, "none", settings(tmp_path, save_audio=str(tmp_path / "a.wav"))
        )


@pytest.mark.parametrize(
    ("kind", "statuses", "way", "words"),
    [
        ("openai", 404, "abc", "the server answers /sound-generation with 404"),
        ("openai", 422, "endpoint", "the server sends sound"),
        ("ollama", 422, "abc", "ollama has no endpoint for sound"),
    ],
)
def test_how_music_is_asked_for_is_found_out_and_said(
    tmp_path: Path, kind: str, statuses: int, way: str, words: str
) -> None:
    plain = ASKED._replace(scorer="duration")
    with ScriptedServer(lambda request: [sized(statuses, {})]) as server:
        given = settings(tmp_path, host=f"{server.host}/v1")
        identity = Server(kind, None, server.host, local=True)
        backend = Backend(given)
        found, said = asyncio.run(music.way(backend, identity, [plain], given))
        assert found == {"music_by": way}
        assert words in said
        found, said = asyncio.run(music.way(backend, identity, [ASKED], given))
        assert (found, "as the set asks" in said) == ({"music_by": "abc"}, True)
        chosen = settings(tmp_path, music_by="endpoint", host=f"{server.host}/v1")
        found, said = asyncio.run(music.way(backend, identity, [plain], chosen))
        assert (found, "as --music-by says" in said) == ({"music_by": "endpoint"}, True)


def test_servers_that_take_a_grammar_get_one_and_others_none(tmp_path: Path) -> None:
    given = settings(tmp_path)
    body: dict[str, Any] = {"messages": []}
    kinds = {kind: Server(kind, None, "h", local=True) for kind in ("llama.cpp", "ollama", "vllm")}
    sent = {n: music.constrained(body, ASKED, one, given) for n, one in kinds.items()}
    assert "bar{1,15}" in sent["llama.cpp"]["grammar"]
    assert sent["ollama"]["format"]["properties"]["bars"]["maxItems"] == 15
    assert sent["vllm"] == body
    free = settings(tmp_path, abc_grammar=False)
    assert all(music.constrained(body, ASKED, one, free) == body for one in kinds.values())
