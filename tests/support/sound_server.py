"""A PulseAudio server of our own, with an output that is silent and an input that hears it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

HOW = "install PulseAudio: apt install pulseaudio libportaudio2 libasound2-plugins"
OUTPUT, INPUT = "LlamaBurnNull", "LlamaBurnMic"
_NAMED = "properties=device.description="
_MODULES = f"""\
load-module module-native-protocol-unix
load-module module-null-sink sink_name=out rate=48000 sink_{_NAMED}{OUTPUT}
load-module module-remap-source master=out.monitor source_name=mic source_{_NAMED}{INPUT}
set-default-sink out
set-default-source mic
"""
_ALSA = "</usr/share/alsa/alsa.conf>\npcm.!default {type pulse}\nctl.!default {type pulse}\n"


class SoundServer(NamedTuple):
    """A running server: the variables that lead to it, and its process id."""

    environ: dict[str, str]
    pid: int

    def kill(self) -> None:
        """End it at once, as if its devices were pulled out."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def is_installed() -> bool:
    return bool(shutil.which("pulseaudio")) and Path("/usr/share/alsa/alsa.conf").exists()


def running(folder: Path) -> Iterator[SoundServer]:
    """Yield a server that ends with the test; `folder` must have a short path, for its socket."""
    run = folder / "run"
    run.mkdir(mode=0o700)
    (folder / "pa.conf").write_text(_MODULES)
    (folder / "asound.conf").write_text(_ALSA)
    environ = {
        "XDG_RUNTIME_DIR": str(run),
        "PULSE_SERVER": f"unix:{run}/pulse/native",
        "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
        "HOME": str(folder),
    }
    start = ("pulseaudio", "-n", "-F", str(folder / "pa.conf"), "--daemonize=yes")
    subprocess.run(
        [*start, "--exit-idle-time=-1", "--use-pid-file=yes"],
        env={**os.environ, **environ},
        check=True,
        capture_output=True,
        timeout=60,
    )
    server = SoundServer(environ, int((run / "pulse/pid").read_text()))
    try:
        yield server
    finally:
        server.kill()
