"""Any OpenAI-compatible server: llama.cpp, vLLM, LM Studio, SGLang and others.

An answer streams as server-sent events from `/chat/completions`; llama.cpp adds `timings`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llamaburn import registry
from pytest_llamaburn.backends import _address, _base, _failures, _gguf, _lenient, _media, _vectors
from pytest_llamaburn.backends._base import Model, Server
from pytest_llamaburn.backends._lenient import NO_CALLS, ServerFields
from pytest_llamaburn.backends._plain import echoed, of_openai
from pytest_llamaburn.backends._sse import sse
from pytest_llamaburn.backends._structure import of_openai as _structure_of
from pytest_llamaburn.errors import ModelError, ServerError, SettingsError
from pytest_llamaburn.trace import Delta, Event, ServerTimings, Usage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from pytest_llamaburn.backends._exchange import Exchange
    from pytest_llamaburn.settings import Run

_THINKS = re.compile(r"enable_thinking|</?think>|reasoning_effort")  # in a chat template
_SENSES = ("vision", "audio", "video")  # as llama.cpp calls them
_LLAMA_CPP = ("llama.cpp", "embedded")
# Servers that accept more sampling fields than OpenAI's API; a strict server would answer 400.
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
    message: _Delta | None = None  # set if the answer was not streamed
    finish_reason: str | None = None
    error: Any = None


class _Cached(msgspec.Struct):
    cached_tokens: float | None = None
    image_tokens: float | None = None
    audio_tokens: float | None = None
    video_tokens: float | None = None

    @property
    def media_tokens(self) -> float | None:
        """The tokens of all media, or None if the server does not count them apart."""
        counts = (self.image_tokens, self.audio_tokens, self.video_tokens)
        known = [count for count in counts if count is not None]
        return sum(known) if known else None


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
    """A server with its API at `address`, a guess until `server` or `models` has checked it."""

    chat_path = "/chat/completions"
    opening = re.compile(rb"(data|event|id|retry|error)?:")
    can_unload = False
    structure = staticmethod(_structure_of)
    embeds, reranks = _vectors.OPENAI, _vectors.RANKING

    def __init__(self, settings: Run) -> None:
        """Take the address and the paths at which the API may be."""
        super().__init__(settings)
        self._kind = "openai"
        self._roots = _address.api_roots(self.address)
        self.address = self._roots[0]

    def connection_info(self) -> dict[str, str]:
        """Return the address and the detected kind; an embedded server stays with its owner."""
        return {"backend": "openai", "host": self.address.url, "kind": self._kind}

    def connect_to(self, connection: dict[str, str]) -> None:
        """Take the address and the kind; detect nothing."""
        super().connect_to(connection)
        self._kind = connection["kind"]
        self._roots = []

    async def server(self) -> Server:
        """Return the server with its kind, detected from its headers and paths."""
        if not self.address.port:
            raise SettingsError("--backend openai needs a server: set --host URL")
        self._kind, version = await self._identify()
        return Server(self._kind, version, self.address.url, _address.is_local(self.address))

    async def models(self) -> list[Model]:
        """Return `/models`; llama.cpp also reports size, quantization and context length."""
        await self._find_root()
        models = _models(await self.get_fields("/models"))
        if not models:
            raise ServerError(f"{self.address.url}/models has no model list in OpenAI's format")
        return models

    async def describe(self, name: str) -> Model:
        """Return one model; raises ModelError with similar names if it is unknown."""
        models = await self.models()
        model = next((m for m in models if m.id == name), None)
        if model is None:
            valid = [m.id for m in models]
            raise ModelError(registry.unknown(f"model at {self.address.url}", name, valid))
        model.capabilities = await self._capabilities()
        return model

    async def _capabilities(self) -> tuple[str, ...]:
        """Return what llama.cpp's properties tell: thinking, vision, audio and video.

        It is `completion` at least if they tell of media, and nothing if they are unknown.
        """
        if self._kind not in _LLAMA_CPP:
            return ()
        try:
            props = await self._props()
        except ServerError:  # unknown then; the measurement can go on
            return ()
        thinks = ("thinking",) if _THINKS.search(props.text("chat_template") or "") else ()
        modalities = props.part("modalities")
        told = ("completion",) if [*modalities] else ()
        return (*told, *thinks, *filter(modalities.true, _SENSES))

    async def load(self, model: Model) -> None:
        """Do nothing: these servers load a model at their start or at the first warm-up."""

    async def unload(self, model: Model) -> float | None:
        """Raise ServerError: the API has no unload."""
        raise ServerError(f"{self.address.url} cannot unload {model.id}, as --start cold requires")

    async def metadata(self, name: str) -> _gguf.Header:
        """Return the metadata of llama.cpp's file, if this machine has it.

        Raises ServerError or ModelError.
        """
        place = (await self._props()).text("model_path") if self.address.port else None
        path = Path(place) if place else None
        if path is None or not _address.is_local(self.address) or not path.is_file():
            return await super().metadata(name)
        return _gguf.read(path)

    async def slots(self) -> int | None:
        """Return llama.cpp's number of slots; None for other servers."""
        if self._kind not in _LLAMA_CPP:
            return None
        return (await self._props()).count("total_slots")

    def body(self, model: Model, messages: Sequence[_base.Message]) -> _base.Body:
        """Return a request with OpenAI's fields, and more fields if this server accepts them."""
        s = self.settings
        body: _base.Body = {
            "model": model.id,
            "messages": [*map(_media.openai, messages)],
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

    def _more(self) -> _base.Body:
        more: _base.Body = {}
        if getattr(self.settings, "osl", None):
            more["ignore_eos"] = True  # an answer of a fixed length
        if self.settings.top_k is not None:
            more["top_k"] = self.settings.top_k
        if self.settings.think is not None:
            more["chat_template_kwargs"] = {"enable_thinking": self.settings.think != "off"}
        return more

    def completion(self, model: Model, text: str, count: int) -> tuple[str, _base.Body]:
        """Return a request of the older API, without chat."""
        llama_cpp, seed = self._kind in _LLAMA_CPP, self.settings.seed
        return "/completions", of_openai(model, text, count, seed, llama_cpp=llama_cpp)

    async def text_logprobs(self, model: Model, text: str) -> list[float] | None:
        """Return those of the prompt if the server echoes it, as vLLM does."""
        path, body = self.completion(model, text, 1)
        try:
            return echoed(await self.post(path, {**body, "echo": True}), text)
        except ServerError:  # llama.cpp may refuse to echo
            return None

    async def _find_root(self) -> None:
        """Set `address` to the first candidate root that lists models, else to the first one."""
        first = self.address
        for root in self._roots:
            self.address = root
            if _models(ServerFields(await self.get("/models"), "/models", {})):
                break
        else:
            self.address = first
        self._roots = []

    async def _get_above(self, path: str) -> Any:
        """Return the JSON of a GET below the API's root without `/v1`."""
        above = self.address.path.removesuffix("/v1")
        return await self.get(self.address._replace(path=above).url + path)

    async def _props(self) -> ServerFields:
        """Return llama.cpp's properties."""
        return ServerFields(await self._get_above("/props"), "/props", self.notes)

    async def _identify(self) -> tuple[str, str | None]:
        await self._find_root()
        async with self.http() as client:
            name = (await client.get("/models")).headers.get("server")
        if name == "llama.cpp":
            return "llama.cpp", (await self._props()).text("build_info")
        theirs = await self._get_above("/api/v1/models")
        if isinstance(theirs, dict) and not theirs.keys().isdisjoint(("models", "data")):
            return "lmstudio", None
        owners = {e.text("owned_by") for e in (await self.get_fields("/models")).each("data")}
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
        """Return the tokens of the first chunk with log probabilities."""
        for _, data in _payloads(exchange):
            with suppress(ValueError, RecursionError):
                for choice in ServerFields(_lenient.parse(data), "", {}).each("choices"):
                    told = choice.part("logprobs")
                    tokens = _lenient.likeliest(told.each("content"))
                    if tokens := tokens or _lenient.likeliest_by_text(told):
                        return tokens
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
                details.media_tokens,
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
                # llama.cpp sends the head when a slot is free
                queue_ms=_ms(exchange.headers_ns, exchange.sent_ns),
            )


