"""What every backend has: a server's address, untimed calls, and one timed call."""

from __future__ import annotations

import asyncio
import codecs
import os
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.backends._address import Address, parse_host, unreachable
from pytest_llamaburn.backends._failures import classify, malformed, no_stream
from pytest_llamaburn.backends._http import (
    Deadlines,
    Wire,
    common_headers,
    request_bytes,
    tls_context,
)
from pytest_llamaburn.backends._said import Said
from pytest_llamaburn.backends._secrets import KEY_VARIABLE
from pytest_llamaburn.errors import ModelError, ServerError, SettingsError
from pytest_llamaburn.texts import dumps
from pytest_llamaburn.trace import Delta, Event, Failed, Headers, Sent, Trace, fold

if TYPE_CHECKING:
    import re
    from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence

    import httpx

    from pytest_llamaburn.backends._exchange import Exchange
    from pytest_llamaburn.backends._framing import Framing
    from pytest_llamaburn.settings import Run

_REFUSAL_LIMIT = 64_000  # bytes of a refusal in which its words are looked for
_SLICE = 64  # events decoded between two looks at the sockets: some tenths of a millisecond
LONGEST_S = 600.0  # the deadline of a whole answer where the settings leave it open
Message = dict[str, Any]
Likely = list[tuple[str, float]]  # tokens, each with its log probability


@dataclass
class Model:
    """A model as its server describes it; None is what the server does not say."""

    id: str
    name: str
    quantization: str | None = None
    family: str | None = None
    parameter_size: str | None = None
    digest: str | None = None
    context_length: int | None = None
    size_mb: float | None = None
    loaded: bool | None = None
    gpu_share: float | None = None
    capabilities: tuple[str, ...] = ()


class Server(NamedTuple):
    """A server as it presents itself; `local` says that it runs on this machine."""

    kind: str
    version: str | None
    host: str
    local: bool


