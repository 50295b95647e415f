"""A loopback server with a known schedule, in a child process, that logs its true times.

It implements the part of OpenAI's or Ollama's API that LlamaBurn's clients use.

The first token of a stream is sent a given time after the request arrived, then one chunk every
1/rate seconds; all due times are absolute. Arrivals have the kernel's timestamps. Sends are stamped
with `time.perf_counter_ns`, whose clock all processes share on Linux. Linux only.
"""

from __future__ import annotations

import gc
import heapq
import json
import re
import select
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from time import perf_counter_ns, time_ns
from typing import IO, Any, NamedTuple, Self

_SO_TIMESTAMPNS = 35
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_REQUEST_ID = re.compile(rb"request (\d+)")
_WORDS = [
    "the",
    "model",
    "answers",
    "one",
    "token",
    "after",
    "another",
    "and",
    "never",
    "waits",
    "for",
    "us",
    "to",
    "read",
]
_STDIN = 0
_LISTING = b'{"object":"list","data":[{"id":"scheduled","object":"model"}]}'
_MODELS = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_LISTING), _LISTING)


class Schedule(NamedTuple):
    """The timing of each stream; `dialect` is openai (events) or ollama (lines)."""

    ttft_s: float = 0.05
    rate: float = 100.0
    chunks: int = 100
    dialect: str = "openai"

    @property
    def request_s(self) -> float:
        """The duration of one request in seconds."""
        return self.ttft_s + (self.chunks - 1) / self.rate


class Log(NamedTuple):
    """The server's times of one request."""

    arrived_ns: int
    sent_ns: list[int]

    @property
    def ttft_ms(self) -> float:
        """The true time to the first token in ms."""
        return (self.sent_ns[0] - self.arrived_ns) / 1e6


