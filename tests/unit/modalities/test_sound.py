"""Sound to and from a server: each number is that of what came, and is wrong if that is broken."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.fake_sound import MIC, FakeLibrary, use
from support.scripted import Close, Pause, ScriptedServer, sized
from support.sound_peer import SoundPeer, streamed, wav

from pytest_llamaburn import kept_media
from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.audio.clips import clip_of
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.backends.openai import Backend
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.evalsets import Question
from pytest_llamaburn.kinds.eval.settings import Eval
from pytest_llamaburn.modalities import _quality, audio, live, music, speech
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.trace import Trace

RATE = 16_000
HELLO = Question("q", "Hello world", "Hello world", "c", scorer="wer")
JAZZ = Question("q", "upbeat jazz", None, "c", options={"seconds": 2})


def asked(
    modality: Any, peer: SoundPeer, question: Question, *recordings: Path, **fields: Any
) -> tuple[Trace, dict[str, Any]]:
    with ScriptedServer(peer) as server:
        settings: Any = model_of(Eval)(host=f"{server.host}/v1", **fields)
        backend = Backend(settings)
        media = [modality.encode(path, settings) for path in recordings]
        call = modality.ask(backend, Model("sound", "sound"), question, media, settings)
        found: tuple[Trace, dict[str, Any]] = asyncio.run(call)
        return found


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    clips.write(levels.tone(440, 2, RATE), path)
    return path


@pytest.fixture(autouse=True)
def _ears(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_quality, "understood", lambda clip: "hello word")
    monkeypatch.setattr(_quality, "score", lambda clip: 3.5)


@pytest.mark.parametrize("form", ["json", "verbose_json", "text"])
def test_a_recording_is_sent_as_it_is_and_its_text_comes_back(recording: Path, form: str) -> None:
    peer = SoundPeer(text=" Hello there. ")
    trace, measured = asked(audio, peer, HELLO, recording, stt_format=form, language="en")
    ((path, fields),) = peer.asked
    assert path == "/v1/audio/transcriptions"
    assert fields["file"] == recording.read_bytes()
    assert (fields["model"], fields["language"]) == (b"sound", b"en")
    assert fields["response_format"] == form.encode()
    assert (trace.text, trace.failure) == ("Hello there.", None)
    assert measured["audio_seconds"] == 2
    assert measured["real_time_factor"] == measured["latency_ms"] / 2000


def test_a_streamed_transcription_has_a_first_text(recording: Path) -> None:
    trace, _ = asked(audio, SoundPeer(text=streamed("Hello", " there")), HELLO, recording)
    assert trace.text == "Hello there"
    assert trace.first_ns is not None
    assert len(trace.delta_ns) == 2


def test_a_slow_server_has_a_higher_real_time_factor(recording: Path) -> None:
    slow: list[Any] = [Pause(0.2), sized(200, {"text": "Hello"})]
    _, measured = asked(audio, SoundPeer(text=slow), HELLO, recording)
    assert measured["real_time_factor"] >= 0.1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ([sized(404)], "not_found"),
        ([sized(200, {"no": "text"})], "malformed_chunk"),
        ([sized(200, {"text": 5})], "malformed_chunk"),
        ([Close()], "reset"),
    ],
)
def test_a_transcription_that_fails_is_a_failure(
    recording: Path, answer: list[Any], kind: str
) -> None:
    trace, measured = asked(audio, SoundPeer(text=answer), HELLO, recording)
    assert trace.failure is not None
    assert (trace.failure.kind, measured) == (kind, {})


def test_a_format_that_no_chat_takes_is_sent_as_wav(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    clips.write(levels.tone(440, 1, RATE), path)
    medium = audio.encode(path, None)
    assert (medium.mime, medium.facts["sent_mime"]) == ("audio/wav", "audio/wav")
    assert medium.facts["seconds"] == pytest.approx(1, abs=0.01)
    assert medium.facts["bytes"] == path.stat().st_size
    assert audio.size_of(medium.facts) == ("up to 5 s", 5)
    assert audio.size_of({"seconds": 9e9})[0] == "above 3600 s"


def test_only_transcriptions_are_asked_by_a_request_of_their_own() -> None:
    chat = HELLO._replace(scorer="vqa")
    for question, api, expected in (
        (HELLO, "auto", True),
        (chat, "auto", False),
        (HELLO, "chat", False),
        (chat, "transcriptions", True),
    ):
        assert audio.asks(question, model_of(Eval)(audio_api=api)) is expected


@pytest.mark.parametrize("raw", [b"", b"hello", clips.encode(clip_of([], RATE))])
def test_a_recording_that_cannot_be_used_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(raw)
    with pytest.raises(DatasetError, match=r"a\.wav"):
        audio.check(path)
    with pytest.raises(DatasetError, match=r"cannot be read"):
        audio.check(tmp_path / "none.wav")


def test_speech_is_kept_and_measured(tmp_path: Path) -> None:
    silent = np.zeros(24_000)
    spoken = clip_of(np.concatenate([levels.tone(440, 1, 24_000).mono, silent]), 24_000)
    peer = SoundPeer(speech=wav(spoken, pieces=4, pause_s=0.05))
    trace, measured = asked(speech, peer, HELLO, save_audio="speech.wav", voice="nova")
    assert peer.asked == [
        (
            "/v1/audio/speech",
            {"model": "sound", "input": "Hello world", "voice": "nova", "response_format": "wav"},
        )
    ]
    assert trace.text == "hello word"
    assert measured["audio_seconds"] == 2
    assert measured["silent_share"] == pytest.approx(0.5, abs=0.02)
    assert measured["real_time_factor"] == measured["generation_time_ms"] / 2000
    assert measured["time_to_first_audio_ms"] < measured["generation_time_ms"] - 100
    assert (measured["audio_quality_score"], measured["audio_quality_method"]) == (
        3.5,
        "DNSMOS P.835, overall",
    )
    assert measured["audio_path"] == "speech.wav"
    assert clips.read(tmp_path / "speech.wav").seconds == 2


def listed(raw: bytes) -> bytes:
    """Return a WAV file with a note before its samples, as some encoders write it."""
    note = b"LIST" + (26).to_bytes(4, "little") + b"INFOISFT".ljust(26, b"\0")
    size = int.from_bytes(raw[4:8], "little") + len(note)
    return raw[:4] + size.to_bytes(4, "little") + raw[8:36] + note + raw[36:]


def tagged(raw: bytes) -> bytes:
    """Return an MP3 file with a tag of 200 bytes before it."""
    return b"ID3\x04\0\0\0\0\x01\x48" + bytes(200) + raw


@pytest.mark.parametrize(
    ("form", "changed", "head"),
    [("wav", bytes, 44), ("wav", listed, 78), ("mp3", tagged, 210), ("flac", bytes, 42)],
)
def test_the_first_audio_is_no_header(form: str, changed: Any, head: int) -> None:
    raw = changed(clips.encode(levels.tone(440, 1, 24_000), form))
    opening = f"HTTP/1.1 200 OK\r\ncontent-length: {len(raw)}\r\n\r\n".encode()
    peer = SoundPeer(speech=[opening + raw[:head], Pause(0.1), raw[head:]])
    _, measured = asked(speech, peer, HELLO, speech_format=form)
    assert measured["time_to_first_audio_ms"] > 90
    assert measured["audio_seconds"] == pytest.approx(1, abs=0.1)


def test_the_first_audio_of_many_chunks_is_in_the_first_one() -> None:
    raw = clips.encode(levels.tone(440, 1, 24_000))
    pieces = [raw[:45], *(raw[at : at + 9] for at in range(45, len(raw), 9))]
    chunks = [f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces]
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    rest = b"".join(chunks[1:]) + b"0\r\n\r\n"
    peer = SoundPeer(speech=[head + chunks[0], Pause(0.1), rest])
    _, measured = asked(speech, peer, HELLO)
    early = measured["generation_time_ms"] - measured["time_to_first_audio_ms"]
    assert early > 90
    assert measured["audio_seconds"] == 1


def test_clipped_speech_is_told() -> None:
    loud = clip_of(np.clip(5 * levels.tone(440, 1, 24_000).mono, -1, 1), 24_000)
    _, measured = asked(speech, SoundPeer(speech=loud), HELLO)
    assert measured["clipped_share"] > 0.5


def test_silent_speech_has_no_quality() -> None:
    _, measured = asked(speech, SoundPeer(speech=clip_of(np.zeros(24_000), 24_000)), HELLO)
    assert measured["audio_quality_score"] is None
    assert measured["null_reasons"] == {"audio_quality_score": "the speech is silent"}
    assert measured["silent_share"] == 1


def test_speech_as_pcm_has_24_000_samples_a_second() -> None:
    samples = (levels.tone(440, 1, 24_000).mono * 32_767).astype("<i2").tobytes()
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(samples)}\r\n\r\n".encode()
    _, measured = asked(speech, SoundPeer(speech=[head, samples]), HELLO, speech_format="pcm")
    assert (measured["audio_seconds"], measured["sample_rate"]) == (1, 24_000)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [([sized(404)], "not_found"), ([sized(200, {"no": "sound"})], "malformed_chunk")],
)
def test_speech_that_fails_is_a_failure(answer: list[Any], kind: str) -> None:
    trace, measured = asked(speech, SoundPeer(speech=answer), HELLO)
    assert trace.failure is not None
    assert (trace.failure.kind, measured) == (kind, {})
    trace, measured = asked(music, SoundPeer(music=answer), JAZZ)
    assert trace.failure is not None
    assert (trace.failure.kind, measured) == (kind, {})


def test_music_is_measured_against_the_duration_that_was_asked_for(tmp_path: Path) -> None:
    peer = SoundPeer(music=levels.tone(220, 1.5, RATE))
    trace, measured = asked(music, peer, JAZZ)
    ((path, body),) = peer.asked
    assert (path, body["text"], body["duration_seconds"]) == (
        "/v1/sound-generation",
        "upbeat jazz",
        2,
    )
    assert trace.text == "1.50 s"
    assert (measured["asked_seconds"], measured["duration_error_s"]) == (2, -0.5)
    assert measured["spectral_flatness"] < 0.01
    kept = tmp_path / measured["audio_path"]
    assert kept == kept_media.found(tmp_path / "results", measured["audio_id"])
    assert clips.read(kept).seconds == 1.5


def test_silent_music_has_no_flatness() -> None:
    _, measured = asked(music, SoundPeer(music=clip_of(np.zeros(RATE), RATE)), JAZZ)
    assert measured["null_reasons"]["spectral_flatness"] == "the music is silent"
    assert measured["null_reasons"]["onset_f1"] == "the music has no score"


def heard(*parts: float) -> list[Any]:
    """Return blocks of sound: seconds of a tone, and negative ones of silence."""
    rows = [
        levels.tone(440, abs(s), 48_000).samples * (s > 0) if s else np.zeros((0, 1)) for s in parts
    ]
    whole = np.concatenate(rows).astype(np.float32)
    return [whole[start : start + 1024] for start in range(0, len(whole), 1024)]


def live_session(
    monkeypatch: pytest.MonkeyPatch, peer: SoundPeer, *parts: float, **fields: Any
) -> tuple[Trace, dict[str, Any], list[str]]:
    library = use(monkeypatch, FakeLibrary(MIC))
    library.blocks = heard(*parts)
    told: list[str] = []
    monkeypatch.setattr(live.TELLER, "say", told.append)
    trace, measured = asked(live, peer, HELLO, device="yeti", live_audio=True, **fields)
    return trace, measured, told


def test_each_stretch_of_live_speech_is_transcribed_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = iter(("one", "two", "three"))
    sent: list[float] = []

    def text_of(raw: bytes) -> str:
        sent.append(clips.decode(raw, "x").seconds)
        return next(texts)

    parts = (1.0, -1.0, 2.0, -0.3, 0.5, -1.0, 0.1, -1.0, 0.6)
    trace, measured, told = live_session(monkeypatch, SoundPeer(text=text_of), *parts)
    assert trace.text.split() == ["one", "two", "three"]
    assert told == ["listening to 'Blue Yeti' for 60 s", "one", "two", "three"]
    assert [round(s, 1) for s in sent] == [1.2, 3.2, 0.8]
    starts = [round(part["start_s"], 1) for part in measured["stretches"]]
    assert starts == [0.0, 2.0, 6.9]
    assert measured["speech_seconds"] == pytest.approx(4.4, abs=0.1)
    assert measured["ended"] == "the device 'Blue Yeti' stopped sending sound"
    assert measured["delay_ms"] > 0
    assert measured["overruns"] == 0


def test_live_speech_without_a_pause_is_cut_after_15_s(monkeypatch: pytest.MonkeyPatch) -> None:
    _, measured, _ = live_session(monkeypatch, SoundPeer(), 20.0, duration=18)
    ends = [(part["end_s"], part["text"]) for part in measured["stretches"]]
    assert ends[0] == (pytest.approx(15, abs=0.1), "Hello.")
    assert measured["audio_seconds"] == pytest.approx(18, abs=0.1)
    assert measured["ended"] is None


def test_live_silence_has_reasons_instead_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    trace, measured, _ = live_session(monkeypatch, SoundPeer(), -1.0)
    assert trace.text == ""
    assert measured["delay_ms"] is measured["real_time_factor"] is None
    assert measured["null_reasons"]["delay_ms"] == "no speech was heard"


def test_a_failed_transcription_ends_a_live_session(monkeypatch: pytest.MonkeyPatch) -> None:
    trace, _, _ = live_session(monkeypatch, SoundPeer(text=[sized(500)]), 1.0, -1.0, 1.0)
    assert trace.failure is not None
    assert threading.active_count() < 50


def test_a_long_sound_in_many_reads_is_whole() -> None:
    """Sound is no text: a part of it that is not a line must not be dropped while it arrives."""
    clip = clip_of(np.random.default_rng(0).uniform(-0.5, 0.5, 30 * 24_000), 24_000)
    trace, measured = asked(music, SoundPeer(music=wav(clip, pieces=40)), JAZZ)
    assert trace.failure is None
    assert measured["audio_seconds"] == 30
    assert measured["bytes"] == 44 + 2 * 30 * 24_000
