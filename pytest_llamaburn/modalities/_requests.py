"""Requests for sound and for text of sound, on the timed connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

from pytest_llamaburn.backends._failures import classify, malformed
from pytest_llamaburn.backends._http import request_bytes
from pytest_llamaburn.trace import Delta, Failed, Finished, Sent, Trace, fold

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.backends._exchange import Exchange
    from pytest_llamaburn.trace import Event

_ERROR_BYTES = 64_000


async def post_json(backend: Backend, path: str, body: Mapping[str, object]) -> Exchange:
    """Return the exchange of a request with a JSON body."""
    return await _post(backend, path, "application/json", json.dumps(body).encode())


async def post_file(
    backend: Backend, path: str, fields: Mapping[str, str], name: str, raw: bytes
) -> Exchange:
    """Return the exchange of a request with form fields and one file."""
    mark = uuid4().hex
    parts = [_part(mark, f'name="{field}"', value.encode()) for field, value in fields.items()]
    parts.append(_part(mark, f'name="file"; filename="{name}"', raw))
    kind = f"multipart/form-data; boundary={mark}"
    return await _post(backend, path, kind, *parts, f"--{mark}--\r\n".encode())


def failure_of(exchange: Exchange) -> Failed | None:
    """Return the failure of an exchange, or None."""
    framing = exchange.framing
    if exchange.failure or framing.succeeded:
        return exchange.failure
    kind, words = classify(framing.status, framing.body[:_ERROR_BYTES])
    return Failed(exchange.ended_ns, kind, "response", framing.status, words)


def text_trace(exchange: Exchange, text_of: Callable[[bytes], str]) -> Trace:
    """Return the trace of an answer whose whole body is one text, or a stream of its parts."""
    failure = failure_of(exchange)
    if failure:
        return fold([Sent(exchange.sent_ns), failure], exchange.connect_ms)
    body = exchange.framing.body
    try:
        streamed = body.lstrip().startswith(b"data:")
        events = _streamed(exchange) if streamed else [_whole(exchange, text_of(body))]
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        broken = malformed(exchange.ended_ns, body, err)
        return fold([Sent(exchange.sent_ns), broken], exchange.connect_ms)
    end = Finished(exchange.ended_ns, "stop", streamed=streamed)
    return fold([Sent(exchange.sent_ns), *events, end], exchange.connect_ms)


def _whole(exchange: Exchange, text: str) -> Event:
    return Delta(exchange.ended_ns, "content", text)


def _streamed(exchange: Exchange) -> list[Event]:
    """Return the parts of a transcription that came as events."""
    parts: list[Event] = []
    for stamp, line in exchange.lines():
        data = line.removeprefix(b"data:").strip()
        if not line.startswith(b"data:") or data == b"[DONE]":
            continue
        event = json.loads(data)
        if event.get("delta"):
            parts.append(Delta(stamp, "content", event["delta"]))
    return parts


async def _post(backend: Backend, path: str, content_type: str, *content: bytes) -> Exchange:
    headers = backend._headers()  # noqa: SLF001 - those of all its requests
    payload = request_bytes(backend.address, path, headers, *content, content_type=content_type)
    wire = backend.wire()
    try:
        return await wire.send(payload, _newest, has_lines=False)
    finally:
        wire.close()


def _newest(exchange: Exchange) -> int | None:
    """Return the stamp of the newest read, once the answer has begun."""
    return exchange.stamps[-1] if exchange.framing.succeeded and exchange.stamps else None


def _part(mark: str, disposition: str, value: bytes) -> bytes:
    head = f"--{mark}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + value + b"\r\n"
