"""Measure requests with images and videos: when they begin to be sent, and what they cost us.

Goals: the first byte of a body arrives within 2 ms after the clock starts, although its image took
longer to prepare; 20 MB of images take at most 1.3 times the CPU of base64 and a write alone; one
frame in ten seconds of an hour of video takes at most 60 s on two cores, and 500 MB: of a small
video and of one in full HD. The CPU time is shown because other work on the machine adds none to it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from time import perf_counter_ns, process_time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import uvloop
from _ours import backend_at
from _report import Line, report
from PIL import Image

from pytest_llamaburn import media
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.modalities import image, video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_REQUESTS, _TRIES = 20, 7
_SMALL_FPS, _HD_FPS = 5, 30
_BODY = b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\ndata: [DONE]\n\n'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_BODY),
    _BODY,
)


@contextmanager
def stamping() -> Iterator[tuple[str, list[int]]]:
    """Yield the address of a server, and the times at which the first byte of each body arrived."""
    stamps: list[int] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with connection:
                _stamp(connection, stamps)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", stamps
    finally:
        listener.close()


def _stamp(connection: socket.socket, stamps: list[int]) -> None:
    head = bytearray()
    while b"\r\n\r\n" not in head:
        head += connection.recv(65536)
    stamps.append(perf_counter_ns())
    at = head.index(b"\r\n\r\n") + 4
    text = head[:at].decode("latin-1").lower()
    left = int(text.partition("content-length: ")[2].partition("\r")[0]) - (len(head) - at)
    while left:
        left -= len(connection.recv(1 << 20))
    connection.sendall(_ANSWER)


def begins(path: Path) -> tuple[list[float], list[float]]:
    """Return how long after the clock each body began to arrive, and the preparations, in ms."""
    model, settings = Model("a", "a"), SimpleNamespace(image_size=1024)
    late_ms, prepared_ms = [], []

    async def ask(url: str, stamps: list[int]) -> None:
        backend: Any = backend_at(url, "openai")
        for _ in range(_REQUESTS):
            medium = image.encode(path, settings)
            message = {"role": "user", "content": "what?", "media": [medium]}
            wire = backend.wire()
            trace = await backend.stream(wire, backend.payload(model, [message]))
            wire.close()
            if trace.failure:
                raise RuntimeError(trace.failure)
            late_ms.append((stamps[-1] - trace.sent_ns) / 1e6)
            prepared_ms.append(medium.facts["prepare_ms"])

    with stamping() as (url, stamps), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask(url, stamps))
    return late_ms, prepared_ms


def cpu_ms(work: Callable[[], object]) -> float:
    """Return the least CPU time of some tries."""
    spent = []
    for _ in range(_TRIES):
        before = process_time()
        work()
        spent.append(process_time() - before)
    return min(spent) * 1e3


def ratio() -> float:
    """Return our CPU for 20 MB of images over that of base64 and a write alone."""
    raws = [os.urandom(4_000_000) for _ in range(5)]
    backend: Any = backend_at("127.0.0.1:1", "openai")
    with tempfile.TemporaryFile(buffering=0) as sink:

        def alone() -> None:
            sink.seek(0)
            sink.writelines(base64.b64encode(raw) for raw in raws)

        def ours() -> None:
            shown = [media.Medium("image", "image/png", media.base64_of(raw), {}) for raw in raws]
            message = {"role": "user", "content": "what?", "media": shown}
            sink.seek(0)
            sink.writelines(backend.payload(Model("a", "a"), [message]))

        return cpu_ms(ours) / cpu_ms(alone)


def stripes(path: Path, size: tuple[int, int], fps: int, count: int, preset: str) -> None:
    """Film moving stripes with H.264; only the first of the frames is a key frame."""
    width, height = size
    rows = np.add.outer(np.arange(height), np.arange(width))
    drawn = [((rows + 9 * n) % 256).astype(np.uint8) for n in range(28)]
    frames = [
        av.VideoFrame.from_ndarray(one, format="gray").reformat(format="yuv420p") for one in drawn
    ]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=fps, options={"preset": preset})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(count):
            frame: Any = frames[number % len(frames)]
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def repeated(source: Path, path: Path, times: int) -> None:
    """Write a clip many times, one after another; its frames are not encoded again."""
    with av.open(str(source)) as clip, av.open(str(path), "w") as container:
        stream: Any = container.add_stream_from_template(clip.streams.video[0])
        packets: list[Any] = [one for one in clip.demux(video=0) if one.pts is not None]
        whole = sum(one.duration for one in packets)
        known = [(bytes(one), one.pts, one.dts, one.is_keyframe) for one in packets]
        for number in range(times):
            for raw, pts, dts, is_key in known:
                packet: Any = av.Packet(raw)
                packet.pts, packet.dts = pts + number * whole, dts + number * whole
                packet.time_base, packet.is_keyframe = packets[0].time_base, is_key
                packet.stream = stream
                container.mux(packet)


def sampled(path: Path) -> None:
    """Print what 360 frames of a video took in this process: time, CPU, and the most memory."""
    settings = SimpleNamespace(
        video_rate=0.1, video_frames=360, video_as="frames", video_sound="none", image_size=None
    )
    before = process_time()
    facts = video.encode(path, settings).facts
    cpu_s = process_time() - before
    print(json.dumps([len(facts["frames"]), facts["prepare_ms"] / 1e3, cpu_s, most_mb()]))


def most_mb() -> float:
    """Return the most memory that this process had; getrusage would tell that of its parent too."""
    told = Path("/proc/self/status").read_text()
    return int(told.partition("VmHWM:")[2].split()[0]) / 1024


def an_hour(of: str, path: Path) -> list[Line]:
    """Return what sampling an hour of video takes, in a process of its own."""
    command = [sys.executable, __file__, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    count, seconds, cpu_s, mb = json.loads(done.stdout)
    return [
        Line(f"frames of an hour of {of}, one in 10 s", count, ""),
        Line("their sampling and encoding", seconds, "s", 60.0),
        Line("CPU time of that", cpu_s, "s"),
        Line("the most memory of that process", mb, "MB", 500.0),
    ]


def hours() -> list[Line]:
    """Return what an hour of small video takes, and one in full HD with a key frame in 8 s."""
    with tempfile.TemporaryDirectory() as folder:
        small, clip, large = (Path(folder) / f"{name}.mp4" for name in ("small", "clip", "large"))
        stripes(small, (320, 240), _SMALL_FPS, 3600 * _SMALL_FPS, "ultrafast")
        stripes(clip, (1920, 1080), _HD_FPS, 8 * _HD_FPS, "veryfast")
        repeated(clip, large, 3600 // 8)
        return [
            *an_hour("320 × 240", small),
            *an_hour(f"1920 × 1080 at {_HD_FPS} frames/s", large),
        ]


def main() -> int:
    """Measure; return 1 if a goal is missed."""
    if len(sys.argv) > 1:
        sampled(Path(sys.argv[1]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.png"
        Image.frombytes("RGB", (1600, 1200), os.urandom(1600 * 1200 * 3)).save(path)
        late_ms, prepared_ms = begins(path)
    lines = [
        Line("preparation of an image, median", float(np.median(prepared_ms)), "ms"),
        Line(
            "first byte of the body after the clock, median", float(np.median(late_ms)), "ms", 2.0
        ),
        Line("CPU of 20 MB of images / base64 and a write", ratio(), "x", 1.3),
        *hours(),
    ]
    return report("requests with images and videos", lines)


if __name__ == "__main__":
    sys.exit(main())
