"""A stream of another program is heard as a device is: all of it, in its order, to its end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_llamaburn.audio.stream import END, Stream
from pytest_llamaburn.errors import AudioError

if TYPE_CHECKING:
    from pathlib import Path

RAMP = np.arange(-3000, 3000, dtype="<i2")


def test_samples_come_in_their_order_while_the_file_grows(tmp_path: Path) -> None:
    path = tmp_path / "sound.pcm"
    path.touch()
    raw = RAMP.tobytes()

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            for at in range(0, len(raw), 1001):  # odd: a sample is cut in two
                file.write(raw[at : at + 1001])
        (tmp_path / f"sound.pcm{END}").touch()

    writer = threading.Thread(target=write)
    writer.start()
    stream = Stream(path)
    heard = np.concatenate([*stream])
    writer.join()
    assert heard.shape == (6000, 1)
    assert (heard[:, 0] * 32_768).tolist() == RAMP.tolist()
    assert (stream.ended, stream.overruns, stream.form.sample_rate) == ("", None, 16_000)


def test_stream_that_stops_growing_ends_and_tells_why(tmp_path: Path) -> None:
    path = tmp_path / "sound.pcm"
    path.write_bytes(RAMP.tobytes())
    stream = Stream(path, patience_s=0.05)
    assert sum(len(block) for block in stream) == 6000
    assert stream.ended == f"nothing was written to {path} for 0.05 s"


def test_stream_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"--device: .*sound\.pcm is no file"):
        Stream(tmp_path / "sound.pcm")
