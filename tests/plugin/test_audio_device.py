"""The fixture `audio_device`: the devices of the settings, or a skip with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.fake_sound import MIC, SPEAKERS, FakeLibrary, use

if TYPE_CHECKING:
    import pytest

TEST = """
from pytest_llamaburn.audio.levels import tone

def test_device(audio_device):
    assert (audio_device.input.name, audio_device.output.name) == ("Blue Yeti", "Speakers")
    assert audio_device.record(seconds=1).clip.seconds == 1
    assert audio_device.play(tone(440, 1, 48_000)) == 0
    assert audio_device.form.channels == 2
"""


def test_the_fixture_gives_the_devices_of_the_settings(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, FakeLibrary(MIC, SPEAKERS))
    pytester.makepyfile(TEST)
    words = ("--llamaburn-audio-input-device=yeti", "--llamaburn-audio-channels=2")
    pytester.runpytest(*words).assert_outcomes(passed=1)


def test_a_machine_without_devices_skips(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, FakeLibrary())
    pytester.makepyfile(TEST)
    result = pytester.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*: this machine has no audio device"])


def test_without_the_libraries_the_install_line_is_told(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_llamaburn.audio.devices.DRIVERS", ())
    pytester.makepyfile(TEST)
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["using audio devices needs*pip install 'pytest-llamaburn[[]audio[]]'"]
    )
