"""Ollama through its own `/api/*`: newline-delimited JSON with the server's own durations."""

from __future__ import annotations

import asyncio
import difflib
import json
import re
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llamaburn.backends import _base
from pytest_llamaburn.backends._base import Model, Server
from pytest_llamaburn.backends._failures import classify
from pytest_llamaburn.errors import ModelError, ServerError
from pytest_llamaburn.trace import Delta, Event, Failed, Finished, ServerTimings, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator, Sequence

    from pytest_llamaburn.backends._http import Address, Exchange
    from pytest_llamaburn.settings import Run

DEFAULT_NUM_CTX = 4096  # Ollama's own default varies with the machine's memory
_UNLOAD_WITHIN_S = 30.0
_SHOW_WITHIN_S = 30.0
_PULL_SILENCE_S = 300.0
_GUARD_CHUNKS = 30  # Ollama stops a stream after this many equal chunks, without saying so
_REGISTRY, _NAMESPACE = "registry.ollama.ai", "library"  # of a name that has none
_NO_CALLS = msgspec.Raw()


class _Message(msgspec.Struct, gc=False):
    content: str = ""
    thinking: str | None = None
    tool_calls: msgspec.Raw = _NO_CALLS


class _Line(msgspec.Struct, gc=False):
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    error: Any = None
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int | None = None
    prompt_eval_cached_count: int | None = None
    prompt_eval_duration: int = 0
    eval_count: int | None = None
    eval_duration: int = 0


_decode = msgspec.json.Decoder(_Line).decode


class Backend(_base.Backend):
    """An Ollama server."""

    chat_path = "/api/chat"
    default_host = "127.0.0.1:11434"

    def __init__(self, settings: Run) -> None:
        """Take the address; the root of either API of an Ollama names its server."""
        super().__init__(settings)
        self.address = server_of(self.address)

    def twin(self) -> dict[str, Any]:
        """Return its address."""
        return {"backend": "ollama", "host": self.address.url}

    async def server(self) -> Server:
        """Return Ollama's version; 0.0.0 is what a build without release flags says."""
        version = await self.get("/api/version")
        if not isinstance(version, dict):
            raise ServerError(
                f"{self.address.url} answers, but not as Ollama: try --backend openai"
            )
        return Server(
            "ollama", version.get("version"), self.address.url, _base.is_local(self.address)
        )

    async def models(self) -> list[Model]:
        """Return the local models, the loaded ones with their share on the GPU."""
        loaded = {m["name"]: m for m in await self._listing("/api/ps")}
        listed = await self._listing("/api/tags")
        return [_listed(m, loaded.get(m["name"])) for m in listed if not m.get("remote_model")]

    async def _listing(self, path: str) -> list[dict[str, Any]]:
        """Return the models that a path lists; raises ServerError where it lists none."""
        found = await self.get(path)
        try:  # what has no name cannot be asked for
            return [m for m in found["models"] or () if isinstance(m["name"], str)]
        except (TypeError, KeyError):
            raise ServerError(
                f"{self.address.url}{path} lists no models in Ollama's shape: try --backend openai"
            ) from None

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
        model.capabilities = tuple(shown.get("capabilities") or ())
        for key, value in (shown.get("model_info") or {}).items():
            if key.endswith(".context_length"):
                model.context_length = value

    async def load(self, model: Model) -> None:
        """Load with the options of the timed requests: other ones would load it again."""
        body = self.body(model, [])
        await self.post("/api/chat", {**body, "stream": False})

    async def unload(self, model: Model) -> float | None:
        """Unload and wait until the server no longer lists the model."""
        await Client(self).unload(model.id)
        deadline = asyncio.get_running_loop().time() + _UNLOAD_WITHIN_S
        while any(m["name"] == model.id for m in await self._listing("/api/ps")):
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
                    raise ModelError(self._not_pulled(name, event["error"]))
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
                "name": m["name"],
                "size_mb": m["size"] / 1e6,
                "gpu_share": _gpu_share(m),
                "context_length": m.get("context_length"),
            }
            for m in await self._listing("/api/ps")
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
        for stamp, line in exchange.lines():
            if not line.strip():
                continue
            try:
                chunk = _decode(line)
            except (ValueError, RecursionError) as err:  # bad UTF-8 is no MsgspecError
                words = f"{err}: {line[:200]!r}"
                return exchange.failure or Failed(stamp, "malformed_chunk", "stream", 200, words)
            if chunk.error is not None:
                kind, words = classify(200, chunk.error)
                return Failed(stamp, kind, "stream", 200, words)
            if chunk.message is not None:
                piece = chunk.message.content or chunk.message.thinking or ""
                recent.append(piece.strip())
                yield from _deltas(stamp, chunk.message)
            if chunk.done:
                yield from _counts(chunk)
                return Finished(stamp, chunk.done_reason)
        return exchange.failure or _guarded(exchange, recent)


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


def _deltas(stamp: int, message: _Message) -> list[Delta]:
    found = [Delta(stamp, "thinking", message.thinking)] if message.thinking else []
    if message.content:
        found.append(Delta(stamp, "content", message.content))
    if message.tool_calls is not _NO_CALLS and bytes(message.tool_calls) not in (b"null", b"[]"):
        calls = bytes(message.tool_calls).decode("utf-8", "replace")
        found.append(Delta(stamp, "tool", calls))
    return found


def _counts(line: _Line) -> Iterator[Event]:
    """Yield the final line's counts. What is left of the total after load and work is queueing."""
    work = line.load_duration + line.prompt_eval_duration + line.eval_duration
    cached, prompt = line.prompt_eval_cached_count, line.prompt_eval_count
    yield Usage(prompt, cached, line.eval_count)
    yield ServerTimings(
        load_ms=_ms(line.load_duration),
        prompt_ms=_ms(line.prompt_eval_duration),
        prompt_tokens=prompt - cached if prompt is not None and cached is not None else None,
        eval_ms=_ms(line.eval_duration),
        eval_tokens=line.eval_count,
        queue_ms=_ms(line.total_duration - work) if line.total_duration else None,
    )


def _ms(nanoseconds: int) -> float | None:
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


def _gpu_share(entry: dict[str, Any]) -> float | None:
    return entry.get("size_vram", 0) / entry["size"] if entry.get("size") else None


def _listed(entry: dict[str, Any], loaded: dict[str, Any] | None) -> Model:
    details = entry.get("details") or {}
    return Model(
        id=entry["name"],
        name=entry["name"],
        quantization=details.get("quantization_level") or None,
        family=details.get("family") or None,
        parameter_size=details.get("parameter_size") or None,
        digest=entry.get("digest"),
        context_length=details.get("context_length"),
        size_mb=entry["size"] / 1e6 if entry.get("size") else None,
        loaded=loaded is not None,
        gpu_share=_gpu_share(loaded) if loaded else None,
        capabilities=tuple(entry.get("capabilities") or ()),
    )
