"""Which backend serves a model, when the user did not say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from pytest_llamaburn import registry
from pytest_llamaburn.backends import _catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.backends._base import Backend

from pytest_llamaburn.settings import Run

SomeRun = TypeVar("SomeRun", bound=Run)


def settle(settings: SomeRun, origins: Mapping[str, str]) -> tuple[SomeRun, str | None]:
    """Return settings that name a model or a server, and the note to say if that was our choice.

    With neither a model nor a host on the command line, the embedded model is meant.
    """
    if settings.model or settings.backend != "auto" or origins.get("host", "").startswith("--"):
        return settings, None
    chosen = {"model": (_catalogue.DEFAULT_MODEL,), "backend": "embedded"}
    title = _catalogue.entries()[_catalogue.DEFAULT_MODEL]["title"]
    note = f"no --model given and none configured: using the embedded {title}"
    return settings.model_copy(update=chosen), note  # type: ignore[attr-defined]


def make(kind: str, settings: Run) -> Backend:
    """Return a backend of this kind, not opened yet."""
    return cast("Backend", registry.load("backends", kind).Backend(settings))


async def connect(settings: Run, model: str | None) -> Backend:
    """Return the opened backend for a model.

    Raises UsageError: no server, no such model, a missing extra.
    """
    if settings.backend == "auto" and model is not None and is_embedded(model):
        backend = make("embedded", settings)
    else:
        backend = await at_host(settings)
    await backend.open(model)
    return backend


async def at_host(settings: Run) -> Backend:
    """Return the backend that speaks the dialect of the server at the host, or the named one."""
    auto = settings.backend == "auto"
    return make(await _kind_at_host(settings) if auto else settings.backend, settings)


def is_embedded(model: str) -> bool:
    """Return whether a model name means the embedded engine: the catalogue's, or a file."""
    return model in _catalogue.entries() or model.endswith(".gguf")


def means_file(model: str) -> bool:
    """Return whether a model name means a file: by its suffix, or as an existing path like ./x."""
    return model.endswith(".gguf") or (model.startswith((".", os.sep)) and Path(model).is_file())


async def _kind_at_host(settings: Run) -> str:
    """Return the dialect of the server at the host.

    llama.cpp and LM Studio are asked first: others imitate Ollama's paths, so its version alone
    proves nothing; its root text does.
    """
    probe = make("ollama", settings)
    async with probe.http(settings.timeout_connect) as client:
        props = await client.get("/v1/models")
        if props.headers.get("server") == "llama.cpp":
            return "openai"
        root = await client.get("/")
        if "Ollama is running" in root.text:
            return "ollama"
    return "openai"
