"""The base class of all backends: the server's address, untimed calls and the timed request."""

from __future__ import annotations

import asyncio
import codecs
import copy
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.backends import _media, _structure
from pytest_llamaburn.backends._address import Address, parse_host, unreachable
from pytest_llamaburn.backends._failures import classify, hidden, malformed, no_stream
from pytest_llamaburn.backends._http import (
    Deadlines,
    Wire,
    common_headers,
    request_bytes,
    tls_context,
)
from pytest_llamaburn.backends._lenient import ServerFields
from pytest_llamaburn.backends._secrets import KEY_VARIABLE, auth_headers
from pytest_llamaburn.errors import ModelError, ServerError
from pytest_llamaburn.trace import Delta, Event, Failed, Headers, Sent, Trace, fold

if TYPE_CHECKING:
    import re
    from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence

    import httpx

    from pytest_llamaburn.backends._exchange import Exchange
    from pytest_llamaburn.backends._framing import Framing
    from pytest_llamaburn.backends._gguf import Header
    from pytest_llamaburn.documents import LoadedModel
    from pytest_llamaburn.settings import Run

_ERROR_BODY_LIMIT = 64_000  # bytes of an error reply that are searched for a message
_SLICE = 64  # events decoded before other tasks may run: takes some tenths of a millisecond
LONGEST_S = 600.0  # deadline of a whole answer if the settings give none
GIVE_LOGPROBS = "llama.cpp, vLLM, SGLang, or Ollama from 0.12.11"  # servers
Message = dict[str, Any]
Body = dict[str, Any]  # of a request, as the dialect of the server has it
Likely = list[tuple[str, float]]  # (token, log probability)


@dataclass
class Model:
    """A model as its server describes it; a field is None if the server does not report it."""

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
    """The identity of a server; `local` is True if it runs on this machine."""

    kind: str
    version: str | None
    host: str
    local: bool


class Held(NamedTuple):
    """The memory that a loaded model takes, as its server says: all of it, and that on GPUs.

    `parts` are the bytes by kind, such as model, KV and compute, where the server tells them.
    `reason` says why there are no sizes.
    """

    total_bytes: int | None = None
    gpu_bytes: int | None = None
    parts: Mapping[str, int] = {}
    reason: str | None = None