def _payloads(exchange: Exchange) -> Iterator[tuple[int, bytes]]:
    """Yield (stamp, data) of the events; if there are none, yield a JSON body as one event."""
    empty = True
    for event in sse(exchange.lines()):
        empty = False
        yield event
    if empty and not exchange.failure:
        body = b"\n".join(line for _, line in exchange.lines()).strip()
        if body[:1] == b"{":
            yield exchange.ended_ns, body


def _read(data: bytes) -> _Chunk:
    """Return a decoded chunk; read it leniently if its fields have undocumented types.

    Only a chunk without choices is searched for errors. Raises ValueError or RecursionError if the
    data are not a JSON object.
    """
    try:
        chunk = _decode(data)
    except (ValueError, RecursionError):
        chunk = _read_leniently(_lenient.parse(data))
    if chunk.error is not None or not (chunk.choices or chunk.usage or chunk.timings):
        chunk.error = _failures.error_in(_lenient.parse(data))
    elif chunk.choices and chunk.choices[0].error:
        chunk.error = chunk.choices[0].error
    return chunk


def _read_leniently(fields: dict[str, Any]) -> _Chunk:
    choices = fields.get("choices")
    for choice in choices if isinstance(choices, list) else [choices]:
        if isinstance(choice, dict):
            _lenient.part(choice.get("delta"))
            _lenient.part(choice.get("message"))
    return _lenient.fit(_Chunk, fields)


def _deltas(stamp: int, delta: _Delta) -> list[Delta]:
    thinking = delta.reasoning_content or delta.reasoning or delta.thinking
    deltas = [Delta(stamp, "thinking", thinking)] if thinking else []
    if content := delta.content or delta.refusal:
        deltas.append(Delta(stamp, "content", content))
    if delta.tool_calls is not NO_CALLS or delta.function_call is not NO_CALLS:
        called = _lenient.calls(delta.tool_calls) or _lenient.calls(delta.function_call)
        deltas += [Delta(stamp, "tool", called)] if called else []
    return deltas


def _ms(end_ns: int | None, start_ns: int) -> float | None:
    return None if end_ns is None else (end_ns - start_ns) / 1e6


def _models(listing: ServerFields) -> list[Model]:
    """Return the listed models; entries without a name are skipped."""
    return [model for entry in listing.each("data") if (model := _model(entry)) is not None]


def _model(entry: ServerFields) -> Model | None:
    """Return a listed model, or None if the entry has no name."""
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
