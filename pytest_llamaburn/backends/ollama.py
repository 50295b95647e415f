"""Ollama's own API under `/api/*`: newline-delimited JSON with the server's durations."""

from __future__ import annotations

import asyncio
import difflib
import json
import re
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llamaburn.backends import _address, _base, _failures, _gguf, _lenient, _media, _vectors
from pytest_llamaburn.backends._base import Held, Model, Server
from pytest_llamaburn.backends._failures import classify
from pytest_llamaburn.backends._lenient import NO_CALLS, ServerFields
from pytest_llamaburn.backends._plain import of_ollama
from pytest_llamaburn.backends._structure import of_ollama as _structure_of
from pytest_llamaburn.errors import ModelError, ServerError
from pytest_llamaburn.trace import Delta, Event, ServerTimings, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator, Sequence

    from pytest_llamaburn.backends._address import Address
    from pytest_llamaburn.backends._exchange import Exchange
    from pytest_llamaburn.documents import LoadedModel
    from pytest_llamaburn.settings import Run

DEFAULT_NUM_CTX = 4096  # Ollama's own default varies with the machine's memory
# The options with which Ollama starts its model runner; it silently ignores names it does not know.
RUNNER_OPTIONS = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap")
UNLOAD_WITHIN_S = 30.0
_SHOW_WITHIN_S = 30.0
_PULL_SILENCE_S = 300.0
_REGISTRY, _NAMESPACE = "registry.ollama.ai", "library"  # the defaults in a model's name


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: msgspec.Raw = NO_CALLS


class _Line(msgspec.Struct, gc=False):
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    error: Any = None
    total_duration: float | None = None
    load_duration: float | None = None
    prompt_eval_count: float | None = None
    prompt_eval_cached_count: float | None = None
    prompt_eval_duration: float | None = None
    eval_count: float | None = None
    eval_duration: float | None = None


_decode = msgspec.json.Decoder(_Line).decode


