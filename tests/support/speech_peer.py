"""A real engine of speech, hibari-tts, behind an OpenAI-shaped server.

`python -m support.speech_peer PORT` in tests/ serves it, sentence by sentence with `stream`
after the port. What it sends can be spoiled on purpose.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_llamaburn.audio import clips
from support.peer import Peer, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Samples = np.ndarray[Any, Any]

NAME = "hibari"
RATE = 24_000
# Of all files of version 0.2.1, in their order, so that no other code or model runs.
_DIGEST = "651f27c3f1933981bbd28283813c51cb12e7079839fbfe812cde9ef7b8ec7e0e"
_ONE_AT_A_TIME = Lock()


class Speech(NamedTuple):
    """How a server speaks, and what is wrong with it."""

    streams: bool = False
    speed: float = 1.0
    says: str | None = None  # instead of what it is asked to say
    spoil: Callable[[Samples], Samples] = np.asarray
    pause_s: float = 0.0  # before each sentence


def engine() -> Callable[[str, float], Iterator[Samples]]:
    """Return a function that speaks the sentences of a text, at a speed; 1 is the usual one."""
    spec = importlib.util.find_spec("hibari")
    assert spec is not None
    assert spec.origin is not None
    assert digest(Path(spec.origin).parent) == _DIGEST, "hibari-tts is not version 0.2.1"
    from hibari import Hibari

    voice: Any = Hibari()

    def speak(text: str, speed: float) -> Iterator[Samples]:
        with _ONE_AT_A_TIME:
            yield from voice.stream(text, speed=speed, seed=0)

    return speak


def digest(package: Path) -> str:
    """Return the SHA-256 of the names and contents of a package's files."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            found.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


@contextmanager
def serving(
    speak: Callable[[str, float], Iterator[Samples]], speech: Speech, port: int = 0
) -> Iterator[str]:
    """Yield the address of a server that speaks with this function."""

    class Handler(_Handler):
        pass

    Handler.speak, Handler.speech = staticmethod(speak), speech
    with listening(Handler, port) as address:
        yield address


class _Handler(Peer):
    name = NAME
    protocol_version = "HTTP/1.1"
    speak: Callable[[str, float], Iterator[Samples]]
    speech: Speech

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        """Answer a text with its speech: whole, or each sentence as soon as it is there."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/audio/speech":
            self.answer(404, b"{}")
        elif self.speech.streams:
            self._stream(self._sentences(body["input"]))
        else:
            clip = clips.clip_of(np.concatenate([*self._sentences(body["input"])]), RATE)
            self.answer(200, clips.encode(clip, body["response_format"]), "audio/wav")

    def _stream(self, sentences: Iterator[Samples]) -> None:
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._chunk(_endless_header())
        for samples in sentences:
            self._chunk((samples * 32_767).astype("<i2").tobytes())
        self._chunk(b"")

    def _sentences(self, text: str) -> Iterator[Samples]:
        speech = self.speech
        for samples in self.speak(speech.says or text, speech.speed):
            time.sleep(speech.pause_s)
            yield speech.spoil(samples)

    def _chunk(self, raw: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(raw), raw))


def _endless_header() -> bytes:
    """Return the header of a WAV file whose length is not known yet, as servers stream it."""
    head = clips.encode(clips.clip_of(np.zeros(1), RATE))[:44]
    endless = b"\xff\xff\xff\xff"
    return head[:4] + endless + head[8:40] + endless


if __name__ == "__main__":
    told = Speech(streams="stream" in sys.argv)
    with serving(engine(), told, int(sys.argv[1])) as address:
        print(address, flush=True)  # noqa: T201
        sys.stdin.read()
