"""Any OpenAI-compatible server: llama.cpp, vLLM, LM Studio, SGLang and others.

The answer streams as server-sent events from `/chat/completions` under the API's root. llama.cpp
adds `timings`.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llamaburn import registry
from pytest_llamaburn.backends import _address, _base, _failures, _said
from pytest_llamaburn.backends._base import Model, Server
from pytest_llamaburn.backends._said import NO_CALLS, Said
from pytest_llamaburn.errors import ModelError, ServerError, SettingsError
from pytest_llamaburn.trace import Delta, Event, ServerTimings, Usage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from pytest_llamaburn.backends._exchange import Exchange
    from pytest_llamaburn.settings import Run

_THINKS = re.compile(r"enable_thinking|</?think>|reasoning_effort")  # in a chat template
# Servers known to take sampling fields beyond OpenAI's own; a strict one would answer 400.
_TAKES_MORE = ("llama.cpp", "vllm", "sglang", "lmstudio", "embedded")


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = NO_CALLS
    function_call: msgspec.Raw = NO_CALLS


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    message: _Delta | None = None  # of an answer that was not streamed
    finish_reason: str | None = None
    error: Any = None


class _Cached(msgspec.Struct):
    cached_tokens: float | None = None


class _Reasoning(msgspec.Struct):
    reasoning_tokens: float | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    prompt_tokens_details: _Cached | None = None
    completion_tokens_details: _Reasoning | None = None


class _Timings(msgspec.Struct):
    cache_n: float | None = None
    prompt_n: float | None = None
    prompt_ms: float | None = None
    predicted_n: float | None = None
    predicted_ms: float | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    timings: _Timings | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


class Backend(_base.Backend):
    """A server whose API's root is `address`: the likeliest, till `server` or `models` finds it."""

    chat_path = "/chat/completions"
    opening = re.compile(rb"(data|event|id|retry|error)?:")
    can_unload = False

    def __init__(self, settings: Run) -> None:
        """Take the address; raises SettingsError without a host."""
        super().__init__(settings)
        self._kind = "openai"
        self._roots = [self.address._replace(path=path) for path in _roots(self.address.path)]
        self.address = self._roots[0]

    def connection_info(self) -> dict[str, str]:
        """Return its address and what it was found to be; the embedded one's owner keeps it."""
        return {"backend": "openai", "host": self.address.url, "kind": self._kind}

    def connect_to(self, connection: dict[str, str]) -> None:
        """Take the address and what was found."""
        super().connect_to(connection)
        self._kind = connection["kind"]
        self._roots = []

    async def server(self) -> Server:
        """Return the kind found by the server's own marks."""
        if not self.address.port:
            raise SettingsError("--backend openai needs --host URL: no server to ask")
        self._kind, version = await self._identify()
        return Server(self._kind, version, self.address.url, _address.is_local(self.address))

    async def models(self) -> list[Model]:
        """Return `/models`; llama.cpp also tells size, quantization and context."""
        await self._find_root()
        found = _models(await self.told("/models"))
        if not found:
            raise ServerError(f"{self.address.url}/models lists no models in OpenAI's shape")
        return found

    async def describe(self, name: str) -> Model:
        """Return the model, which a llama.cpp server with a single one has under any name."""
        models = await self.models()
        found = next((m for m in models if m.id == name), None)
        if found is None:
            valid = [m.id for m in models]
            raise ModelError(registry.unknown(f"model at {self.address.url}", name, valid))
        found.capabilities = await self._capabilities()
        return found

    async def _capabilities(self) -> tuple[str, ...]:
        """Return that the model can think where llama.cpp's chat template shows it."""
        if self._kind not in ("llama.cpp", "embedded"):
            return ()
        try:
            template = (await self._props()).text("chat_template")
        except ServerError:  # nobody knows then; what can be measured is not lost for it
            return ()
        return ("thinking",) if _THINKS.search(template or "") else ()

    async def load(self, model: Model) -> None:
        """Do nothing: such servers load a model when they start or at the first warm-up."""

    async def unload(self, model: Model) -> float | None:
        """Refuse: the protocol has no unload."""
        raise ServerError(f"{self.address.url} cannot unload {model.id}: --start cold needs that")

    async def slots(self) -> int | None:
        """Return llama.cpp's slots."""
        if self._kind not in ("llama.cpp", "embedded"):
            return None
        return (await self._props()).count("total_slots")

    def body(self, model: Model, messages: Sequence[_base.Message]) -> dict[str, Any]:
        """Return what this server takes: OpenAI's fields, and more only where known to work."""
        s = self.settings
        body: dict[str, Any] = {
            "model": model.id,
            "messages": list(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": s.max_tokens,
            "temperature": s.temperature,
            "seed": s.seed,
        }
        if s.top_p is not None:
            body["top_p"] = s.top_p
        if self._kind in _TAKES_MORE:
            body.update(self._more())
        return body

    def _more(self) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if getattr(self.settings, "osl", None):
            more["ignore_eos"] = True  # an answer of a fixed length
        if self.settings.top_k is not None:
            more["top_k"] = self.settings.top_k
        if self.settings.think is not None:
            more["chat_template_kwargs"] = {"enable_thinking": self.settings.think != "off"}
        return more

    async def _find_root(self) -> None:
        """Take as the API's root the first of the likely ones that lists models, else the first."""
        first = self.address
        for root in self._roots:
            self.address = root
            if _models(Said(await self.get("/models"), "/models", {})):
                break
        else:
            self.address = first
        self._roots = []

    async def _beside(self, path: str) -> Any:
        """Return the JSON of a GET from beside the API: its root without a `/v1`."""
        above = self.address.path.removesuffix("/v1")
        return await self.get(self.address._replace(path=above).url + path)

    async def _props(self) -> Said:
        """Return what llama.cpp says of itself."""
        return Said(await self._beside("/props"), "/props", self.notes)

    async def _identify(self) -> tuple[str, str | None]:
        await self._find_root()
        async with self.http() as client:
            mark = (await client.get("/models")).headers.get("server")
        if mark == "llama.cpp":
            return "llama.cpp", (await self._props()).text("build_info")
        theirs = await self._beside("/api/v1/models")
        if isinstance(theirs, dict) and not theirs.keys().isdisjoint(("models", "data")):
            return "lmstudio", None
        owners = {e.text("owned_by") for e in (await self.told("/models")).each("data")}
        return next((o for o in ("vllm", "sglang") if o in owners), "openai"), None

    def ends_event(self, line: bytes) -> bool:
        """Return whether a line is empty."""
        return not line or line.isspace()

    def _answer(self, exchange: Exchange) -> Generator[Event, None, Event | None]:
        reason, streamed = None, True
        for stamp, data in _payloads(exchange):
            if data == b"[DONE]":
                return _failures.ended(stamp, reason, streamed=streamed)
            try:
                chunk = _read(data)
            except (ValueError, RecursionError) as err:  # bad UTF-8 is no MsgspecError
                return self._unread(exchange, stamp, data, err)
            if chunk.error is not None:
                return _failures.failed(stamp, chunk.error)
            for choice in chunk.choices or ():
                reason = choice.finish_reason or reason
                if choice.delta is not None:
                    yield from _deltas(stamp, choice.delta)
                elif choice.message is not None:
                    streamed = False
                    yield from _deltas(stamp, choice.message)
            if chunk.usage or chunk.timings:
                yield from self._counts(chunk, exchange)
        if (reason or not streamed) and not exchange.failure:
            return _failures.ended(exchange.ended_ns, reason, streamed=streamed)
        return None

    def _likeliest(self, exchange: Exchange) -> _base.Likely:
        """Return what stands in the first chunk with log probabilities."""
        for _, data in _payloads(exchange):
            with suppress(ValueError, RecursionError):
                for choice in _said.Said(_said.parse(data), "", {}).each("choices"):
                    if found := _said.likeliest(choice.part("logprobs").each("content")):
                        return found
        return []

    def _counts(self, chunk: _Chunk, exchange: Exchange) -> Iterator[Event]:
        usage, timings = chunk.usage, chunk.timings
        if usage and (usage.prompt_tokens, usage.completion_tokens) != (None, None):
            details = usage.prompt_tokens_details or _Cached()
            output = usage.completion_tokens_details or _Reasoning()
            yield Usage(
                usage.prompt_tokens,
                details.cached_tokens,
                usage.completion_tokens,
                output.reasoning_tokens,
            )
        elif timings and timings.prompt_n is not None:
            cached = timings.cache_n or 0
            yield Usage(timings.prompt_n + cached, timings.cache_n, timings.predicted_n)
        if timings:
            yield ServerTimings(
                prompt_ms=timings.prompt_ms,
                prompt_tokens=timings.prompt_n,
                eval_ms=timings.predicted_ms,
                eval_tokens=timings.predicted_n,
                queue_ms=_ms(exchange.headers_ns, exchange.sent_ns),  # llama.cpp: a slot is free
            )


def _roots(path: str) -> list[str]:
    """Return where an API's root may be: the path itself, unless there is none, and `/v1` below."""
    below = [] if path.endswith("/v1") else [f"{path}/v1"]
    return [path, *below] if path else [*below, ""]


def sse(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield (stamp, data) of each server-sent event; comments, ids and event names are skipped.

    So is an event whose data are empty. Blanks around data are left out: JSON does not need them.
    An event named `error`, or an `error:` field as old llama.cpp builds send it, becomes an object
    with that key.
    """
    data, at, failed = b"", 0, False
    more: list[bytes] = []
    for stamp, line in lines:
        if line[:5] == b"data:":
            part, at = line[5:].strip(), stamp
            if data:
                more.append(part)
            else:
                data = part
        elif not line or line.isspace():
            if data or failed:
                yield at, _event(data, more, failed=failed)
            data, more, failed = b"", more and [], False
        elif line[:6] == b"event:":
            failed, at = line[6:].strip() == b"error", stamp
        elif line[:6] == b"error:":
            yield stamp, _error(line[6:])
    if data or failed:
        yield at, _event(data, more, failed=failed)


def _event(data: bytes, more: list[bytes], *, failed: bool) -> bytes:
    """Return the data of an event from its lines, as an error where it is named so."""
    whole = b"\n".join([data, *more]) if more else data
    return _error(whole) if failed else whole


def _error(data: bytes) -> bytes:
    """Return an object that has the data, JSON or words, as its error."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        said = data.decode("utf-8", "replace").strip()
    return json.dumps({"error": said or "an error without words"}).encode()


def _payloads(exchange: Exchange) -> Iterator[tuple[int, bytes]]:
    """Yield the data of the events or, where a server ignores that it was to stream, its JSON."""
    none = True
    for event in sse(exchange.lines()):
        none = False
        yield event
    if none and not exchange.failure:
        body = b"\n".join(line for _, line in exchange.lines()).strip()
        if body[:1] == b"{":
            yield exchange.ended_ns, body


def _read(data: bytes) -> _Chunk:
    """Return a chunk, read with patience where its fields are not of the types documented.

    Only a chunk without choices is searched for errors of all shapes. Raises ValueError or
    RecursionError for what is no JSON object.
    """
    try:
        chunk = _decode(data)
    except (ValueError, RecursionError):
        chunk = _patiently(_said.parse(data))
    if chunk.error is not None or not (chunk.choices or chunk.usage or chunk.timings):
        chunk.error = _failures.error_in(_said.parse(data))
    elif chunk.choices and chunk.choices[0].error:
        chunk.error = chunk.choices[0].error
    return chunk


def _patiently(found: dict[str, Any]) -> _Chunk:
    choices = found.get("choices")
    for choice in choices if isinstance(choices, list) else [choices]:
        if isinstance(choice, dict):
            _said.part(choice.get("delta"))
            _said.part(choice.get("message"))
    return _said.fit(_Chunk, found)


def _deltas(stamp: int, delta: _Delta) -> list[Delta]:
    thinking = delta.reasoning_content or delta.reasoning or delta.thinking
    found = [Delta(stamp, "thinking", thinking)] if thinking else []
    if content := delta.content or delta.refusal:
        found.append(Delta(stamp, "content", content))
    if delta.tool_calls is not NO_CALLS or delta.function_call is not NO_CALLS:
        called = _said.calls(delta.tool_calls) or _said.calls(delta.function_call)
        found += [Delta(stamp, "tool", called)] if called else []
    return found


def _ms(end_ns: int | None, start_ns: int) -> float | None:
    return None if end_ns is None else (end_ns - start_ns) / 1e6


def _models(listing: Said) -> list[Model]:
    """Return the models that are listed; what has no name cannot be asked for."""
    return [model for entry in listing.each("data") if (model := _model(entry)) is not None]


def _model(entry: Said) -> Model | None:
    """Return a model that is listed, None for one without a name: it cannot be asked for."""
    name = entry.text("id")
    if name is None:
        return None
    meta = entry.part("meta")
    parameters, size = meta.amount("n_params"), meta.amount("size")
    return Model(
        id=name,
        name=name,
        quantization=meta.text("ftype"),
        parameter_size=f"{parameters / 1e6:.2f}M" if parameters else None,
        context_length=meta.count("n_ctx") or entry.count("max_model_len"),
        size_mb=size / 1e6 if size else None,
        loaded=True if meta else None,
    )