class Backend(ABC):
    """One server and the dialect it speaks."""

    chat_path: str
    opening: re.Pattern[bytes]  # what a stream of this dialect begins with
    default_host: str | None = None
    can_unload = True

    def __init__(self, settings: Run) -> None:
        """Take the address and the deadlines from the settings. Opens nothing."""
        self.settings = settings
        host = settings.host or self.default_host
        self.address = parse_host(host) if host else Address("", 0)
        self.deadlines = Deadlines(
            settings.timeout_connect,
            settings.timeout_first_token,
            settings.timeout_idle,
            settings.timeout_total or LONGEST_S,
        )
        self._decoding = asyncio.Lock()
        self.notes: dict[str, None] = {}  # what the server says of itself that cannot be read

    async def open(self, model: str | None) -> None:  # noqa: B027 - only the embedded one starts anything
        """Make the server ready for a model; raises ServerError if there is none."""

    @abstractmethod
    def connection_info(self) -> dict[str, str]:
        """Return what another process needs to speak to the same server."""

    def connect_to(self, connection: dict[str, str]) -> None:
        """Speak to the server of a backend in another process."""
        self.address = parse_host(connection["host"])

    def close(self) -> None:  # noqa: B027
        """Give back what `open` took."""

    @abstractmethod
    async def server(self) -> Server:
        """Return the server's identity; raises ServerError if it does not answer."""

    @abstractmethod
    async def models(self) -> list[Model]:
        """Return the models the server has."""

    async def described(self) -> list[Model]:
        """Return the models with what the server says only when it is asked for each."""
        return await self.models()

    async def only_model(self) -> str:
        """Return the one model a server has; raises ModelError where there is a choice."""
        have = [model.id for model in await self.models()]
        if len(have) != 1:
            listed = ", ".join(have) or "none"
            raise ModelError(f"--model is needed: {self.address.url} has {listed}")
        return have[0]

    @abstractmethod
    async def describe(self, name: str) -> Model:
        """Return one model; raises ModelError naming the nearest ones."""

    @abstractmethod
    async def load(self, model: Model) -> None:
        """Have the model in memory, with the options that the timed requests will send."""

    @abstractmethod
    async def unload(self, model: Model) -> float | None:
        """Have the model out of memory; return the load time in ms if it is loaded again here."""

    async def loaded(self) -> list[dict[str, Any]] | None:
        """Return what is in the server's memory, None where it does not say."""
        return None

    async def slots(self) -> int | None:
        """Return how many requests the server works on at once, None where it does not say."""
        return None

    @abstractmethod
    def body(self, model: Model, messages: Sequence[Message]) -> dict[str, Any]:
        """Return the request to send; everything but the messages is recorded as `config.sent`."""

    @abstractmethod
    def _answer(self, exchange: Exchange) -> Generator[Event, None, Event | None]:
        """Yield the events of an answer's body; return the terminal one, if the body has it."""

    def payload(self, model: Model, messages: Sequence[Message]) -> bytes:
        """Return the bytes of the timed request."""
        return self.request(self.body(model, messages))

    def request(self, body: dict[str, Any]) -> bytes:
        """Return the bytes of a request with a body."""
        data = dumps(body).encode()
        return request_bytes(self.address, self.chat_path, data, self._headers())

    def _headers(self) -> dict[str, str]:
        """Return what heads every request to the server, timed or not."""
        return {**common_headers(self.address), **auth_headers()}

    def wire(self) -> Wire:
        """Return a new virtual user's connection to this server."""
        return Wire(self.address, self.deadlines)

    async def stream(self, wire: Wire, payload: bytes) -> Trace:
        """Send one timed request and return what it did. Never raises for what a server does."""
        return (await self._exchanged(wire, payload))[0]

    async def first_token(self, wire: Wire, body: dict[str, Any]) -> tuple[Trace, Likely]:
        """Send a request for log probabilities; return what it did and the likeliest first tokens.

        There are none where the server gives none.
        """
        trace, exchange = await self._exchanged(wire, self.request(body))
        return trace, self._likeliest(exchange)

    async def _exchanged(self, wire: Wire, payload: bytes) -> tuple[Trace, Exchange]:
        exchange = await wire.send(payload, self.last_delta)
        trace = await self._trace(exchange, len(payload))
        if trace.failure and trace.failure.kind == "reset" and not await self.alive():
            trace.failure.kind = "server_crash"
        return trace, exchange

    def _likeliest(self, exchange: Exchange) -> Likely:  # noqa: ARG002 - of those that can
        """Return the likeliest first tokens of an answer, each with its log probability."""
        return []

    async def _trace(self, exchange: Exchange, sent_bytes: int) -> Trace:
        """Decode one answer at a time, in slices: no other user's read may wait for its stamp."""
        events: list[Event] = []
        rest = self.events(exchange)
        async with self._decoding:
            while len(some := [*islice(rest, _SLICE)]) == _SLICE:
                events += some
                await asyncio.sleep(0)
        return fold([*events, *some], exchange.connect_ms, sent_bytes)

    def events(self, exchange: Exchange) -> Iterator[Event]:
        """Yield what happened: Sent, Headers, the answer, and exactly one terminal event."""
        yield Sent(exchange.sent_ns)
        framing = exchange.framing
        status = framing.status
        if exchange.headers_ns:
            yield Headers(exchange.headers_ns, status)
        terminal: Event | None = None
        if framing.succeeded:
            terminal = yield from self._answer(exchange)
        elif status and not exchange.failure:
            kind, words = classify(status, _refused(framing)[:_REFUSAL_LIMIT])
            terminal = Failed(exchange.ended_ns, kind, "response", status, words)
        yield terminal or exchange.failure or self._unended(exchange)

    def _unread(self, exchange: Exchange, stamp: int, data: bytes, why: Exception) -> Failed:
        """Return the failure of a piece of the body that cannot be read."""
        failure = exchange.failure or self._no_stream(exchange)
        return failure or malformed(stamp, data, why)

    def _unended(self, exchange: Exchange) -> Failed:
        """Return the failure of a body that came whole, but without the end of an answer."""
        empty = not exchange.framing.body.strip()
        words = "an empty body" if empty else "the stream ended cleanly but without its end marker"
        status = exchange.framing.status or None
        cut = Failed(exchange.ended_ns, "truncated_stream", "stream", status, words)
        return cut if empty else self._no_stream(exchange) or cut

    def _no_stream(self, exchange: Exchange) -> Failed | None:
        """Return the failure of a body that does not begin as a stream does, None if it does."""
        body = exchange.framing.body.removeprefix(codecs.BOM_UTF8).lstrip()
        return None if self.opening.match(body) else no_stream(exchange.ended_ns, body)

    def last_delta(self, exchange: Exchange) -> int | None:
        """Return the stamp of the newest piece of answer since the last call, None without one."""
        for part in exchange.news(self.ends_event) if exchange.framing.succeeded else ():
            if stamps := [e.t_ns for e in self._answer(part) if isinstance(e, Delta)]:
                return stamps[-1]
        return None

    def ends_event(self, line: bytes) -> bool:  # noqa: ARG002 - here each line is an event
        """Return whether a line of an answer is the last of an event."""
        return True

    async def alive(self) -> bool:
        """Return whether anything still listens there."""
        probe = self.wire()
        try:
            await probe.open()
        except (OSError, TimeoutError):
            return False
        finally:
            probe.close()
        return True

    @asynccontextmanager
    async def http(
        self, timeout_s: float = 30.0, *, endless: bool = False
    ) -> AsyncIterator[httpx.AsyncClient]:
        """Return a client for untimed calls; its failures become ServerError.

        A whole answer may take `timeout_s`, or where it is `endless` each silence in it. The
        environment's proxies are not used: they would stand between us and a local server.
        """
        import httpx

        from pytest_llamaburn.backends._untimed import Bounded

        limits = httpx.Timeout(timeout_s, connect=self.deadlines.connect)
        options: dict[str, Any] = {"verify": tls_context() if self.address.tls else False}
        transport = Bounded(None if endless else timeout_s, trust_env=False, **options)
        try:
            async with httpx.AsyncClient(
                base_url=self.address.url,
                timeout=limits,
                transport=transport,
                trust_env=False,
                headers=self._headers(),
            ) as client:
                yield client
        except (httpx.ConnectError, httpx.ConnectTimeout) as err:
            raise ServerError(unreachable(self.address, err)) from err
        except httpx.RequestError as err:
            reason = str(err).rstrip(".") or type(err).__name__
            raise ServerError(
                f"{self.address.url} gave no whole answer: {reason}. See its log, then try again"
            ) from err

    async def get(self, path: str) -> Any:
        """Return the JSON of a GET, or None where the server has no such path.

        Raises ServerError where it refuses to answer.
        """
        async with self.http() as client:
            reply = await client.get(path)
        if reply.status_code in (401, 403):
            raise ServerError(f"{reply.url}: refused: set {KEY_VARIABLE} to its key")
        try:
            return reply.json() if reply.status_code == 200 else None
        except (ValueError, RecursionError):
            return None

    async def told(self, path: str) -> Said:
        """Return what a GET tells of the server; nothing where it has no such path.

        Raises ServerError where it refuses to answer.
        """
        return Said(await self.get(path), path, self.notes)

    async def post(self, path: str, body: dict[str, Any], timeout_s: float | None = None) -> Any:
        """Return the JSON of a POST; raises ServerError with the server's own words."""
        async with self.http(timeout_s or self.deadlines.total) as client:
            reply = await client.post(path, json=body)
        if reply.status_code != 200:
            raise ServerError(f"{self.address.url}{path}: {refusal(reply)}")
        try:
            return reply.json()
        except (ValueError, RecursionError):
            raise ServerError(f"{self.address.url}{path}: the answer is no JSON") from None


def _refused(framing: Framing) -> bytes:
    """Return what a refusal says; a redirect says where it leads, and is never followed."""
    target = framing.headers.get("location")
    if not target or framing.status // 100 != 3:
        return framing.body
    return f"it redirects to {target}: name that address with --host".encode()


def refusal(reply: httpx.Response) -> str:
    """Return what an error reply says, in one line; its body must have been read."""
    kind, words = classify(reply.status_code, reply.content)
    return f"{kind} ({reply.status_code}): {' '.join(words.split())}"


def key_of(environ: Mapping[str, str], variable: str) -> str:
    """Return a key from the environment, empty if there is none.

    Raises SettingsError, which does not show it, for one that fits in no header.
    """
    key = environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(f"{variable} is no key: it has characters that no key has")
    return key


def auth_headers() -> dict[str, str]:
    """Return the Authorization header for the server under test, if its key is set.

    Raises SettingsError for a key that fits in no header.
    """
    key = key_of(os.environ, KEY_VARIABLE)
    return {"Authorization": f"Bearer {key}"} if key else {}