class Backend(ABC):
    """One server and its API."""

    chat_path: str
    opening: re.Pattern[bytes]  # matches the start of a streamed answer
    default_host: str | None = None
    can_unload = True
    structure: Any = staticmethod(_structure.of_none)  # fields with tools and a schema
    embeds: Any = None  # the `_vectors.Dialect` of its embeddings, if it has them
    reranks: Any = None

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
        self.options: dict[str, int | float | str] = {}  # of the server, besides the settings
        self.notes: dict[str, None] = {}  # sentences about metadata that could not be read

    async def open(self, model: str | None) -> None:  # noqa: B027 - only the embedded one starts anything
        """Start or prepare the server for a model; raises ServerError if there is no server."""

    @abstractmethod
    def connection_info(self) -> dict[str, str]:
        """Return what another process needs to connect to the same server."""

    def connect_to(self, connection: dict[str, str]) -> None:
        """Connect to the server that another process described with `connection_info`."""
        self.address = parse_host(connection["host"])

    def close(self) -> None:  # noqa: B027
        """Release what `open` acquired."""

    @abstractmethod
    async def server(self) -> Server:
        """Return the server's identity; raises ServerError if it does not answer."""

    @abstractmethod
    async def models(self) -> list[Model]:
        """Return the models the server has."""

    async def described(self) -> list[Model]:
        """Return the models with the details that need one more request per model."""
        return await self.models()

    async def only_model(self) -> str:
        """Return the server's only model; raises ModelError if it has none or several."""
        names = [model.id for model in await self.models()]
        if len(names) != 1:
            listed = ", ".join(names) or "none"
            raise ModelError(f"--model is needed: {self.address.url} has {listed}")
        return names[0]

    @abstractmethod
    async def describe(self, name: str) -> Model:
        """Return one model; raises ModelError with similar names if it is unknown."""

    @abstractmethod
    async def load(self, model: Model) -> None:
        """Load the model into memory with the options of the timed requests."""

    @abstractmethod
    async def unload(self, model: Model) -> float | None:
        """Unload the model; return the load time in ms if this call also loads it again."""

    async def free(self, model: Model) -> None:
        """Unload the model, so that it takes no memory until `load`."""
        await self.unload(model)

    async def loaded(self) -> list[LoadedModel] | None:
        """Return the models in the server's memory, or None if the server does not report them."""
        return None

    async def metadata(self, name: str) -> Header:
        """Return the metadata of a model's file; raises ServerError or ModelError.

        Nothing is loaded, and the backend need not be open.
        """
        raise ServerError(f"{self.address.url} does not tell the layers and heads of {name}")

    async def held(self, model: Model) -> Held:  # noqa: ARG002 - subclasses use it
        """Return the memory that a loaded model takes."""
        return Held(reason="the server does not report the memory of its models")

    async def slots(self) -> int | None:
        """Return how many requests the server processes at once, or None if it is unknown."""
        return None

    @abstractmethod
    def body(self, model: Model, messages: Sequence[Message]) -> Body:
        """Return the request body; all of it except the messages is recorded as `config.sent`."""

    @abstractmethod
    def _answer(self, exchange: Exchange) -> Generator[Event, None, Event | None]:
        """Yield the events in an answer's body; return the terminal event, or None."""

    def payload(self, model: Model, messages: Sequence[Message]) -> list[bytes]:
        """Return the bytes of the timed request."""
        return self.request(self.body(model, messages))

    def request(self, body: Body) -> list[bytes]:
        """Return the bytes of a chat request with this body."""
        parts = _media.json_of(body)
        return request_bytes(self.address, self.chat_path, self._headers(), *parts)

    def _headers(self) -> dict[str, str]:
        """Return the headers of every request, timed or not."""
        return {**common_headers(self.address), **auth_headers()}

    def wire(self) -> Wire:
        """Return a connection for one virtual user; it is not opened yet."""
        return Wire(self.address, self.deadlines)

    async def stream(self, wire: Wire, payload: list[bytes]) -> Trace:
        """Send one timed request and return its trace, also if it failed."""
        return (await self._exchanged(wire, payload))[0]

    async def first_token(self, wire: Wire, body: Body) -> tuple[Trace, Likely]:
        """Send a request for log probabilities; return its trace and the likeliest first tokens.

        The list is empty if the server returned no log probabilities.
        """
        trace, exchange = await self._exchanged(wire, self.request(body))
        return trace, self._likeliest(exchange)

    async def next_token(
        self, wire: Wire, model: Model, text: str, count: int
    ) -> tuple[Trace, Likely]:
        """Ask for the one token after a plain text, which no chat template surrounds.

        Returns the trace and up to `count` likeliest tokens. The list is empty if the server
        returned no log probabilities. Raises ServerError if the server takes no plain text.
        """
        other = copy.copy(self)
        other.chat_path, body = self.completion(model, text, count)
        return await other.first_token(wire, body)

    def completion(self, model: Model, text: str, count: int) -> tuple[str, Body]:  # noqa: ARG002 - subclasses use it
        """Return the path and the body of a request for one token after a text, not streamed."""
        raise ServerError(f"{self.address.url} cannot continue a text with {model.id}")

    async def text_logprobs(self, model: Model, text: str) -> list[float] | None:  # noqa: ARG002
        """Return the log probability of each token of a text after its first.

        Returns None if the server does not give those of a given text.
        """
        return None

    async def _exchanged(self, wire: Wire, payload: list[bytes]) -> tuple[Trace, Exchange]:
        exchange = await wire.send(payload, self.last_delta)
        trace = await self._trace(exchange, sum(map(len, payload)))
        if trace.failure and trace.failure.kind == "reset" and not await self.alive():
            trace.failure.kind = "server_crash"
        return trace, exchange

    def _likeliest(self, exchange: Exchange) -> Likely:  # noqa: ARG002 - subclasses use it
        """Return the likeliest first tokens of an answer, each with its log probability."""
        return []

    async def _trace(self, exchange: Exchange, sent_bytes: int) -> Trace:
        """Decode one answer at a time and in slices, so that no socket read is stamped late."""
        events: list[Event] = []
        rest = self.events(exchange)
        async with self._decoding:
            while len(batch := [*islice(rest, _SLICE)]) == _SLICE:
                events += batch
                await asyncio.sleep(0)
        return fold([*events, *batch], exchange.connect_ms, sent_bytes)

    def events(self, exchange: Exchange) -> Iterator[Event]:
        """Yield Sent, Headers, the events of the answer and exactly one terminal event."""
        yield Sent(exchange.sent_ns)
        framing = exchange.framing
        status = framing.status
        if exchange.headers_ns:
            yield Headers(exchange.headers_ns, status)
        terminal: Event | None = None
        if framing.succeeded:
            terminal = yield from self._answer(exchange)
        elif status and not exchange.failure:
            kind, words = classify(status, _error_body(framing)[:_ERROR_BODY_LIMIT])
            terminal = Failed(exchange.ended_ns, kind, "response", status, words)
        yield terminal or exchange.failure or self._unended(exchange)

    def _unread(self, exchange: Exchange, stamp: int, data: bytes, why: Exception) -> Failed:
        """Return the failure for a part of the body that cannot be decoded."""
        failure = exchange.failure or self._no_stream(exchange)
        return failure or malformed(stamp, data, why)

    def _unended(self, exchange: Exchange) -> Failed:
        """Return the failure for a complete body without an end-of-answer marker."""
        empty = not exchange.framing.body.strip()
        words = "an empty body" if empty else "the stream ended cleanly but without its end marker"
        status = exchange.framing.status or None
        cut = Failed(exchange.ended_ns, "truncated_stream", "stream", status, words)
        return cut if empty else self._no_stream(exchange) or cut

    def _no_stream(self, exchange: Exchange) -> Failed | None:
        """Return the failure for a body that is not a stream, or None if it is one."""
        body = exchange.framing.body.removeprefix(codecs.BOM_UTF8).lstrip()
        return None if self.opening.match(body) else no_stream(exchange.ended_ns, body)

    def last_delta(self, exchange: Exchange) -> int | None:
        """Return the stamp of the newest delta since the last call, or None if there is none."""
        for part in exchange.news(self.ends_event) if exchange.framing.succeeded else ():
            if stamps := [e.t_ns for e in self._answer(part) if isinstance(e, Delta)]:
                return stamps[-1]
        return None

    def ends_event(self, line: bytes) -> bool:  # noqa: ARG002 - here each line is an event
        """Return whether a line ends an event."""
        return True

    async def alive(self) -> bool:
        """Return whether the server still accepts connections."""
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
        """Yield a client for untimed calls; raises ServerError if a call fails.

        `timeout_s` limits the whole answer; with `endless` it limits each pause between two reads.
        Proxies from the environment are ignored, so that a local server is reached directly.
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
            reason = hidden(str(err)).rstrip(".") or type(err).__name__
            raise ServerError(
                f"{self.address.url} sent no complete answer: {reason}. "
                "Read the server's log, then try again"
            ) from err

    async def get(self, path: str) -> Any:
        """Return the JSON of a GET, or None if the server has no such path or sends no JSON.

        Raises ServerError if the server refuses the request (401, 403).
        """
        async with self.http() as client:
            reply = await client.get(path)
        if reply.status_code in (401, 403):
            raise ServerError(f"{reply.url}: refused: set {KEY_VARIABLE} to its key")
        try:
            return reply.json() if reply.status_code == 200 else None
        except (ValueError, RecursionError):
            return None

    async def get_fields(self, path: str) -> ServerFields:
        """Return the fields of a GET's JSON object; empty if the server has no such path.

        Raises ServerError if the server refuses the request (401, 403).
        """
        return ServerFields(await self.get(path), path, self.notes)

    async def post(self, path: str, body: Body, timeout_s: float | None = None) -> Any:
        """Return the JSON of a POST; raises ServerError with the server's message."""
        async with self.http(timeout_s or self.deadlines.total) as client:
            reply = await client.post(path, json=body)
        if reply.status_code != 200:
            raise ServerError(f"{self.address.url}{path}: {refusal(reply)}")
        try:
            return reply.json()
        except (ValueError, RecursionError):
            raise ServerError(f"{self.address.url}{path}: the answer is not JSON") from None


def _error_body(framing: Framing) -> bytes:
    """Return the body of an error reply, or a sentence about a redirect: none is followed."""
    target = framing.headers.get("location")
    if not target or framing.status // 100 != 3:
        return framing.body
    return f"it redirects to {target}: set --host to that address".encode()


def refusal(reply: httpx.Response) -> str:
    """Return an error reply as one line: kind, status and message. The body must be read first."""
    kind, words = classify(reply.status_code, reply.content)
    return f"{kind} ({reply.status_code}): {' '.join(words.split())}"
