"""Ollama's untimed calls, for tests and tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.backends._base import Backend, Message


class Client:
    """Ollama's untimed calls; each returns the server's JSON."""

    def __init__(self, backend: Backend) -> None:
        """Use the server of an Ollama backend."""
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

    async def chat(self, model: str, messages: Sequence[Message], **fields: object) -> Any:
        """Return one complete answer of `/api/chat`."""
        body = {"model": model, "messages": [*messages], "stream": False, **fields}
        return await self._backend.post("/api/chat", body)

    async def generate(self, model: str, prompt: str, **fields: object) -> Any:
        """Return one complete answer of `/api/generate`."""
        body = {"model": model, "prompt": prompt, "stream": False, **fields}
        return await self._backend.post("/api/generate", body)

    async def embed(self, model: str, text: str | Sequence[str], **fields: object) -> Any:
        """Return the embeddings of one text or several."""
        return await self._backend.post("/api/embed", {"model": model, "input": text, **fields})

    async def load(self, model: str, **fields: object) -> Any:
        """Load a model into memory; pass the `options` of later requests."""
        return await self.chat(model, [], **fields)

    async def unload(self, model: str) -> Any:
        """Unload a model."""
        return await self.chat(model, [], keep_alive=0)
