"""A loopback HTTP server that plays exact bytes, and the responses real servers are known to send.

`ScriptedServer(script)` asks its script for the steps of each request and carries them out: bytes
are one write each, the rest are pauses and ways to end. `replay` feeds a response to the timed
transport in chosen reads, without a socket.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias, cast

from pytest_llamaburn.backends._base import Backend, Model
from pytest_llamaburn.backends._http import Connection, Deadlines
from pytest_llamaburn.option import model_of
from pytest_llamaburn.settings import Run
from pytest_llamaburn.trace import Event, Failed, Finished, Sent, Trace

if TYPE_CHECKING:
    import ssl

    from pytest_llamaburn.backends._exchange import Exchange

_LIMIT_S = 10.0  # a gate nobody opens ends here, so that a broken test fails instead of hanging


class Request(NamedTuple):
    """One request as it arrived; `number` counts from 0 over the whole server."""

    method: str
    path: str
    body: bytes
    number: int

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


class Pause(NamedTuple):
    """Wait for an event to be set, or for some seconds."""

    until: threading.Event | float


class Hang:
    """Send nothing more, and keep the connection until the client leaves."""


class Reset:
    """End the connection with RST."""


class Close:
    """End the connection with FIN."""


class StopListening:
    """Close the listening socket, as a dying server does; open connections stay."""


Step: TypeAlias = bytes | Pause | Hang | Reset | Close | StopListening
Steps: TypeAlias = Iterable[Step]  # without end for a server that never stops
Script: TypeAlias = Callable[[Request], Steps]
Piece: TypeAlias = str | Mapping[str, Any]  # a text, or the fields of a message or delta


class ScriptedServer:
    """The server; a context manager that runs its own event loop in a thread."""

    def __init__(
        self, script: Script | Steps, tls: ssl.SSLContext | None = None, at: str = "127.0.0.1"
    ) -> None:
        """Take a script, or the steps that answer every request; with `tls`, speak https."""
        self._tls, self._at = tls, at
        self._script: Script = script if callable(script) else lambda _: script
        self.requests: list[bytes] = []
        self.sent_ns: list[list[int]] = []
        self.connections = 0
        self.left = threading.Event()  # a client closed during a Hang
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, self._at, 0, ssl=self._tls))
        self.port = self._server.sockets[0].getsockname()[1]
        name = f"[{self._at}]" if ":" in self._at else self._at
        self.host = f"{'https' if self._tls else 'http'}://{name}:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT_S)

    async def _shut(self) -> None:
        for _ in range(5):  # turns of the loop: a connection that is just accepted would leak
            await asyncio.sleep(0)
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while not writer.is_closing():
                await self._answer(await self._read(reader), reader, writer)
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        length = [line for line in lines if line.startswith("content-length:")]
        body = await reader.readexactly(int(length[0].partition(":")[2]) if length else 0)
        method, path, _ = head.decode("latin-1").split(" ", 2)
        self.requests.append(head + body)
        self.sent_ns.append([])
        return Request(method, path, body, len(self.requests) - 1)

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        sent = self.sent_ns[request.number]
        for step in self._script(request):
            match step:
                case bytes():
                    await writer.drain()  # so that the next write goes to the kernel at once
                    sent.append(perf_counter_ns())
                    writer.write(step)
                case Pause(threading.Event() as event):
                    await asyncio.to_thread(event.wait, _LIMIT_S)
                case Pause(float() | int() as seconds):
                    await asyncio.sleep(seconds)
                case Hang():
                    await reader.read()
                    self.left.set()
                    return writer.close()
                case Reset():
                    linger = struct.pack("ii", 1, 0)
                    sock = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return writer.transport.abort()
                case Close():
                    return writer.close()
                case StopListening():
                    self._server.close()
        return None


def sized(status: int, body: bytes | str | Mapping[str, Any] = b"", **headers: str) -> bytes:
    """Return a whole response with its length in the head; an object becomes JSON."""
    if isinstance(body, Mapping):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    return head(status, content_length=str(len(data)), **headers) + data


def head(status: int = 200, **headers: str) -> bytes:
    """Return a response head; `content_length` becomes Content-Length."""
    fields = "".join(f"{k.replace('_', '-').title()}: {v}\r\n" for k, v in headers.items())
    return f"HTTP/1.1 {status} Words\r\n{fields}\r\n".encode()


def chunk(payload: bytes, extension: str = "") -> bytes:
    """Return one chunk of a chunked body; an empty one ends it."""
    return b"%x%s\r\n%s\r\n" % (len(payload), extension.encode(), payload)


def chunked(*payloads: bytes, **headers: str) -> list[bytes]:
    """Return a response that streams: the head, one chunk per payload, the end."""
    start = head(200, transfer_encoding="chunked", **headers)
    return [start, *(chunk(payload) for payload in payloads), chunk(b"")]


def sse(data: str | Mapping[str, Any], newline: str = "\n") -> bytes:
    """Return one server-sent event; an object becomes JSON, text with newlines several lines."""
    text = data if isinstance(data, str) else json.dumps(data)
    lines = "".join(f"data: {line}{newline}" for line in text.split("\n"))
    return (lines + newline).encode()


def ndjson(fields: Mapping[str, Any]) -> bytes:
    """Return one line of JSON."""
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


OLLAMA_FINAL: dict[str, Any] = {
    "done_reason": "stop",
    "total_duration": 35_876_677,
    "load_duration": 843_199,
    "prompt_eval_count": 13,
    "prompt_eval_duration": 8_023_999,
    "eval_count": 4,
    "eval_duration": 24_377_000,
}


def ollama_line(piece: Piece = "", **fields: Any) -> bytes:
    """Return one line of Ollama's `/api/chat`."""
    message = {"role": "assistant", "content": ""}
    message |= {"content": piece} if isinstance(piece, str) else piece
    about = {"model": "tiny:latest", "created_at": "2026-11-23T14:23:52.1Z", "message": message}
    return ndjson(about | {"done": False} | fields)


