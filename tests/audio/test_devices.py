"""Devices of a real sound server: listed, played, recorded, and pulled out."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.command_line import COMMAND, run_cli
from support.sound_server import INPUT, OUTPUT

from pytest_llamaburn.audio import clips, levels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.sound_server import SoundServer

    from pytest_llamaburn.audio.clips import Clip

_HEAR = """
import sys
from pathlib import Path
import numpy as np
from pytest_llamaburn.audio import clips, devices, recording

device = devices.find(sys.argv[1], devices.INPUT)
heard = []
for block in recording.Capture(device, devices.Form()):
    if heard or np.abs(block).max() > 0.1:
        heard.append(block)
    if sum(map(len, heard)) > 2 * 44_100:
        break
clips.write(clips.clip_of(np.concatenate(heard), 44_100), Path(sys.argv[2]))
"""


def heard(source: str, path: Path) -> Clip:
    """Return the first two seconds of sound that an input hears, however late they come."""
    subprocess.run([sys.executable, "-c", _HEAR, source, str(path)], check=True, timeout=120)
    return clips.read(path)


def share_of(pitch_hz: float, clip: Clip) -> float:
    """Return the share of windows of 50 ms with this pitch: on a busy machine, others have gaps."""
    starts = np.arange(0, clip.seconds - 0.05, 0.025)
    found = [levels.frequency_hz(clip.part(start, start + 0.05)) for start in starts]
    return sum(abs((pitch or 0) - pitch_hz) < 5 for pitch in found) / len(found)


@contextmanager
def playing(device: str, *more: str) -> Iterator[None]:
    """Play a tone on a device while the block runs."""
    play = (*COMMAND, "audio", "test-output", "--device", device, "--duration", "5m", *more)
    with subprocess.Popen(play, stderr=subprocess.DEVNULL) as player:
        yield
        assert player.poll() is None
        player.kill()


def listed(cwd: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run_cli("audio", "list", "-o", "json", cwd=cwd).stdout)
    return found


def test_devices_are_listed_with_names_defaults_rates_and_channels(
    sound: SoundServer, tmp_path: Path
) -> None:
    found = listed(tmp_path)
    assert {(one["direction"], one["name"]) for one in found} >= {
        ("input", INPUT),
        ("output", OUTPUT),
        ("input", "default"),
        ("output", "default"),
    }
    assert {one["direction"] for one in found if one["default"]} == {"input", "output"}
    mic = next(one for one in found if one["name"] == INPUT)
    assert (mic["sample_rate"], mic["channels"], mic["library"]) == (48000, 2, "miniaudio")


@pytest.mark.parametrize(
    ("source", "sink"),
    [("default", OUTPUT), (INPUT, "default")],
    ids=["portaudio records", "portaudio plays"],
)
def test_a_tone_that_is_played_is_recorded(
    sound: SoundServer, tmp_path: Path, source: str, sink: str
) -> None:
    with playing(sink):
        clip = heard(source, tmp_path / "heard.wav").part(0.5, 1.5)
    assert share_of(440, clip) > 0.2 > share_of(466, clip)
    assert levels.levels(clip).peak_dbfs == pytest.approx(-6, abs=2)


def test_test_output_plays_a_tone_that_test_input_shows(sound: SoundServer, tmp_path: Path) -> None:
    with playing(OUTPUT, "--frequency", "880"):
        heard(INPUT, tmp_path / "heard.wav")
        recording = ("--device", INPUT, "--duration", "2s", "-o", "heard.flac")
        done = run_cli("audio", "test-input", *recording, cwd=tmp_path)
    rows = {line[:10].strip(): line[11:] for line in done.stdout.splitlines()[8:]}
    assert rows["recorded"] == f"2.0 s from '{INPUT}', 44100 Hz"
    assert rows["frequency"].endswith(" Hz is the strongest")
    assert share_of(880, clips.read(tmp_path / "heard.flac")) > 0.2
    assert rows["saved"] == "heard.flac"
    assert clips.read(tmp_path / "heard.flac").seconds == pytest.approx(2, abs=0.01)
    assert {path.name for path in tmp_path.iterdir()} == {"heard.flac", "heard.wav"}


@pytest.mark.parametrize("source", ["default", INPUT], ids=["portaudio", "miniaudio"])
def test_a_device_that_goes_keeps_what_was_recorded(
    sound: SoundServer, tmp_path: Path, source: str
) -> None:
    path = tmp_path / "heard.wav"
    command = [*COMMAND, "audio", "test-input", "--device", source, "--duration", "1m"]
    with subprocess.Popen(
        [*command, "-o", str(path)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as recorder:
        while not (path.exists() and path.stat().st_size > 44_100):
            assert recorder.poll() is None
        sound.kill()
        out, err = recorder.communicate(timeout=60)
    assert recorder.returncode == 4
    assert f"the device '{source}' stopped sending sound: the" in err
    kept = clips.read(path).seconds
    assert kept >= 0.3
    assert f"recorded   {kept:.1f} s from '{source}'" in out
