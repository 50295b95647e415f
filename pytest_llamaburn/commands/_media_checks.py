"""The checks of llamaburn doctor for media: sound files, audio devices, the browser."""

from __future__ import annotations

from importlib.util import find_spec

from pytest_llamaburn.commands._checks import CheckResult, Context, check
from pytest_llamaburn.errors import LlamaBurnError, MissingExtraError

_UNUSED = "not used: {}"
_FORMATS = ("WAV", "FLAC", "OGG", "MP3")


@check("audio.files")
def audio_files(context: Context) -> CheckResult:  # noqa: ARG001
    """Check whether sound files can be read, for which no ffmpeg is needed."""
    from pytest_llamaburn.audio import clips

    try:
        known = clips.soundfile_library().available_formats()
    except MissingExtraError as err:
        return CheckResult("ok", _UNUSED.format(err))
    missing = [name for name in _FORMATS if name not in known]
    if missing:
        fix = (
            "Install a newer libsndfile (1.1 or later), or pip install --force-reinstall soundfile."
        )
        return CheckResult("warn", f"libsndfile cannot read {', '.join(missing)}", fix)
    return CheckResult("ok", f"{', '.join(_FORMATS)} are decoded by libsndfile, without ffmpeg")


@check("audio.devices")
def audio_devices(context: Context) -> CheckResult:  # noqa: ARG001
    """Check whether PortAudio or miniaudio is there, and whether it finds a device."""
    from pytest_llamaburn.audio import devices

    try:
        known = devices.devices()
    except MissingExtraError as err:
        return CheckResult("ok", _UNUSED.format(err))
    except LlamaBurnError as err:
        return CheckResult("warn", str(err), "Start the sound server, or connect a device.")
    libraries = ", ".join(devices.libraries())
    if not known:
        return CheckResult("ok", f"no audio device ({libraries})")
    counts = (sum(one.direction == way for one in known) for way in (devices.INPUT, devices.OUTPUT))
    return CheckResult("ok", "{} to record, {} to play ({})".format(*counts, libraries))


@check("browser")
def browser(context: Context) -> CheckResult:  # noqa: ARG001
    """Check whether generated code can be rendered."""
    from pytest_llamaburn import rendering

    if find_spec("playwright") is None:
        missing = MissingExtraError("render", "rendering generated code (--render)")
        return CheckResult("ok", _UNUSED.format(missing))
    try:
        found = rendering.browser()
    except LlamaBurnError as err:
        return CheckResult("warn", str(err), "No fix is needed for evals without --render.")
    return CheckResult("ok", f"{found} renders generated code")
