"""Ollama through its own `/api/*`: newline-delimited JSON with the server's own durations."""

from __future__ import annotations

import asyncio
import difflib
import json
import re
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llamaburn.backends import _address, _base, _failures, _said
from pytest_llamaburn.backends._base import Model, Server
from pytest_llamaburn.backends._failures import classify
from pytest_llamaburn.backends._said import NO_CALLS, Said
from pytest_llamaburn.errors import ModelError, ServerError
from pytest_llamaburn.trace import Delta, Event, Failed, ServerTimings, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator, Sequence

    from pytest_llamaburn.backends._address import Address
    from pytest_llamaburn.backends._exchange import Exchange
    from pytest_llamaburn.settings import Run

DEFAULT_NUM_CTX = 4096  # Ollama's own default varies with the machine's memory
_UNLOAD_WITHIN_S = 30.0
_SHOW_WITHIN_S = 30.0
_PULL_SILENCE_S = 300.0
_GUARD_CHUNKS = 30  # Ollama stops a stream after this many equal chunks, without saying so
_REGISTRY, _NAMESPACE = "registry.ollama.ai", "library"  # of a name that has none


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

    def __init__(self, settings: Run) -> None:
        """Take the address; the root of either API of an Ollama names its server."""
        super().__init__(settings)
        self.address = server_of(self.address)

    def connection_info(self) -> dict[str, str]:
        """Return its address."""
        return {"backend": "ollama", "host": self.address.url}

    async def server(self) -> Server:
        """Return Ollama's version; 0.0.0 is what a build without release flags says."""
        version = await self.get("/api/version")
        if not isinstance(version, dict):
            raise ServerError(
                f"{self.address.url} answers, but not as Ollama: try --backend openai"
            )
        told = Said(version, "/api/version", self.notes).text("version")
        return Server("ollama", told, self.address.url, _address.is_local(self.address))

    async def models(self) -> list[Model]:
        """Return the local models, the loaded ones with their share on the GPU."""
        loaded = dict(await self._listing("/api/ps"))
        listed = await self._listing("/api/tags")
        return [
            _listed(name, m, loaded.get(name)) for name, m in listed if not m.text("remote_model")
        ]

    async def _listing(self, path: str) -> list[tuple[str, Said]]:
        """Return (name, model) of what a path lists; raises ServerError where it lists none."""
        found = await self.told(path)
        if "models" not in found:
            raise ServerError(
                f"{self.address.url}{path} lists no models in Ollama's shape: try --backend openai"
            )
        named = [(m.text("name"), m) for m in found.each("models")]
        return [(name, m) for name, m in named if name]  # without one it cannot be asked for

    async def describe(self, name: str) -> Model:
        """Return one model, by any name that Ollama takes for it, with context and capabilities."""
        known = await self.models()
        found = next((m for m in known if full_name(m.id) == full_name(name)), None)
        if found is None:
            raise ModelError(self._not_found(name, [m.id for m in known]))
        await self._complete(found)
        return found

    async def described(self) -> list[Model]:
        """Return the models with their context lengths, None where the server fails to say."""
        found = await self.models()
        await asyncio.gather(*map(self._complete, found), return_exceptions=True)
        return found

    async def _complete(self, model: Model) -> None:
        shown = await self.post("/api/show", {"model": model.id}, _SHOW_WITHIN_S)
        told = Said(shown, "/api/show", self.notes)
        model.capabilities = told.texts("capabilities")
        info = told.part("model_info")
        for key in info:
            if key.endswith(".context_length"):
                model.context_length = info.count(key) or model.context_length

    async def load(self, model: Model) -> None:
        """Load with the options of the timed requests: other ones would load it again."""
        body = self.body(model, [])
        await self.post("/api/chat", {**body, "stream": False})

    async def unload(self, model: Model) -> float | None:
        """Unload and wait until the server no longer lists the model."""
        await Client(self).unload(model.id)
        deadline = asyncio.get_running_loop().time() + _UNLOAD_WITHIN_S
        while model.id in dict(await self._listing("/api/ps")):
            if asyncio.get_running_loop().time() > deadline:
                raise ServerError(f"{self.address.url} still holds {model.id} after 30 s")
            await asyncio.sleep(0.05)
        return None

    async def pull(self, name: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the server's progress while it fetches a model.

        Raises ModelError if it cannot, ServerError if it does not say in the end that it did.
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
            reason = "the answer ended without success; see its log, then pull again"
            raise ServerError(self._not_pulled(name, reason))

    def _not_pulled(self, name: str, reason: str) -> str:
        return f"{self.address.url} cannot pull {name}: {reason}"

    async def loaded(self) -> list[dict[str, Any]]:
        """Return what is in memory: name, size, share on the GPU and context length."""
        return [
            {
                "name": name,
                "size_mb": _mb(m),
                "gpu_share": m.share("size_vram", "size"),
                "context_length": m.count("context_length"),
            }
            for name, m in await self._listing("/api/ps")
        ]

    def body(self, model: Model, messages: Sequence[_base.Message]) -> dict[str, Any]:
        """Return a request that leaves nothing to the server's or the model file's defaults."""
        s = self.settings
        fits = min(DEFAULT_NUM_CTX, model.context_length or DEFAULT_NUM_CTX)
        options = {
            "num_ctx": s.num_ctx or fits,
            "num_predict": s.max_tokens,
            "seed": s.seed,
            "temperature": s.temperature,
            "top_k": 40 if s.top_k is None else s.top_k,
            "top_p": 0.9 if s.top_p is None else s.top_p,
            "repeat_penalty": 1.0,
        }
        return {
            "model": model.id,
            "messages": list(messages),
            "stream": True,
            "think": _think(s.think, model),
            "keep_alive": _keep_alive(s.keep_alive),
            "options": options,
        }

    def _not_found(self, name: str, known: list[str]) -> str:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        have = f"nearest: {', '.join(near)}" if near else f"it has: {', '.join(known) or 'none'}"
        return (
            f"model '{name}' is not at {self.address.url} ({have}); "
            f"fetch it with: llamaburn models pull {name}"
        )

    def _answer(self, exchange: Exchange) -> Generator[Event, None, Event | None]:
        recent: deque[str] = deque(maxlen=_GUARD_CHUNKS)
        begun = False
        for stamp, line in exchange.lines():
            if not line.strip():
                continue
            try:
                chunk = _read(line)
            except (ValueError, RecursionError) as err:  # bad UTF-8 is no MsgspecError
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
        return exchange.failure or _guarded(exchange, recent)

    def _likeliest(self, exchange: Exchange) -> _base.Likely:
        """Return what stands in the first line with log probabilities."""
        for _, line in exchange.lines():
            with suppress(ValueError, RecursionError):
                told = Said(_said.parse(line), "", {})
                if found := _said.likeliest(told.each("logprobs")):
                    return found
        return []


class Client:
    """Ollama's untimed calls, for tests and tools; each returns the server's JSON."""

    def __init__(self, backend: Backend) -> None:
        """Speak to the backend's server."""
        self._backend = backend

    async def list(self) -> Any:
        """Return `/api/tags`: the models the server has."""
        return await self._backend.get("/api/tags")

    async def show(self, model: str) -> Any:
        """Return `/api/show`: template, parameters, capabilities."""
        return await self._backend.post("/api/show", {"model": model})

    async def ps(self) -> Any:
        """Return `/api/ps`: the models in memory."""
        return await self._backend.get("/api/ps")

    async def chat(self, model: str, messages: Sequence[_base.Message], **fields: Any) -> Any:
        """Return one whole answer of `/api/chat`."""
        body = {"model": model, "messages": [*messages], "stream": False, **fields}
        return await self._backend.post("/api/chat", body)

    async def generate(self, model: str, prompt: str, **fields: Any) -> Any:
        """Return one whole answer of `/api/generate`."""
        body = {"model": model, "prompt": prompt, "stream": False, **fields}
        return await self._backend.post("/api/generate", body)

    async def embed(self, model: str, text: str | Sequence[str], **fields: Any) -> Any:
        """Return the embeddings of one or several texts."""
        return await self._backend.post("/api/embed", {"model": model, "input": text, **fields})

    async def load(self, model: str, **fields: Any) -> Any:
        """Have a model in memory; pass the `options` later requests will send."""
        return await self.chat(model, [], **fields)

    async def unload(self, model: str) -> Any:
        """Ask the server to drop a model."""
        return await self.chat(model, [], keep_alive=0)


def server_of(address: Address) -> Address:
    """Return where a server listens, from the root of either of its APIs."""
    return address._replace(path=re.sub(r"/(api|v1)$", "", address.path))


def full_name(name: str) -> str:
    """Return what Ollama understands by a model's name: two of one model are equal here.

    Case tells nothing; a registry, a namespace and a tag that are left out have their defaults.
    """
    place, _, last = name.lower().rpartition("/")
    model, _, tag = last.partition(":")
    registry, _, namespace = place.rpartition("://")[2].rpartition("/")
    return f"{registry or _REGISTRY}/{namespace or _NAMESPACE}/{model}:{tag or 'latest'}"


def _event(line: str) -> dict[str, Any]:
    """Return one line of progress; what is no JSON object is an event that tells nothing."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    return event if isinstance(event, dict) else {}


def _read(line: bytes) -> _Line:
    """Return a line, read with patience where its fields are not of the types documented.

    Only a line without a message is searched for errors of all shapes. Raises ValueError or
    RecursionError for what is no JSON object, or is an answer of `/api/generate`.
    """
    try:
        chunk = _decode(line)
        if chunk.message is not None and chunk.error is None:
            return chunk
        found = _said.parse(line)
    except (ValueError, RecursionError):
        found = _said.parse(line)
        _said.part(found.get("message"))
        chunk = _said.fit(_Line, found)
    chunk.error = _failures.error_in(found)
    if chunk.message is None and chunk.error is None and "response" in found:
        raise ValueError("this answers /api/generate, not a chat")
    return chunk


def _deltas(stamp: int, message: _Message) -> list[Delta]:
    found = [Delta(stamp, "thinking", message.thinking)] if message.thinking else []
    if message.content:
        found.append(Delta(stamp, "content", message.content))
    if message.tool_calls is not NO_CALLS and (called := _said.calls(message.tool_calls)):
        found.append(Delta(stamp, "tool", called))
    return found


def _counts(line: _Line) -> Iterator[Event]:
    """Yield the final line's counts. What is left of the total after load and work is queueing."""
    durations = (line.load_duration, line.prompt_eval_duration, line.eval_duration)
    work = sum(duration or 0 for duration in durations)
    cached, prompt = line.prompt_eval_cached_count, line.prompt_eval_count
    yield Usage(prompt, cached, line.eval_count)
    yield ServerTimings(
        load_ms=_ms(line.load_duration),
        prompt_ms=_ms(line.prompt_eval_duration),
        prompt_tokens=prompt - cached if prompt is not None and cached is not None else None,
        eval_ms=_ms(line.eval_duration),
        eval_tokens=line.eval_count,
        queue_ms=_ms(line.total_duration and line.total_duration - work),
    )


def _ms(nanoseconds: float | None) -> float | None:
    """Return milliseconds; Ollama leaves a duration of 0 out, so 0 means that it gave none."""
    return nanoseconds / 1e6 if nanoseconds else None


def _guarded(exchange: Exchange, recent: deque[str]) -> Failed | None:
    if len(recent) < _GUARD_CHUNKS or len(set(recent)) > 1:
        return None
    message = f"the stream ended without done:true after {_GUARD_CHUNKS} equal chunks"
    return Failed(
        exchange.ended_ns, "truncated_stream", "stream", 200, message, flag="repetition_guard"
    )


def _think(word: str | None, model: Model) -> bool | str:
    if word in (None, "on"):
        return "thinking" in model.capabilities or word == "on"
    return False if word == "off" else str(word)


def _keep_alive(text: str) -> int | str:
    """Return seconds as a number: Ollama refuses a number in quotes."""
    try:
        return int(text)
    except ValueError:
        return text


def _mb(entry: Said) -> float | None:
    size = entry.amount("size")
    return size / 1e6 if size else None


def _listed(name: str, entry: Said, loaded: Said | None) -> Model:
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