class Backend(_base.Backend):
    """An Ollama server."""

    chat_path = "/api/chat"
    opening = re.compile(rb"\{")
    default_host = "127.0.0.1:11434"
    structure = staticmethod(_structure_of)
    embeds = _vectors.OLLAMA

    def __init__(self, settings: Run) -> None:
        """Take the address, without `/api` or `/v1` at the end."""
        super().__init__(settings)
        self.address = server_of(self.address)

    def connection_info(self) -> dict[str, str]:
        """Return the address."""
        return {"backend": "ollama", "host": self.address.url}

    async def server(self) -> Server:
        """Return Ollama's version; a build without release flags reports 0.0.0."""
        version = await self.get("/api/version")
        if not isinstance(version, dict):
            raise ServerError(
                f"{self.address.url} does not answer like Ollama: try --backend openai"
            )
        number = ServerFields(version, "/api/version", self.notes).text("version")
        return Server("ollama", number, self.address.url, _address.is_local(self.address))

    async def models(self) -> list[Model]:
        """Return the local models; loaded models have their `gpu_share`."""
        loaded = dict(await self._listing("/api/ps"))
        listed = await self._listing("/api/tags")
        return [
            _listed(name, m, loaded.get(name)) for name, m in listed if not m.text("remote_model")
        ]

    async def _listing(self, path: str) -> list[tuple[str, ServerFields]]:
        """Return (name, model) pairs from a path; raises ServerError if it has no model list."""
        fields = await self.get_fields(path)
        if "models" not in fields:
            raise ServerError(
                f"{self.address.url}{path} has no model list in Ollama's format: "
                "try --backend openai"
            )
        named = [(m.text("name"), m) for m in fields.each("models")]
        return [(name, m) for name, m in named if name]  # a model without a name is unusable

    async def describe(self, name: str) -> Model:
        """Return one model, by any of its names, with its context length and capabilities."""
        known = await self.models()
        model = next((m for m in known if full_name(m.id) == full_name(name)), None)
        if model is None:
            raise ModelError(self._not_found(name, [m.id for m in known]))
        await self._complete(model)
        return model

    async def described(self) -> list[Model]:
        """Return the models with their context lengths, None if the server does not report one."""
        models = await self.models()
        await asyncio.gather(*map(self._complete, models), return_exceptions=True)
        return models

    async def _complete(self, model: Model) -> None:
        shown = await self.post("/api/show", {"model": model.id}, _SHOW_WITHIN_S)
        fields = ServerFields(shown, "/api/show", self.notes)
        model.capabilities = fields.texts("capabilities")
        info = fields.part("model_info")
        for key in info:
            if key.endswith(".context_length"):
                model.context_length = info.count(key) or model.context_length

    async def load(self, model: Model) -> None:
        """Load with the options of the timed requests: other options would reload the model."""
        body = self.body(model, [])
        await self.post("/api/chat", {**body, "stream": False})

    async def unload(self, model: Model) -> float | None:
        """Unload and wait until the server no longer lists the model."""
        await self.post("/api/chat", {"model": model.id, "messages": [], "keep_alive": 0})
        deadline = asyncio.get_running_loop().time() + UNLOAD_WITHIN_S
        while model.id in dict(await self._listing("/api/ps")):
            if asyncio.get_running_loop().time() > deadline:
                raise ServerError(f"{self.address.url} still holds {model.id} after 30 s")
            await asyncio.sleep(0.05)
        return None

    async def pull(self, name: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the server's progress events while it downloads a model.

        Raises ModelError if the server reports an error, ServerError if it reports no success.
        """
        request, status = {"model": name, "stream": True}, None
        async with (
            self.http(_PULL_SILENCE_S, endless=True) as client,
            client.stream("POST", "/api/pull", json=request) as reply,
        ):
            if reply.status_code != 200:
                await reply.aread()
                raise ModelError(self._not_pulled(name, _base.refusal(reply)))
            async for line in reply.aiter_lines():
                event = _event(line)
                if "error" in event:
                    raise ModelError(self._not_pulled(name, classify(200, event["error"])[1]))
                status = event.get("status")
                yield event
        if status != "success":
            reason = "the answer ended without success. Read the server's log, then pull again"
            raise ServerError(self._not_pulled(name, reason))

    def _not_pulled(self, name: str, reason: str) -> str:
        return f"{self.address.url} cannot pull {name}: {reason}"

    async def loaded(self) -> list[LoadedModel]:
        """Return the models in memory: name, size, GPU share and context length."""
        return [
            {
                "name": name,
                "size_mb": _mb(m),
                "gpu_share": m.share("size_vram", "size"),
                "context_length": m.count("context_length"),
            }
            for name, m in await self._listing("/api/ps")
        ]

    async def metadata(self, name: str) -> _gguf.Header:
        """Return the metadata of a model's file; arrays are asked for only if there are any."""
        shown = await self._shown(name)
        if any(value == [] for value in shown.keys.values()):
            shown = await self._shown(name, verbose=True)
        return shown

    async def _shown(self, name: str, **asked: bool) -> _gguf.Header:
        shown = await self.post("/api/show", {"model": name, **asked}, _SHOW_WITHIN_S)
        fields = ServerFields(shown, "/api/show", self.notes)
        info = shown.get("model_info") if isinstance(shown, dict) else None
        sizes = {str(t.text("name")): _bytes_of(t) for t in fields.each("tensors")}
        return _gguf.Header(info if isinstance(info, dict) else {}, sizes)

    async def held(self, model: Model) -> Held:
        """Return the sizes of `/api/ps`, unless they are those of the model's file."""
        entry = dict(await self._listing("/api/ps")).get(model.id)
        if entry is None:
            return Held(reason="the server does not list the model as loaded")
        total, gpu = entry.count("size"), entry.count("size_vram")
        if not total or gpu is None or gpu > total:
            return Held(reason="the server reports no plausible size of the loaded model")
        if model.size_mb and total <= model.size_mb * 1e6:
            return Held(reason="the server reports the size of the file, not that of the memory")
        return Held(total, gpu)

    def body(self, model: Model, messages: Sequence[_base.Message]) -> _base.Body:
        """Return a request that sets every option, so that no default of the server applies."""
        s = self.settings
        default_ctx = min(DEFAULT_NUM_CTX, model.context_length or DEFAULT_NUM_CTX)
        options = {
            "num_ctx": s.num_ctx or default_ctx,
            "num_predict": s.max_tokens,
            "seed": s.seed,
            "temperature": s.temperature,
            "top_k": 40 if s.top_k is None else s.top_k,
            "top_p": 0.9 if s.top_p is None else s.top_p,
            "repeat_penalty": 1.0,
            **self.options,
        }
        return {
            "model": model.id,
            "messages": [*map(_media.ollama, messages)],
            "stream": True,
            "think": _think(s.think, model),
            "keep_alive": _keep_alive(s.keep_alive),
            "options": options,
        }

    def completion(self, model: Model, text: str, count: int) -> tuple[str, _base.Body]:
        """Return a raw request, with the options of a chat."""
        return "/api/generate", of_ollama(self.body(model, []), text, count)

    def _not_found(self, name: str, known: list[str]) -> str:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        have = f"similar: {', '.join(near)}" if near else f"it has: {', '.join(known) or 'none'}"
        return (
            f"{self.address.url} has no model '{name}' ({have}); "
            f"download it with: llamaburn models pull {name}"
        )

    def _answer(self, exchange: Exchange) -> Generator[Event, None, Event | None]:
        recent: deque[str] = deque(maxlen=_failures.GUARD_CHUNKS)
        begun = False
        for stamp, line in exchange.lines():
            if not line.strip():
                continue
            try:
                chunk = _read(line, chat=self.chat_path == Backend.chat_path)
            except (ValueError, RecursionError) as err:  # invalid UTF-8 is a plain ValueError
                return self._unread(exchange, stamp, line, err)
            if chunk.error is not None:
                return _failures.failed(stamp, chunk.error)
            deltas: list[Delta] = []
            if chunk.message is not None:
                piece = chunk.message.content or chunk.message.thinking or ""
                recent.append(piece.strip())
                yield from (deltas := _deltas(stamp, chunk.message))
            if chunk.done:
                yield from _counts(chunk)
                streamed = begun or not deltas
                return _failures.ended(stamp, chunk.done_reason, streamed=streamed)
            begun = begun or bool(deltas)
        return exchange.failure or _failures.guarded(exchange.ended_ns, recent)

    def _likeliest(self, exchange: Exchange) -> _base.Likely:
        """Return the tokens of the first line with log probabilities."""
        for _, line in exchange.lines():
            with suppress(ValueError, RecursionError):
                fields = ServerFields(_lenient.parse(line), "", {})
                if tokens := _lenient.likeliest(fields.each("logprobs")):
                    return tokens
        return []


def server_of(address: Address) -> Address:
    """Return a server's address without `/api` or `/v1` at the end."""
    return address._replace(path=re.sub(r"/(api|v1)$", "", address.path))


def full_name(name: str) -> str:
    """Return a model's full name: in lower case, with registry, namespace and tag.

    Two names of the same model have the same full name.
    """
    place, _, last = name.lower().rpartition("/")
    model, _, tag = last.partition(":")
    registry, _, namespace = place.rpartition("://")[2].rpartition("/")
    return f"{registry or _REGISTRY}/{namespace or _NAMESPACE}/{model}:{tag or 'latest'}"


def _event(line: str) -> dict[str, Any]:
    """Return one progress event; empty if the line is not a JSON object."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    return event if isinstance(event, dict) else {}


def _read(line: bytes, *, chat: bool = True) -> _Line:
    """Return a decoded line; read it leniently if its fields have undocumented types.

    Only a line without a message is searched for errors. Raises ValueError or RecursionError if
    the line is not a JSON object, or is an answer of `/api/generate` to a `chat`.
    """
    try:
        chunk = _decode(line)
        if chunk.message is not None and chunk.error is None:
            return chunk
        fields = _lenient.parse(line)
    except (ValueError, RecursionError):
        fields = _lenient.parse(line)
        _lenient.part(fields.get("message"))
        chunk = _lenient.fit(_Line, fields)
    chunk.error = _failures.error_in(fields)
    if chat and chunk.message is None and chunk.error is None and "response" in fields:
        raise ValueError("this is an answer of /api/generate, not of /api/chat")
    return chunk


def _deltas(stamp: int, message: _Message) -> list[Delta]:
    deltas = [Delta(stamp, "thinking", message.thinking)] if message.thinking else []
    if message.content:
        deltas.append(Delta(stamp, "content", message.content))
    if message.tool_calls is not NO_CALLS and (called := _lenient.calls(message.tool_calls)):
        deltas.append(Delta(stamp, "tool", called))
    return deltas


def _counts(line: _Line) -> Iterator[Event]:
    """Yield the final line's counts. Queue time is the total minus load, prompt and eval time."""
    durations = (line.load_duration, line.prompt_eval_duration, line.eval_duration)
    work = sum(duration or 0 for duration in durations)
    cached, prompt = line.prompt_eval_cached_count, line.prompt_eval_count
    yield Usage(prompt, cached, line.eval_count)
    yield ServerTimings(
        load_ms=_lenient.ms(line.load_duration),
        prompt_ms=_lenient.ms(line.prompt_eval_duration),
        prompt_tokens=prompt - cached if prompt is not None and cached is not None else None,
        eval_ms=_lenient.ms(line.eval_duration),
        eval_tokens=line.eval_count,
        queue_ms=_lenient.ms(line.total_duration and line.total_duration - work),
    )


def _think(word: str | None, model: Model) -> bool | str:
    if word in (None, "on"):
        return "thinking" in model.capabilities or word == "on"
    return False if word == "off" else str(word)


def _keep_alive(text: str) -> int | str:
    """Return seconds as a number, since Ollama rejects a number in quotes."""
    try:
        return int(text)
    except ValueError:
        return text


def _bytes_of(tensor: ServerFields) -> int | None:
    return _gguf.tensor_bytes(tensor.text("type") or "", tensor.counts("shape"))


def _mb(entry: ServerFields) -> float | None:
    size = entry.amount("size")
    return size / 1e6 if size else None


def _listed(name: str, entry: ServerFields, loaded: ServerFields | None) -> Model:
    details = entry.part("details")
    return Model(
        id=name,
        name=name,
        quantization=details.text("quantization_level"),
        family=details.text("family"),
        parameter_size=details.text("parameter_size"),
        digest=entry.text("digest"),
        context_length=details.count("context_length") or None,
        size_mb=_mb(entry),
        loaded=loaded is not None,
        gpu_share=None if loaded is None else loaded.share("size_vram", "size"),
        capabilities=entry.texts("capabilities"),
    )
