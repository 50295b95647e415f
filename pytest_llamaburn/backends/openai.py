"""Any OpenAI-compatible server: llama.cpp, vLLM, LM Studio, SGLang and others.

The answer streams as server-sent events from `/v1/chat/completions`. llama.cpp adds `timings`.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llamaburn import registry
from pytest_llamaburn.backends import _base, _failures, _said
from pytest_llamaburn.backends._base import Model, Server
from pytest_llamaburn.backends._said import NO_CALLS
from pytest_llamaburn.errors import ModelError, ServerError, SettingsError
from pytest_llamaburn.trace import Delta, Event, ServerTimings, Usage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from pytest_llamaburn.backends._http import Exchange
    from pytest_llamaburn.backends._said import Said
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
    """A server under `/v1`."""

    chat_path = "/v1/chat/completions"
    opening = re.compile(rb"(data|event|id|retry|error)?:")
    can_unload = False

    def __init__(self, settings: Run) -> None:
        """Take the address; raises SettingsError without a host."""
        super().__init__(settings)
        self._kind = "openai"

    def twin(self) -> dict[str, Any]:
        """Return its address and what it was found to be; the embedded one's owner keeps it."""
        return {"backend": "openai", "host": self.address.url, "kind": self._kind}

    def become(self, twin: dict[str, Any]) -> None:
        """Take the address and what was found."""
        super().become(twin)
        self._kind = twin["kind"]

    async def server(self) -> Server:
        """Return the kind found by the server's own marks."""
        if not self.address.port:
            raise SettingsError("--backend openai needs --host URL: no server to ask")
        self._kind, version = await self._identify()
        return Server(self._kind, version, self.address.url, _base.is_local(self.address))

    async def models(self) -> list[Model]:
        """Return `/v1/models`; llama.cpp also tells size, quantization and context."""
        listed = map(_model, (await self.told("/v1/models")).each("data"))
        found = [model for model in listed if model is not None]
        if not found:
            raise ServerError(f"{self.address.url}/v1/models lists no models in OpenAI's shape")
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
        template = (await self.told("/props")).text("chat_template")
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
        return (await self.told("/props")).count("total_slots")

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

    async def _identify(self) -> tuple[str, str | None]:
        async with self.http() as client:
            mark = (await client.get("/v1/models")).headers.get("server")
        if mark == "llama.cpp":
            return "llama.cpp", (await self.told("/props")).text("build_info")
        theirs = await self.get("/api/v1/models")
        if isinstance(theirs, dict) and not theirs.keys().isdisjoint(("models", "data")):
            return "lmstudio", None
        owners = {e.text("owned_by") for e in (await self.told("/v1/models")).each("data")}
        return next((o for o in ("vllm", "sglang") if o in owners), "openai"), None

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


def sse(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield (stamp, data) of each server-sent event; comments, ids and event names are skipped.

    An event named `error`, or an `error:` field as old llama.cpp builds send it, becomes an object
    with that key.
    """
    data: bytes | None = None
    at, failed = 0, False
    for stamp, raw in lines:
        line = raw[:-1] if raw[-1:] == b"\r" else raw
        if not line:
            if data is not None:
                yield at, _error(data) if failed else data
            data, failed = None, False
        elif line[:5] == b"data:":
            part = line[6:] if line[5:6] == b" " else line[5:]
            data, at = (part if data is None else data + b"\n" + part), stamp
        elif line[:6] == b"event:":
            failed = line[6:].strip() == b"error"
        elif line[:6] == b"error:":
            yield stamp, _error(line[6:])
    if data is not None:
        yield at, _error(data) if failed else data


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
    body = exchange.framing.body if none and not exchange.failure else b""
    if body.lstrip()[:1] == b"{":
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
