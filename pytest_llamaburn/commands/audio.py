"""List the audio devices, and test a microphone or a loudspeaker.

`test-input` records, draws the waveform and says how loud it was. `test-output` plays a tone, or
the file that --file names.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import options
from pytest_llamaburn.commands import _printing
from pytest_llamaburn.errors import AudioError, SettingsError
from pytest_llamaburn.grids import Table, columns_of
from pytest_llamaburn.option import options_of, seconds
from pytest_llamaburn.settings import Audio
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.audio.chosen import AudioDevice
    from pytest_llamaburn.audio.devices import Device
    from pytest_llamaburn.audio.levels import Levels
    from pytest_llamaburn.audio.recording import Recording

HELP = "list and test audio devices"
EXAMPLE = 'llamaburn audio test-input --device "Blue Yeti" --duration 5s'
_COLUMNS = ("direction", "name", "default", "system", "library", "sample rate", "channels")
_FORM = ("sample_rate", "channels", "buffer_size")
_DURATIONS_S = {"test-input": 5.0, "test-output": 2.0}
_LONGEST_S = 3600.0
_TONE_HZ = 440.0
_METER = 40  # characters of the level meter
_METER_DB = 60.0
_WIDEST = 160


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument("--device", help="the device: its name, a part of it, or default")
    parser.add_argument(
        "--duration",
        type=_duration,
        metavar="SECONDS",
        help="duration, such as 5s (default: 5 s to record, 2 s to play)",
    )
    parser.add_argument(
        "--frequency",
        type=float,
        default=_TONE_HZ,
        metavar="HZ",
        help="frequency of the tone (default: 440)",
    )
    parser.add_argument("--file", help="sound file to play instead of the tone")
    parser.add_argument(
        "--output", "-o", help="json; or a WAV, FLAC, OGG or MP3 file for the recording"
    )
    for option in options_of(Audio):
        if option.name in _FORM:
            options.declare_one(parser.add_argument, option)
    _printing.declare(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do the action; return the exit code."""
    return _ACTIONS[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    from pytest_llamaburn.audio.devices import devices

    found = devices()
    if arguments.output not in (None, "json"):
        raise SettingsError(f"--output: '{arguments.output}' is refused: a list has only json")
    if arguments.output:
        print(json.dumps([_about(device) for device in found], indent=2))
    elif found:
        print(_printing.fitted(Table(_COLUMNS, [*map(_row, found)], numeric=5), arguments))
    else:
        print("This machine has no audio device. In a container, give it one or a sound server.")
    return 0


def _test_input(arguments: argparse.Namespace) -> int:
    """Record, and show what was recorded; a recording that broke off ends with 4."""
    from pytest_llamaburn.audio.chosen import AudioDevice

    target = _target(arguments.output)
    chosen = AudioDevice(_settings(arguments, "input_device"))
    duration = arguments.duration or _DURATIONS_S["test-input"]
    heard = _recorded(chosen, duration, target)
    if arguments.output == "json":
        print(json.dumps(_facts(heard, chosen.input), indent=2))
    else:
        print("\n".join(_shown(heard, chosen.input, target)))
    if heard.ended:
        print(
            f"llamaburn: {heard.ended}: the {heard.clip.seconds:.1f} s before are kept",
            file=sys.stderr,
        )
        return AudioError.exit_code
    return 0


def _test_output(arguments: argparse.Namespace) -> int:
    """Play a tone or a file."""
    from pytest_llamaburn.audio import clips, levels
    from pytest_llamaburn.audio.chosen import AudioDevice

    if arguments.output is not None:
        raise SettingsError(f"--output: '{arguments.output}' is refused: test-output only plays")
    chosen = AudioDevice(_settings(arguments, "output_device"))
    rate = chosen.form.sample_rate
    if arguments.file:
        clip, what = clips.read(Path(arguments.file)), arguments.file
    else:
        frequency = _audible(arguments.frequency, rate)
        duration = arguments.duration or _DURATIONS_S["test-output"]
        clip, what = levels.tone(frequency, duration, rate), f"a tone of {frequency:g} Hz"
    underruns = chosen.play(clip)
    print(f"played {what} for {clip.seconds:.1f} s on '{chosen.output.name}'")
    if underruns:
        times = counted(underruns, "time")
        print(f"the device ran out of samples {times}: raise --buffer-size")
    print("If you heard nothing, check the volume and llamaburn audio list.")
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "test-input": _test_input,
    "test-output": _test_output,
}


def _settings(arguments: argparse.Namespace, name: str) -> Audio:
    """Return the settings, with the device of --device."""
    given = options.given(arguments, Audio)
    if arguments.device is not None:
        given[name] = arguments.device
    found: Audio = options.resolve(Audio, given)[0]
    return found


def _target(output: str | None) -> Path | None:
    """Return the file for the recording, if one is named; raises AudioError for other suffixes."""
    if output in (None, "json"):
        return None
    from pytest_llamaburn import files
    from pytest_llamaburn.audio.clips import form_of

    path = files.home(str(output))
    form_of(path)
    return path


