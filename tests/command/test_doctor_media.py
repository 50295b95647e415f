"""`llamaburn doctor` on media: every check seen content and seen complaining."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from support.fake_sound import MIC, SPEAKERS, FakeLibrary, use

from pytest_llamaburn import rendering
from pytest_llamaburn.audio import clips, devices
from pytest_llamaburn.commands import _media_checks
from pytest_llamaburn.errors import AudioError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from pytest_llamaburn.commands._checks import CheckResult

CONTEXT: Any = None  # these checks look at the machine alone


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


def seen(check: Callable[[Any], CheckResult]) -> tuple[str, str, bool]:
    found = check(CONTEXT)
    return found.level, found.finding, bool(found.fix)


def test_sound_files_are_decoded_without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "WAV, FLAC, OGG, MP3 are decoded by libsndfile, without ffmpeg"
    assert seen(_media_checks.audio_files) == ("ok", words, False)
    old = SimpleNamespace(available_formats=lambda: {"WAV": "", "FLAC": "", "OGG": ""})
    monkeypatch.setattr(clips, "soundfile_library", lambda: old)
    assert seen(_media_checks.audio_files) == ("warn", "libsndfile cannot read MP3", True)
    missing = MissingExtraError("audio", "reading sound files")
    monkeypatch.setattr(clips, "soundfile_library", failing(missing))
    level, finding, _ = seen(_media_checks.audio_files)
    assert (level, "pytest-llamaburn[audio]" in finding) == ("ok", True)


def test_audio_devices_are_counted_with_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    library = use(monkeypatch, FakeLibrary(MIC, SPEAKERS))
    assert seen(_media_checks.audio_devices) == ("ok", "1 to record, 1 to play (fake)", False)
    library.known = []
    assert seen(_media_checks.audio_devices) == ("ok", "no audio device (fake)", False)
    monkeypatch.setattr(devices, "devices", failing(AudioError("no sound server answers")))
    assert seen(_media_checks.audio_devices) == ("warn", "no sound server answers", True)
    missing = MissingExtraError("audio", "using audio devices")
    monkeypatch.setattr(devices, "devices", failing(missing))
    assert seen(_media_checks.audio_devices)[:1] == ("ok",)


def test_a_browser_is_found_or_its_lack_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "browser", lambda: "/usr/bin/chromium")
    words = "/usr/bin/chromium renders generated code"
    assert seen(_media_checks.browser) == ("ok", words, False)
    monkeypatch.setattr(rendering, "browser", failing(UsageError("no browser is installed")))
    assert seen(_media_checks.browser) == ("warn", "no browser is installed", True)
    monkeypatch.setattr(_media_checks, "find_spec", lambda name: None)
    level, finding, _ = seen(_media_checks.browser)
    assert (level, "pytest-llamaburn[render]" in finding) == ("ok", True)
