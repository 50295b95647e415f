"""A loopback model server with a known number of slots, which requests wait for."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_LIMIT_S = 10.0
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"Server: slots\r\n\r\n"
)


class SlotServer:
    """Speaks OpenAI's dialect; `service` gives the seconds that the n-th answer takes.

    Beyond `queue` waiting requests it refuses with 503; after `dies_after` answers it closes its
    socket and every connection.
    """

    def __init__(
        self,
        slots: int,
        service: Callable[[int], float],
        *,
        queue: int | None = None,
        dies_after: int | None = None,
        tokens: int = 8,
    ) -> None:
        self.slots, self.service, self.queue = slots, service, queue
        self.dies_after, self.tokens = dies_after, tokens
        self.served = self.refused = self.most_waiting = 0
        self.bodies: list[Any] = []
        self._waiting = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(self._start())
        self.host = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT_S)

    async def _start(self) -> asyncio.Server:
        self._free = asyncio.Semaphore(self.slots)
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _stop(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            while not writer.is_closing():
                await self._answer(*await self._read(reader), writer)
        self._writers.discard(writer)
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> tuple[str, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length")]
        size = int(lengths[0].partition(":")[2]) if lengths else 0
        return head.split(" ")[1], await reader.readexactly(size)

    async def _answer(self, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        if path == "/v1/chat/completions":
            self.bodies.append(json.loads(body))
            await self._chat(writer)
        elif path == "/v1/models":
            _whole(writer, "200 OK", {"object": "list", "data": [{"id": "tiny", "owned_by": "us"}]})
        else:
            _whole(writer, "404 Not Found", {})
        await writer.drain()

    async def _chat(self, writer: asyncio.StreamWriter) -> None:
        if self.queue is not None and self._waiting >= self.queue:
            self.refused += 1
            _whole(writer, "503 Busy", {"error": {"message": "server busy", "code": 503}})
            return
        self._waiting += 1
        self.most_waiting = max(self.most_waiting, self._waiting)
        async with self._free:
            self._waiting -= 1
            await self._stream(writer, self.service(self.served))
        if self.dies_after is not None and self.served >= self.dies_after:
            self._server.close()
            for one in self._writers:
                one.transport.abort()

    async def _stream(self, writer: asyncio.StreamWriter, seconds: float) -> None:
        self.served += 1
        writer.write(_HEAD)
        for number in range(1, self.tokens + 1):
            await asyncio.sleep(seconds / self.tokens)
            writer.write(_framed(_chunk("length" if number == self.tokens else None)))
        usage = {"prompt_tokens": 20, "completion_tokens": self.tokens}
        writer.write(_framed({"choices": [], "usage": usage}))
        writer.write(_framed("[DONE]") + b"0\r\n\r\n")
        await writer.drain()


def _chunk(reason: str | None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": " hi"}, "finish_reason": reason}]}


def _framed(data: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    event = f"data: {text}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(event), event)


def _whole(writer: asyncio.StreamWriter, status: str, body: Any) -> None:
    data = json.dumps(body).encode()
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