def _recorded(chosen: AudioDevice, duration: float, target: Path | None) -> Recording:
    """Record into a file; while it is recorded, it is a WAV file."""
    from pytest_llamaburn.audio import clips

    if target is None or target.suffix.lower() == ".wav":
        heard = chosen.record(duration, target, _meter())
    else:
        kept = target.with_name(f"{target.stem}.recording.wav")
        heard = chosen.record(duration, kept, _meter())
        clips.write(heard.clip, target)
        kept.unlink()
    _end_meter()
    return heard


def _duration(text: str) -> float:
    try:
        value = float(seconds(text))
    except ValueError:
        value = 0.0
    if not 0 < value <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"'{text}' is refused: write a time up to 1h, such as 5s")
    return value


def _audible(frequency: float, rate: int) -> float:
    if not 20 <= frequency < rate / 2:
        raise SettingsError(
            f"--frequency: {frequency:g} is refused: at {rate} Hz, use 20 to {rate // 2 - 1} Hz"
        )
    return frequency


def _about(device: Device) -> dict[str, Any]:
    return {
        "direction": device.direction,
        "name": device.name,
        "default": device.is_default,
        "system": device.system,
        "library": device.driver,
        "sample_rate": device.sample_rate,
        "channels": device.channels,
    }


def _row(device: Device) -> tuple[str, ...]:
    about = _about(device)
    default = "yes" if about["default"] else ""
    return (
        device.direction,
        device.name,
        default,
        device.system,
        device.driver,
        f"{device.sample_rate} Hz",
        str(device.channels),
    )


def _facts(heard: Recording, device: Device) -> dict[str, Any]:
    from pytest_llamaburn.audio import levels

    return {
        "device": device.name,
        "seconds": heard.clip.seconds,
        "sample_rate": heard.clip.sample_rate,
        "channels": heard.clip.samples.shape[1],
        **levels.levels(heard.clip)._asdict(),
        "frequency_hz": levels.frequency_hz(heard.clip),
        "overruns": heard.overruns,
        "ended": heard.ended or None,
        "null_reasons": _why_null(heard, device),
    }


def _why_null(heard: Recording, device: Device) -> dict[str, str]:
    told = {} if heard.overruns is not None else {"overruns": f"{device.driver} does not tell"}
    silent = (
        {}
        if heard.clip.samples.any()
        else dict.fromkeys(("peak_dbfs", "rms_dbfs", "frequency_hz"), "every sample is 0")
    )
    return {**told, **silent}


def _shown(heard: Recording, device: Device, target: Path | None) -> list[str]:
    """Return what is printed about a recording."""
    from pytest_llamaburn.audio import levels

    clip, measured = heard.clip, levels.levels(heard.clip)
    width = min(columns_of(sys.stdout) or 80, _WIDEST)
    drawn = levels.waveform(clip, width, blocks=has_blocks())
    pitch = levels.frequency_hz(clip)
    rows = {
        "recorded": f"{clip.seconds:.1f} s from '{device.name}', {clip.sample_rate} Hz",
        "peak": _level(measured.peak_dbfs),
        "RMS": _level(measured.rms_dbfs),
        "clipping": _clipping(measured.clipped_share),
        "silence": _silence(measured),
        "frequency": "-" if pitch is None else f"{pitch:.0f} Hz is the strongest",
        "lost": _lost(heard, device),
        **({"saved": str(target)} if target else {}),
    }
    return [*drawn, *(f"{name:<10} {text}" for name, text in rows.items())]


def _level(dbfs: float | None) -> str:
    return "- (every sample is 0)" if dbfs is None else f"{dbfs:.1f} dBFS"


def _clipping(share: float) -> str:
    return f"{share:.1%} of the samples: lower the gain of the input" if share else "none"


def _silence(measured: Levels) -> str:
    if measured.silent_share == 1:
        return "all of it: check that the input is connected, not muted, and its gain"
    return f"{measured.silent_share:.0%} of the time"


def _lost(heard: Recording, device: Device) -> str:
    if heard.overruns is None:
        return f"- ({device.driver} does not tell)"
    times = counted(heard.overruns, "time")
    return f"{times}: raise --buffer-size" if heard.overruns else "nothing"


def has_blocks() -> bool:
    """Return whether the encoding of standard output has the block characters of a meter."""
    try:
        "▀▄█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _meter() -> Callable[[Any, float], None] | None:
    """Return what draws the level while it is recorded; None off a terminal."""
    from pytest_llamaburn.progress import takes_control_codes

    if not takes_control_codes(sys.stderr):
        return None
    from pytest_llamaburn.audio.clips import Clip
    from pytest_llamaburn.audio.levels import levels

    def draw(block: Any, second: float) -> None:
        level = levels(Clip(block, 1)).rms_dbfs
        share = 0.0 if level is None else max(0.0, 1 + level / _METER_DB)
        bar = "#" * round(share * _METER)
        print(f"\r{second:5.1f} s [{bar:<{_METER}}]", end="", file=sys.stderr, flush=True)

    return draw


def _end_meter() -> None:
    if _meter():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
