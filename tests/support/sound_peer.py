"""A server for sound on the loopback: it transcribes, speaks and makes music as it is told to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.audio.clips import Clip
from support.scripted import Pause, Request, Steps, sized


def wav(clip: Clip, *, pieces: int = 1, pause_s: float = 0.0) -> Steps:
    """Return an answer with a clip, in pieces with pauses between them."""
    raw = clips.encode(clip)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: audio/wav\r\ncontent-length: {len(raw)}\r\n\r\n"
    size = -(-len(raw) // pieces)
    steps: list[Any] = [head.encode()]
    for start in range(0, len(raw), size):
        steps += [raw[start : start + size], Pause(pause_s)]
    return steps


@dataclass
class SoundPeer:
    """What each path answers; `asked` has the path and the fields of each request."""

    text: str | Steps | Callable[[bytes], str | Steps] = "Hello."
    speech: Clip | Steps = field(default_factory=lambda: levels.tone(440, 1, 24_000))
    music: Clip | Steps = field(default_factory=lambda: levels.tone(220, 10, 24_000))
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, request: Request) -> Steps:
        if request.path == "/v1/models":
            return [sized(200, {"data": [{"id": "sound"}]})]
        if request.path == "/v1/audio/transcriptions":
            return self._transcribed(request)
        known = {"/v1/audio/speech": self.speech, "/v1/sound-generation": self.music}
        if request.path not in known:
            return [sized(404)]
        self.asked.append((request.path, request.json))
        answer = known[request.path]
        return wav(answer) if isinstance(answer, Clip) else answer

    def _transcribed(self, request: Request) -> Steps:
        fields = form_of(request.body)
        self.asked.append((request.path, fields))
        text = self.text(fields["file"]) if callable(self.text) else self.text
        if isinstance(text, Iterable) and not isinstance(text, str):
            return text
        if fields["response_format"] == b"text":
            body = f"{text}\n".encode()
            return [f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body]
        return [sized(200, {"text": text})]


def form_of(body: bytes) -> dict[str, bytes]:
    """Return the fields of a multipart body."""
    mark = body[: body.index(b"\r\n")]
    parts = body.split(mark)[1:-1]
    pairs = (part.strip(b"\r\n").split(b"\r\n\r\n", 1) for part in parts)
    return {re.search(rb'name="(\w+)"', head)[1].decode(): value for head, value in pairs}  # type: ignore[index]


def streamed(*deltas: str) -> Steps:
    """Return a transcription as a stream of events."""
    events = [{"type": "transcript.text.delta", "delta": one} for one in deltas]
    done = {"type": "transcript.text.done", "text": "".join(deltas)}
    body = "".join(f"data: {json.dumps(one)}\n\n" for one in [*events, done]).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return [head.encode() + body]
