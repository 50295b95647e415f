"""The timed transport: one HTTP/1.1 request on one connection, stamped at every socket read.

TTFT is stamped in `Connection.data_received`, as the first thing after the read. Framing, decoding
and metrics wait until the response has ended. A timed request is never retried.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from contextlib import suppress
from functools import cache
from itertools import accumulate, islice
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, NamedTuple, cast

from pytest_llamaburn.backends._exchange import Exchange
from pytest_llamaburn.backends._framing import FramingError, OversizedError
from pytest_llamaburn.trace import CLIENT_FILES, Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.backends._address import Address

REUSE_WITHIN_S = 2.0  # the server may close a connection that has been idle for longer
_HUGE = 60_000  # after a read of this many bytes, timers and other connections go first
_LOOK_EVERY = 256_000  # bytes of a streaming answer between two checks
_END = b"\r\n\r\n"  # the end of every chunked response
_SMALL = 8  # a read below this size may hold only a part of that end
_LARGE, _MANY = 8_000, 500  # parse after a read of this many bytes, or after this many reads
_NO_FILES = tuple(f"[Errno {number}]" for number in (errno.EMFILE, errno.ENFILE))
_REFUSED = ("refused", f"[Errno {errno.ECONNREFUSED}]")
Payload = list[bytes]  # the bytes of a request, in parts that are sent one after another


class Deadlines(NamedTuple):
    """The four deadlines of a request, in seconds."""

    connect: float = 5.0
    first_token: float = 300.0
    idle: float = 60.0
    total: float = 600.0


@cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS context: the certificate authorities of the system or of `SSL_CERT_FILE`.

    Timed and untimed calls share it, so both trust the same servers. Creating it takes 20 ms.
    """
    return ssl.create_default_context()


def common_headers(address: Address) -> dict[str, str]:
    """Return the headers of every request to a server, timed or not."""
    return {"Host": address.authority, "Accept": "*/*", "Accept-Encoding": "identity"}


def request_bytes(
    address: Address,
    path: str,
    headers: dict[str, str],
    *body: bytes,
    content_type: str = "application/json",
) -> Payload:
    """Return the bytes of a POST with a body in parts; they are built before the clock starts.

    Large parts stay as they are, because a copy of a medium takes as long as its base64.
    """
    head = {
        **headers,
        "Content-Type": content_type,
        "Content-Length": str(sum(map(len, body))),
    }
    text = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    begin = f"POST {address.path}{path} HTTP/1.1\r\n{text}\r\n".encode("latin-1")
    first, *rest = body
    return [begin + first, *rest]