class Server:
    """The server's process, as a context manager; its log is complete after the exit."""

    def __init__(self, schedule: Schedule) -> None:
        """Take the schedule; the process starts on entry."""
        self.schedule = schedule
        self.url = ""
        self.log: dict[int, Log] = {}
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        """Start the process and read its port."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(self.schedule)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = f"http://127.0.0.1:{_pipe(self._process.stdout).readline().strip()}"
        return self

    def __exit__(self, *_: object) -> None:
        """End the process and read its log."""
        output, _err = self._process.communicate()
        self.log = {int(key): Log(*entry) for key, entry in json.loads(output).items()}


class Body:
    """The bytes of one answer, prepared before the first request."""

    def __init__(self, schedule: Schedule) -> None:
        openai = schedule.dialect == "openai"
        kind = "text/event-stream" if openai else "application/x-ndjson"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = _openai_chunk if openai else _ollama_line
        words = (f" {_WORDS[i % len(_WORDS)]}" for i in range(schedule.chunks))
        self.parts = [_framed(chunk(word)) for word in words]
        self.parts[-1] += (_openai_end if openai else _ollama_end)(schedule.chunks)
        self.head = head.encode() + (_framed(_openai_chunk(None)) if openai else b"")


class _Stream:
    """One connection: it reads a request, then sends the answer part by part."""

    def __init__(self, sock: socket.socket, body: Body) -> None:
        self.sock, self._body = sock, body
        self.log: list[int] = []
        self.arrived_ns = 0
        self._received = b""

    def read(self) -> int | None:
        """Read; return the id of a complete request, None if incomplete, -1 if closed.

        Raises ConnectionError if the client reset the connection.
        """
        data, notes, _, _ = self.sock.recvmsg(65536, 64)
        if not data:
            return -1
        self._received += data
        head, _, rest = self._received.partition(b"\r\n\r\n")
        if head.startswith(b"GET"):
            self._received = b""
            self.sock.send(_MODELS)
            return None
        length = _LENGTH.search(head)
        if length is None or len(rest) < int(length[1]):
            return None
        self.arrived_ns, self.log, self._received = kernel_stamp(notes), [], b""
        self.sock.send(self._body.head)
        request_id = _REQUEST_ID.search(rest)
        return int(request_id[1]) if request_id else 0

    def send(self) -> bool:
        """Send the next part; return whether more parts follow."""
        log, parts = self.log, self._body.parts
        part = parts[len(log)]
        log.append(perf_counter_ns())
        with suppress(ConnectionError):  # its next read says that the connection is closed
            self.sock.send(part)
        return len(log) < len(parts)


class _Loop:
    """Serves until standard input closes."""

    def __init__(self, schedule: Schedule) -> None:
        self.log: dict[int, tuple[int, list[int]]] = {}
        self._body, self._ttft = Body(schedule), int(schedule.ttft_s * 1e9)
        self._gap = 1e9 / schedule.rate
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)  # its sockets inherit it
        self._poll = select.epoll()
        self._poll.register(self._listener.fileno(), select.EPOLLIN)
        self._poll.register(_STDIN, select.EPOLLIN)
        self._streams: dict[int, _Stream] = {}
        self._due: list[tuple[int, int, _Stream]] = []

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def run(self) -> None:
        while True:
            due = self._due
            wait = max(0.0, (due[0][0] - perf_counter_ns()) / 1e9) if due else None
            for fd, _ in self._poll.poll(wait):
                if fd == _STDIN:
                    return
                self._ready(fd)
            while due and due[0][0] <= perf_counter_ns():
                self._send(*heapq.heappop(due))

    def _ready(self, fd: int) -> None:
        stream = self._streams.get(fd)
        if stream is None:
            self._accept()
            return
        try:
            request = stream.read()
        except ConnectionError:  # a killed client resets its connections
            request = -1
        if request == -1:
            self._poll.unregister(fd)
            self._streams.pop(fd).sock.close()
        elif request is not None:
            self.log[request] = (stream.arrived_ns, stream.log)
            heapq.heappush(self._due, (stream.arrived_ns + self._ttft, fd, stream))

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._streams[sock.fileno()] = _Stream(sock, self._body)
        self._poll.register(sock.fileno(), select.EPOLLIN)

    def _send(self, _due_ns: int, fd: int, stream: _Stream) -> None:
        if self._streams.get(fd) is stream and stream.send():
            due_ns = stream.arrived_ns + self._ttft + int(len(stream.log) * self._gap)
            heapq.heappush(self._due, (due_ns, fd, stream))


def kernel_stamp(notes: list[Any]) -> int:
    """Return when the kernel received the last read, on the clock of perf_counter_ns."""
    if not notes:  # the kernel's timestamps start shortly after the socket option is set
        return perf_counter_ns()
    seconds, nanoseconds = struct.unpack("qq", notes[0][2])
    return int(seconds * 10**9 + nanoseconds - (time_ns() - perf_counter_ns()))


def _framed(data: str) -> bytes:
    body = data.encode()
    return b"%x\r\n%s\r\n" % (len(body), body)


def _openai_chunk(word: str | None, reason: str | None = None) -> str:
    delta = {"role": "assistant", "content": None} if word is None else {"content": word}
    event = {
        "choices": [{"finish_reason": reason, "index": 0, "delta": {} if reason else delta}],
        "created": 1760000000,
        "id": "chatcmpl-1Zp6tQAmD0hQ0zYcCjUc5wNwJc1oJtXQ",
        "model": "scheduled",
        "system_fingerprint": "b6700-scheduled",
        "object": "chat.completion.chunk",
    }
    return _event(event)


def _openai_end(chunks: int) -> bytes:
    usage = {"prompt_tokens": 8, "completion_tokens": chunks, "total_tokens": 8 + chunks}
    last = _openai_chunk("", "length"), _event({"choices": [], "usage": usage}), "data: [DONE]\n\n"
    return b"".join(map(_framed, last)) + b"0\r\n\r\n"


def _event(event: dict[str, Any]) -> str:
    return f"data: {json.dumps(event, separators=(',', ':'))}\n\n"


def _ollama_line(word: str, **more: object) -> str:
    line = {
        "model": "scheduled",
        "created_at": "2025-10-09T08:53:20.123456789Z",
        "message": {"role": "assistant", "content": word},
        "done": False,
    }
    return json.dumps({**line, **more}, separators=(",", ":")) + "\n"


def _ollama_end(chunks: int) -> bytes:
    counts = {"prompt_eval_count": 8, "eval_count": chunks, "eval_duration": chunks * 10**7}
    return _framed(_ollama_line("", done=True, done_reason="length", **counts)) + b"0\r\n\r\n"


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # noqa: S101 - it was opened as a pipe
    return stream


def main() -> None:
    loop = _Loop(Schedule(*json.loads(sys.argv[1])))
    sys.stdout.write(f"{loop.port}\n")
    sys.stdout.flush()
    gc.disable()
    loop.run()
    json.dump(loop.log, sys.stdout)


if __name__ == "__main__":
    main()