def ollama_stream(pieces: Sequence[Piece], **final: Any) -> list[bytes]:
    """Return an `/api/chat` answer; Ollama's head leaves together with the first line."""
    lines = [ollama_line(piece) for piece in pieces]
    last = ollama_line("", done=True, **{**OLLAMA_FINAL, **final})
    start, first, *rest = chunked(*lines, last, content_type="application/x-ndjson")
    return [start + first, *rest]


OPENAI_USAGE = {
    "prompt_tokens": 34,
    "completion_tokens": 12,
    "total_tokens": 46,
    "prompt_tokens_details": {"cached_tokens": 4},
}
LLAMA_TIMINGS = {
    "cache_n": 4,
    "prompt_n": 30,
    "prompt_ms": 9.15023,
    "predicted_n": 12,
    "predicted_ms": 7.26547,
}


def openai_chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    """Return the object of one `chat.completion.chunk` with a single choice."""
    choice = {"finish_reason": finish, "index": 0, "delta": delta}
    return {"choices": [choice], "id": "chatcmpl-1", "object": "chat.completion.chunk"}


def openai_stream(
    pieces: Sequence[Piece],
    usage: Mapping[str, Any] | None = OPENAI_USAGE,
    timings: Mapping[str, Any] | None = LLAMA_TIMINGS,
    server: str = "llama.cpp",
) -> list[bytes]:
    """Return a chat completion as llama.cpp streams it: the role chunk shares the first write."""
    role = sse(openai_chunk({"role": "assistant", "content": None}))
    deltas = [{"content": piece} if isinstance(piece, str) else piece for piece in pieces]
    texts = [sse(openai_chunk(delta)) for delta in deltas]
    if texts:
        texts[0] = role + texts[0]
    last: dict[str, Any] = {"choices": []}
    last |= {"usage": usage} if usage else {}
    last |= {"timings": timings} if timings else {}
    ends = [sse(openai_chunk({}, finish="stop")), *([sse(last)] if len(last) > 1 else [])]
    return chunked(*texts, *ends, sse("[DONE]"), content_type="text/event-stream", server=server)


@dataclass
class _Facade:
    """A script that answers a whole command's requests; `faults` maps the number of a timed chat
    request, from 0, to the steps that answer it instead of `texts`."""

    texts: Sequence[Piece] = ("Red", ",", " green", ".")
    model: str = "tiny:latest"
    faults: Mapping[int, Steps] = field(default_factory=dict)
    token_s: float = 0.0
    chats: int = 0

    def _play(self, replies: Mapping[str, Any], request: Request, **headers: str) -> Steps:
        if request.path in replies:
            return [sized(200, replies[request.path], **headers)]
        return [sized(404, {"error": {"code": 404, "message": "not found"}}, **headers)]

    def _chat(self, whole: Steps) -> Steps:
        self.chats += 1
        gap = [Pause(self.token_s)] if self.token_s else []
        return self.faults.get(self.chats - 1, [step for one in whole for step in (*gap, one)])