class Connection(asyncio.Protocol):
    """One connection with at most one exchange at a time."""

    def __init__(self) -> None:
        """Start unconnected."""
        self.transport: asyncio.Transport | None = None
        self.idle_since = perf_counter()
        self._loop: asyncio.AbstractEventLoop
        self._exchange: Exchange | None = None
        self._done: asyncio.Future[None] | None = None
        self._watch: _Watch
        self._unlooked = 0
        self._careful = True
        self._reads: list[bytes] = []
        self._stamps: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's class is not a subclass

    def data_received(self, data: bytes) -> None:
        """Stamp the read; parse only if the response may have ended or is long.

        The parsing waits until the event loop has read and stamped all data that is already there.
        """
        self._stamps.append(perf_counter_ns())
        self._reads.append(data)
        if self._careful:
            self._advance()
        elif not _SMALL <= len(data) <= _LARGE or data[-4:] == _END or len(self._reads) > _MANY:
            self._look_soon(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """Finish the current exchange: complete if the close ends the body, else as cut off."""
        self.transport = None
        if self._exchange is None:
            return
        self._advance()
        if self._exchange is not None:
            self._exchange.framing.eof()
            failure = None if self._exchange.framing.done else _cut(exc, self._exchange)
            self._finish(failure)

    @property
    def fresh(self) -> bool:
        """Whether a timed request may reuse this connection."""
        return self.transport is not None and perf_counter() - self.idle_since < REUSE_WITHIN_S

    async def exchange(
        self,
        payload: Payload,
        deadlines: Deadlines,
        last_delta: Callable[[Exchange], int | None],
        *,
        has_lines: bool = True,
    ) -> Exchange:
        """Send the payload and return the exchange, complete or with its failure.

        `last_delta` returns the stamp of the newest delta in an unfinished exchange: keep-alive
        comments and role chunks are not progress.
        """
        assert self.transport is not None  # noqa: S101 - the caller opened it
        self._loop = asyncio.get_running_loop()
        self._done, self._unlooked, self._careful = self._loop.create_future(), 0, True
        exchange = self._exchange = Exchange(has_lines=has_lines)
        self._reads, self._stamps = [], exchange.stamps
        watch = self._watch = _Watch(self, exchange, deadlines, last_delta)
        exchange.sent_ns = perf_counter_ns()
        self.transport.writelines(payload)
        watch.start()
        try:
            await self._done
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            watch.stop()
        return exchange

    def _look_soon(self, size: int) -> None:
        if size > _HUGE and self.transport is not None:
            self.transport.pause_reading()
        self._loop.call_soon(self.catch_up)

    def catch_up(self) -> None:
        """Parse all reads so far."""
        if self._exchange is not None:
            self._advance()
        if self.transport is not None:
            self.transport.resume_reading()

    def fail(self, failure: Failed) -> None:
        """End the current exchange with this failure and close the connection."""
        self._finish(failure)
        self.abort()

    def abort(self) -> None:
        """Close the connection at once, even during an answer."""
        self._exchange = None
        if self.transport is not None:
            self.transport.abort()
            self.transport = None

    def _advance(self) -> None:
        exchange = self._exchange
        if exchange is None:  # unexpected bytes: do not reuse the connection
            self.abort()
            return
        framing, reads = exchange.framing, self._reads
        ends = accumulate(map(len, reads), initial=exchange.ends[-1] if exchange.ends else 0)
        exchange.ends.extend(islice(ends, 1, None))
        data = b"".join(reads)
        reads.clear()
        self._unlooked += len(data)
        long = self._unlooked > _LOOK_EVERY
        broken: FramingError | None = None
        try:
            framing.feed(data)
            if long:
                self._look_over(exchange)
        except FramingError as err:
            broken = err
        if framing.status and exchange.headers_ns is None:
            exchange.headers_ns = self._stamps[-1]
            self._careful = not (framing.chunked and framing.strict)
        if broken:
            status = framing.status or None
            self.fail(Failed(perf_counter_ns(), broken.kind, "stream", status, str(broken)))
        elif framing.done:
            self._finish(None)
        elif long:
            self._watch.check()

    def _look_over(self, exchange: Exchange) -> None:
        """Split a long answer into lines and check its limits."""
        self._unlooked = 0
        if exchange.framing.succeeded and exchange.has_lines:
            exchange.split()
        if words := exchange.oversized():
            raise OversizedError(words)

    def _finish(self, failure: Failed | None) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None or self._done is None or self._done.done():
            return
        self._reads, self._stamps, self._careful = [], [], True
        exchange.failure = failure
        if failure or not (exchange.framing.succeeded and exchange.framing.keep_alive):
            self.abort()  # after an error many servers close, even if they announce keep-alive
        self.idle_since = perf_counter()
        self._done.set_result(None)


class _Watch:
    """The deadlines of one exchange. It runs only when a deadline is due, not at each read."""

    def __init__(
        self,
        connection: Connection,
        exchange: Exchange,
        deadlines: Deadlines,
        last_delta: Callable[[Exchange], int | None],
    ) -> None:
        self._connection, self._exchange = connection, exchange
        self._deadlines, self._last_delta = deadlines, last_delta
        self._loop = asyncio.get_running_loop()
        self._last: int | None = None

    def start(self) -> None:
        self._arm(min(self._deadlines.first_token, self._deadlines.total))

    def stop(self) -> None:
        self._timer.cancel()

    def check(self) -> None:
        """Check the deadlines now, between two parts of a long answer."""
        self.stop()
        self._see()

    def _arm(self, delay_s: float) -> None:
        # An idle deadline may start at any time between two checks, so check at least that often.
        self._timer = self._loop.call_later(min(delay_s, self._deadlines.idle), self._look)

    def _look(self) -> None:
        self._connection.catch_up()
        self._see()

    def _see(self) -> None:
        now, due = perf_counter_ns(), self._due()
        kind, phase, at = min(due, key=lambda d: d[2])
        if now >= at:
            seconds = (at - self._exchange.sent_ns) / 1e9
            message = f"unfinished {seconds:.3g} s after the request was sent"
            self._connection.fail(
                Failed(now, kind, phase, self._exchange.framing.status or None, message)
            )
        else:
            self._arm((at - now) / 1e9)

    def _due(self) -> list[tuple[str, str, int]]:
        sent, limits = self._exchange.sent_ns, self._deadlines
        last = self._last = self._last_delta(self._exchange) or self._last
        total = ("timeout_total", "stream" if last else "first_token", sent + _ns(limits.total))
        if last is None:
            return [("timeout_first_token", "first_token", sent + _ns(limits.first_token)), total]
        return [("timeout_idle", "stream", last + _ns(limits.idle)), total]


class Wire:
    """One virtual user's connection: opened before the clock starts, reused while it is fresh."""

    def __init__(self, address: Address, deadlines: Deadlines) -> None:
        """Keep the address; nothing is opened yet."""
        self.address, self.deadlines = address, deadlines
        self._connection: Connection | None = None
        self._tls = tls_context() if address.tls else None

    async def open(self) -> float | None:
        """Open a connection unless one is fresh; return the connect time in ms, None if reused.

        Raises OSError, ssl.SSLError or TimeoutError.
        """
        if self._connection is not None and self._connection.fresh:
            return None
        self.close()
        started = perf_counter()
        loop = asyncio.get_running_loop()
        opening = loop.create_connection(
            Connection, self.address.host, self.address.port, ssl=self._tls
        )
        async with asyncio.timeout(self.deadlines.connect):  # Python 3.11's wait_for loses a Ctrl-C
            transport, self._connection = await opening
        transport.set_write_buffer_limits(0)  # uvloop then sends in write(), not later
        return (perf_counter() - started) * 1e3

    async def send(
        self,
        payload: Payload,
        last_delta: Callable[[Exchange], int | None],
        *,
        has_lines: bool = True,
    ) -> Exchange:
        """Return the exchange of one request; a failed connection is a failure in it.

        The body of an answer without lines, such as a sound, is kept whole.
        """
        try:
            connect_ms = await self.open()
        except (OSError, TimeoutError) as err:
            now = perf_counter_ns()
            return Exchange(sent_ns=now, failure=connect_failure(err, self.address, now))
        assert self._connection is not None  # noqa: S101 - open() made it
        exchange = await self._connection.exchange(
            payload, self.deadlines, last_delta, has_lines=has_lines
        )
        exchange.connect_ms = connect_ms
        return exchange

    def close(self) -> None:
        """Close the connection, if any."""
        with suppress(Exception):
            if self._connection is not None:
                self._connection.abort()
        self._connection = None


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _cut(exc: Exception | None, exchange: Exchange) -> Failed:
    phase = "stream" if exchange.headers_ns else "first_token"
    message = str(exc) if exc else "the server closed the connection before the answer ended"
    return Failed(perf_counter_ns(), "reset", phase, exchange.framing.status or None, message)


def connect_failure(err: BaseException, address: Address, now: int) -> Failed:
    kind = "connect_error"
    if isinstance(err, TimeoutError):
        kind = "connect_timeout"
    elif isinstance(err, ConnectionRefusedError) or any(word in str(err) for word in _REFUSED):
        kind = "connect_refused"  # if several addresses refuse, asyncio raises one plain OSError
    elif any(word in str(err) for word in _NO_FILES):
        kind = CLIENT_FILES
    elif isinstance(err, socket.gaierror):
        kind = "dns"
    return Failed(now, kind, "connect", None, f"{address.url}: {err or type(err).__name__}")
