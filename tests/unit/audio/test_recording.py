"""Recording and playing with devices that lose samples, go away, or are busy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.fake_sound import MIC, SPEAKERS, FakeLibrary, use

from pytest_llamaburn.audio import clips, devices, levels, playing, recording
from pytest_llamaburn.audio.devices import INPUT, OUTPUT, Form
from pytest_llamaburn.errors import AudioError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

FORM = Form(48_000, 1, 1000)


def test_a_recording_ends_after_its_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeLibrary(MIC))
    seen: list[float] = []
    heard = recording.record(MIC, FORM, 1.5, meter=lambda block, second: seen.append(second))
    assert (heard.clip.seconds, heard.overruns, heard.ended) == (1.5, 0, "")
    assert seen[-1] == 1.5


def test_lost_samples_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeLibrary(MIC, lost=3))
    assert recording.record(MIC, FORM, 1).overruns == 3


def test_a_library_that_does_not_tell_of_lost_samples_gives_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, FakeLibrary(MIC, lost=3)).TELLS_OVERRUNS = False
    assert recording.record(MIC, FORM, 1).overruns is None


def test_a_device_that_goes_keeps_what_came(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, FakeLibrary(MIC)).blocks = [np.ones((24_000, 1), dtype=np.float32)]
    path = tmp_path / "new" / "heard.wav"
    heard = recording.record(MIC, FORM, 2, path)
    assert heard.ended == "the device 'Blue Yeti' stopped sending sound"
    assert heard.clip.seconds == clips.read(path).seconds == 0.5


def test_a_device_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeLibrary(MIC)).blocks = []
    with pytest.raises(AudioError, match="'Blue Yeti' stopped sending sound: connect it again"):
        recording.record(MIC, FORM, 2)


def test_a_device_that_sends_nothing_more_is_waited_for_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = use(monkeypatch, FakeLibrary(MIC))
    library.blocks = [np.zeros((10, 1), dtype=np.float32)]
    monkeypatch.setattr(recording, "FIRST_S", 0.01)
    monkeypatch.setattr(recording, "NEXT_S", 0.01)
    capture = recording.Capture(MIC, FORM)
    with monkeypatch.context() as patch:
        patch.setattr(type(library), "capture", _mute)
        assert [*capture] == []
    assert capture.ended


def _mute(*_: object) -> object:
    from contextlib import nullcontext

    return nullcontext()


def test_a_rate_that_the_device_cannot_have_is_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    library = use(monkeypatch, FakeLibrary(MIC, SPEAKERS))
    heard = recording.record(MIC, FORM._replace(sample_rate=16_000, channels=8), 1)
    assert library.opened == [Form(48_000, 2, 1000)]
    assert (heard.clip.sample_rate, heard.clip.seconds) == (16_000, 1)


def test_a_clip_is_played_at_the_devices_rate_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    library = use(monkeypatch, FakeLibrary(SPEAKERS, lost=2))
    tone = levels.tone(440, 1, 24_000)
    assert playing.play(SPEAKERS, tone, FORM) == 2
    played = clips.clip_of(np.concatenate(library.played), 48_000)
    assert played.seconds == 1
    assert levels.frequency_hz(played) == pytest.approx(440, abs=0.5)
    assert max(map(len, library.played)) == 1000


def test_a_stream_is_played_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    library = use(monkeypatch, FakeLibrary(SPEAKERS))
    playing.stream(SPEAKERS, (np.zeros((n, 1), np.float32) for n in (5, 1500)), FORM)
    assert [len(block) for block in library.played] == [5, 1000, 500]


def test_a_busy_device_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeLibrary(MIC, busy=True))
    with pytest.raises(AudioError) as caught:
        recording.record(MIC, FORM, 1)
    assert str(caught.value) == (
        "input device 'Blue Yeti' cannot be opened: InputStream: Device unavailable: close other "
        "programs that use it, or choose another one from llamaburn audio list"
    )


def test_a_recording_that_cannot_be_kept_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, FakeLibrary(MIC))
    (tmp_path / "file").touch()
    with pytest.raises(AudioError, match="cannot be written"):
        recording.record(MIC, FORM, 1, tmp_path / "file" / "a.wav")


def test_a_device_is_found_by_a_part_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeLibrary(MIC, MIC._replace(name="Blue Yeti 2", is_default=False), SPEAKERS))
    assert devices.find("Blue Yeti", INPUT) == MIC
    assert devices.find("yeti 2", INPUT).name == "Blue Yeti 2"
    assert devices.find("default", OUTPUT) == SPEAKERS
    with pytest.raises(AudioError, match="'yeti' is a part of several input devices"):
        devices.find("yeti", INPUT)
    with pytest.raises(AudioError, match="no output device 'TV': this machine has 'Speakers'"):
        devices.find("TV", OUTPUT)


def test_a_machine_without_devices_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeLibrary())
    with pytest.raises(AudioError, match="this machine has no microphone or other input: connect"):
        devices.find("default", INPUT)


def test_without_a_library_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("sounddevice", "miniaudio"):
        monkeypatch.setitem(sys.modules, library, None)
    for module in (devices.driver_named("sounddevice"), devices.driver_named("miniaudio")):
        module.is_usable.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'pytest-llamaburn\[audio\]'"):
        devices.devices()
    for module in (devices.driver_named("sounddevice"), devices.driver_named("miniaudio")):
        module.is_usable.cache_clear()