@dataclass
class OllamaFacade(_Facade):
    """Ollama: detection, listings, load, unload and `/api/chat`."""

    final: Mapping[str, Any] = field(default_factory=dict)
    held: Mapping[str, Any] = field(default_factory=dict)  # what /api/ps says besides
    capabilities: Sequence[str] = ("completion",)
    loads: int = 0
    loaded: bool = False

    def __call__(self, request: Request) -> Steps:
        """Return the steps for a request."""
        if request.path == "/api/chat" and request.json["messages"]:
            self.loaded = True
            return self._chat(ollama_stream(self.texts, **self.final))
        if request.path == "/api/chat":
            self.loaded = request.json.get("keep_alive") != 0
            self.loads += self.loaded
            reason = "load" if self.loaded else "unload"
            return [sized(200, ollama_line(done=True, done_reason=reason))]
        details = {"family": "llama", "quantization_level": "Q4_1"}
        more = {"details": details, "capabilities": [*self.capabilities]}
        entry = {"name": self.model, "size": 98_362_745, "digest": "765525e6", **more}
        held = {**entry, "size_vram": 98_362_745, "context_length": 4096, **self.held}
        replies = {
            "/": "Ollama is running",
            "/api/version": {"version": "0.32.15"},
            "/api/tags": {"models": [entry]},
            "/api/ps": {"models": [held] if self.loaded else []},
            "/api/show": {"model_info": {"llama.context_length": 8192}, **more},
            "/v1/models": {"object": "list", "data": [{"id": self.model}]},
        }
        return self._play(replies, request)


@dataclass
class LlamaCppFacade(_Facade):
    """llama.cpp's server or, with another `server` and `owner`, its like."""

    server: str = "llama.cpp"
    owner: str = "llamacpp"
    usage: Mapping[str, Any] | None = field(default_factory=lambda: OPENAI_USAGE)
    timings: Mapping[str, Any] | None = field(default_factory=lambda: LLAMA_TIMINGS)
    slots: int = 1
    props: str = ""  # instead of its own

    def __call__(self, request: Request) -> Steps:
        """Return the steps for a request."""
        if request.path == "/v1/chat/completions":
            stream = openai_stream(self.texts, self.usage, self.timings, self.server)
            end = [Close()] if self.server == "llama.cpp" else []
            return self._chat([*stream, *end])
        meta = {"n_ctx": 2048, "n_params": 134_515_008, "size": 98_362_432}
        entry = {"id": self.model, "owned_by": self.owner, "meta": meta}
        replies = {
            "/v1/models": {"object": "list", "data": [entry]},
            "/props": self.props or {"build_info": "b0-unknown", "total_slots": self.slots},
            "/health": {"status": "ok"},
        }
        return self._play(replies, request, server=self.server)


def settings_for(host: str | None, **values: Any) -> Run:
    """Return checked settings of a run, defaults but for these; no file or variable speaks."""
    return cast("Run", model_of(Run)(host=host, **values))


class Replaying(asyncio.Transport):
    """Answers a write with the given reads, then with the server's FIN unless `stays`."""

    def __init__(self, connection: Connection, reads: Iterable[bytes], *, stays: bool) -> None:
        super().__init__()
        self._connection, self._reads, self._stays = connection, reads, stays

    def writelines(self, list_of_data: object) -> None:
        self.write(b"")

    def write(self, data: object) -> None:
        for read in self._reads:
            if self._connection.transport is self:
                self._connection.data_received(read)
        if self._connection.transport is self and not self._stays:
            self._connection.connection_lost(None)

    def abort(self) -> None:
        """Send nothing more: the connection forgets its transport."""

    def pause_reading(self) -> None:
        """Go on: the reads of a replay do not wait."""

    def resume_reading(self) -> None:
        """Go on."""


async def replay(reads: Iterable[bytes], silent: Backend | None = None) -> Exchange:
    """Return the exchange of these reads and a FIN or, with a backend, of silence till it ends."""
    connection = Connection()
    connection.connection_made(Replaying(connection, reads, stays=silent is not None))
    if silent is None:
        return await connection.exchange([], Deadlines(), lambda _: None)
    return await connection.exchange([], silent.deadlines, silent.last_delta)


def events_of(backend: Backend, exchange: Exchange) -> list[Event]:
    """Return a backend's events, checked for what always holds: Sent first, one terminal last."""
    events = list(backend.events(exchange))
    assert isinstance(events[0], Sent)
    assert [isinstance(e, Finished | Failed) for e in events] == [False] * (len(events) - 1) + [
        True
    ]
    return events


async def ask(backend: Backend, times: int = 1) -> list[Trace]:
    """Return the traces of some timed requests, one after another on one virtual user's wire."""
    messages = [{"role": "user", "content": "Name two colours."}]
    wire, payload = backend.wire(), backend.payload(Model("tiny", "tiny"), messages)
    traces = [await backend.stream(wire, payload) for _ in range(times)]
    wire.close()
    return traces
