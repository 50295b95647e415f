"""Clips: files of all formats, other sample rates, and files that are refused."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.audio.clips import Clip, clip_of
from pytest_llamaburn.errors import AudioError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

RATE = 16_000
TONE = levels.tone(440, 1, RATE)


@pytest.mark.parametrize("form", clips.FORMATS)
def test_each_format_is_written_and_read(tmp_path: Path, form: str) -> None:
    path = tmp_path / "new" / f"tone.{form}"
    clips.write(TONE, path)
    found = clips.read(path)
    assert found.sample_rate == RATE
    assert found.seconds == pytest.approx(1, abs=0.1)
    assert levels.frequency_hz(found) == pytest.approx(440, abs=1)
    assert levels.levels(found).peak_dbfs == pytest.approx(-6, abs=0.6)


def test_another_sample_rate_keeps_duration_and_frequency() -> None:
    found = levels.tone(440, 2, 44_100).with_rate(16_000)
    assert (len(found.samples), found.sample_rate) == (32_000, 16_000)
    assert levels.frequency_hz(found) == pytest.approx(440, abs=0.5)


def test_channels_are_made_from_their_mean() -> None:
    stereo = Clip(np.array([[1.0, 0.0], [0.5, 0.5]], dtype=np.float32), RATE)
    assert stereo.mono.tolist() == [0.5, 0.5]
    assert stereo.with_channels(1).samples.tolist() == [[0.5], [0.5]]
    assert stereo.with_channels(2) is stereo


def test_clips_are_joined_at_the_rate_of_the_first() -> None:
    found = clips.joined([levels.tone(440, 1, 8000), TONE])
    assert (found.sample_rate, found.seconds) == (8000, 2)


def test_a_part_is_cut_by_seconds() -> None:
    assert TONE.part(0.25, 0.5).seconds == 0.25
    assert clip_of(np.zeros(0), RATE).with_rate(8000).seconds == 0


def test_a_streams_wav_header_without_a_size_is_read() -> None:
    raw = bytearray(clips.encode(TONE))
    raw[4:8] = raw[40:44] = b"\xff\xff\xff\xff"
    assert clips.decode(bytes(raw), "x").seconds == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "cannot be read as sound: it is empty; use a WAV, FLAC, OGG or MP3 file"),
        (b"hello", "cannot be read as sound: format not recognised; use a WAV"),
        (clips.encode(TONE)[:-1000], "cut off: 1000 bytes are missing; copy the file again"),
        (clips.encode(clip_of([], RATE)), "it has no samples; record it again"),
    ],
    ids=["empty", "text", "cut off", "no samples"],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, raw: bytes, reason: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(raw)
    with pytest.raises(AudioError) as caught:
        clips.read(path)
    assert str(caught.value).startswith(f"{path}: {reason}")


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(100, np.nan, dtype=np.float32), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="samples that are no numbers"):
        clips.read(path)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"a\.wav: cannot be read: No such file"):
        clips.read(tmp_path / "a.wav")


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"use \.wav, \.flac, \.ogg, \.mp3"):
        clips.write(TONE, tmp_path / "a.aiff")
    with pytest.raises(AudioError, match="'aiff' is no format"):
        clips.encode(TONE, "aiff")


def test_a_rate_that_a_format_cannot_have_is_refused() -> None:
    with pytest.raises(AudioError, match="mp3 cannot have 192000 Hz and 1 channels"):
        clips.encode(clip_of(np.zeros(1000), 192_000), "mp3")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AudioError, match="cannot be written"):
        clips.write(TONE, tmp_path / "file" / "a.wav")


@pytest.mark.parametrize("library", ["soundfile", "soxr"])
def test_a_missing_library_has_its_install_line(
    monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pytest-llamaburn\[audio\]'"):
        clips.decode(b"", "x") if library == "soundfile" else TONE.with_rate(8000)
