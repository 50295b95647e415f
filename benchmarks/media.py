"""Measure requests with images and videos: when they begin to be sent, and what they cost us.

Goals: the first byte of a body arrives within 2 ms after the clock starts, although its image took
longer to prepare; 20 MB of images take at most 1.3 times the CPU of base64 and a write alone; one
frame in ten seconds of an hour of video takes at most 60 s and 500 MB.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
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
_HOUR_FPS = 5
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


def hour(path: Path) -> None:
    """Write an hour of video with moving stripes: 320 × 240, five frames a second, H.264."""
    rows = np.add.outer(np.arange(240), np.arange(320))
    stripes = [((rows + 9 * n) % 256).astype(np.uint8) for n in range(28)]
    frames = [
        av.VideoFrame.from_ndarray(one, format="gray").reformat(format="yuv420p") for one in stripes
    ]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            "libx264", rate=_HOUR_FPS, options={"preset": "ultrafast"}
        )
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(3600 * _HOUR_FPS):
            frame: Any = frames[number % len(frames)]
            frame.pts, frame.time_base = number, Fraction(1, _HOUR_FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def sampled(path: Path) -> None:
    """Print how long 360 frames of a video took in this process, and the most memory it used."""
    settings = SimpleNamespace(
        video_rate=0.1, video_frames=360, video_as="frames", video_sound="none", image_size=None
    )
    facts = video.encode(path, settings).facts
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([len(facts["frames"]), facts["prepare_ms"] / 1e3, mb]))


def an_hour() -> list[Line]:
    """Return what sampling an hour of video takes, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.mp4"
        hour(path)
        command = [sys.executable, __file__, str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        count, seconds, mb = json.loads(done.stdout)
        return [
            Line("frames of an hour of video, one in 10 s", count, ""),
            Line("their sampling and encoding", seconds, "s", 60.0),
            Line("the most memory of that process", mb, "MB", 500.0),
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
        *an_hour(),
    ]
    return report("requests with images and videos", lines)


if __name__ == "__main__":
    sys.exit(main())
