"""`llamaburn audio`: lists, tests and their refusals, with an imitation of a device."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.fake_sound import MIC, SPEAKERS, FakeLibrary, use

from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.commands import audio, main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeLibrary:
    monkeypatch.chdir(tmp_path)
    return use(monkeypatch, FakeLibrary(MIC, SPEAKERS))


def test_the_list_names_defaults_rates_and_channels(
    library: FakeLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audio", "list", "--wide"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["input", "Blue", "Yeti", "yes", "ALSA", "fake", "48000", "Hz", "2"]
    assert main(["audio", "list", "-o", "json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["Blue Yeti", "Speakers"]


def test_no_device_is_told(library: FakeLibrary, capsys: pytest.CaptureFixture[str]) -> None:
    library.known.clear()
    assert main(["audio", "list"]) == 0
    assert capsys.readouterr().out.startswith("This machine has no audio device.")


def test_a_recording_is_drawn_and_measured(
    library: FakeLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    library.blocks = [np.tile(levels.tone(480, 1, 48_000).samples, (2, 1))]
    words = ["audio", "test-input", "--device", "Blue Yeti", "--duration", "2s", "-o", "a.wav"]
    assert main([*words, "--sample-rate", "48000"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines[3]) == 80
    assert lines[8:] == [
        "recorded   2.0 s from 'Blue Yeti', 48000 Hz",
        "peak       -6.0 dBFS",
        "RMS        -9.1 dBFS",
        "clipping   none",
        "silence    0% of the time",
        "frequency  480 Hz is the strongest",
        "lost       nothing",
        "saved      a.wav",
    ]


def test_clipping_silence_and_lost_samples_are_told(
    library: FakeLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    library.blocks, library.lost = [np.ones((48_000, 1), dtype=np.float32)], [True]
    assert main(["audio", "test-input", "--duration", "1", "--sample-rate", "48000"]) == 0
    out = capsys.readouterr().out
    assert "clipping   100.0% of the samples: lower the gain of the input" in out
    assert "lost       1 time: raise --buffer-size" in out
    library.blocks = [np.zeros((48_000, 1), dtype=np.float32)]
    library.TELLS_OVERRUNS = False
    assert main(["audio", "test-input", "--duration", "1"]) == 0
    out = capsys.readouterr().out
    assert "silence    all of it: check that the input is connected, not muted, and its gain" in out
    assert "peak       - (every sample is 0)" in out
    assert "lost       - (fake does not tell)" in out


def test_the_numbers_of_a_recording_as_json_have_reasons(
    library: FakeLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    library.blocks = [np.zeros((48_000, 1), dtype=np.float32)]
    library.TELLS_OVERRUNS = False
    assert main(["audio", "test-input", "--duration", "1", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["seconds"], found["peak_dbfs"], found["silent_share"]) == (1, None, 1)
    assert found["null_reasons"] == {
        "overruns": "fake does not tell",
        "peak_dbfs": "every sample is 0",
        "rms_dbfs": "every sample is 0",
        "frequency_hz": "every sample is 0",
    }


def test_a_recording_that_breaks_off_is_kept_and_fails(
    library: FakeLibrary, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    library.blocks = library.blocks[:24]
    words = ["--sample-rate=48000", "--duration=5s", "-o", "heard.mp3"]
    assert main(["audio", "test-input", *words]) == 4
    shown = capsys.readouterr()
    assert shown.err == (
        "llamaburn: the device 'Blue Yeti' stopped sending sound: the 0.5 s before are kept\n"
    )
    assert "recorded   0.5 s" in shown.out
    assert [path.name for path in tmp_path.iterdir()] == ["heard.mp3"]
    assert clips.read(tmp_path / "heard.mp3").seconds == pytest.approx(0.5, abs=0.1)


def test_a_tone_and_a_file_are_played(
    library: FakeLibrary, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["audio", "test-output", "--device", "Speakers", "--duration", "1s"]) == 0
    assert "played a tone of 440 Hz for 1.0 s on 'Speakers'" in capsys.readouterr().out
    played = clips.clip_of(np.concatenate(library.played), 48_000)
    assert levels.frequency_hz(played) == pytest.approx(440, abs=1)
    clips.write(levels.tone(600, 1, 8000), tmp_path / "a.ogg")
    library.lost = [True, True]
    assert main(["audio", "test-output", "--file", "a.ogg"]) == 0
    out = capsys.readouterr().out
    assert "played a.ogg for 1.0 s" in out
    assert "ran out of samples 2 times: raise --buffer-size" in out


def test_the_configuration_chooses_devices_and_form(library: FakeLibrary, tmp_path: Path) -> None:
    library.rates = {22_050}
    (tmp_path / "llamaburn.toml").write_text(
        '[audio]\ninput_device = "yeti"\noutput_device = "default"\n'
        "sample_rate = 22050\nchannels = 2\nbuffer_size = 512\n"
    )
    assert main(["audio", "test-input", "--duration", "1s"]) == 0
    assert library.opened == [(22_050, 2, 512)]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("test-input --device=Yamaha", "no input device 'Yamaha': this machine has 'Blue Yeti'"),
        ("test-input --duration=0s", "argument --duration: '0s' is refused: write a time up to 1h"),
        ("test-input --duration=soon", "argument --duration: 'soon' is refused"),
        ("test-input -o a.txt", "a.txt: its suffix names no format of sound files"),
        ("test-output -o a.wav", "--output: 'a.wav' is refused: test-output only plays"),
        ("list -o csv", "--output: 'csv' is refused: a list has only json"),
        ("test-output --frequency=30000", "--frequency: 30000 is refused: at 44100 Hz, use 20 to"),
        ("test-output --file=none.wav", "none.wav: cannot be read: No such file or directory"),
        ("test-input --sample-rate=1", "--sample-rate: '1' is refused"),
    ],
)
def test_a_refusal_is_one_sentence(
    library: FakeLibrary, capsys: pytest.CaptureFixture[str], words: str, reason: str
) -> None:
    try:
        code = main(["audio", *words.split()])
    except SystemExit as err:
        code = err.code  # type: ignore[assignment]
    shown = capsys.readouterr()
    assert (code, shown.out) == (4, "")
    assert shown.err.startswith(f"llamaburn: {reason}")
    assert shown.err.count("\n") == 1


def test_the_level_is_shown_on_a_terminal(
    library: FakeLibrary, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_llamaburn.progress.takes_control_codes", lambda stream: True)
    library.blocks = [np.full((48_000, 1), 0.1, dtype=np.float32)]
    assert main(["audio", "test-input", "--duration", "1s", "--sample-rate", "48000"]) == 0
    bar = f"\r  1.0 s [{'#' * 27}{' ' * 13}]"
    assert capsys.readouterr().err == f"{bar}\r\x1b[K"


def test_the_waveform_is_ascii_where_the_terminal_has_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Ascii:
        encoding = "ascii"

    monkeypatch.setattr("sys.stdout", Ascii())
    assert not audio.has_blocks()
