"""Measure requests with images: when they begin to be sent, and what they cost us.

Goals: the first byte of a body arrives within 2 ms after the clock starts, although its image took
longer to prepare; 20 MB of images take at most 1.3 times the CPU of base64 and a write alone.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter_ns, process_time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import uvloop
from _ours import backend_at
from _report import Line, report
from PIL import Image

from pytest_llamaburn import media
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.modalities import image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_REQUESTS, _TRIES = 20, 7
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


def main() -> int:
    """Measure; return 1 if a goal is missed."""
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
    ]
    return report("requests with images", lines)


if __name__ == "__main__":
    sys.exit(main())
