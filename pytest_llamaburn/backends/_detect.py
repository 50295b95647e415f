"""Choose the backend if the user named none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from pytest_llamaburn import registry
from pytest_llamaburn.backends import _catalogue, _weights
from pytest_llamaburn.option import changed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.backends._base import Backend

from pytest_llamaburn.settings import Run

SomeRun = TypeVar("SomeRun", bound=Run)


def settle(settings: SomeRun, origins: Mapping[str, str]) -> tuple[SomeRun, str | None]:
    """Return settings with a model or a server, and a note if the default was chosen.

    The default without a model and without `--host` is the embedded model.
    """
    if settings.model or settings.backend != "auto" or origins.get("host", "").startswith("--"):
        return settings, None
    chosen = {"model": (_catalogue.DEFAULT_MODEL,), "backend": "embedded"}
    title = _catalogue.entries()[_catalogue.DEFAULT_MODEL]["title"]
    note = f"no --model given and none configured: using the embedded {title}"
    return changed(settings, chosen), note


def make(kind: str, settings: Run) -> Backend:
    """Return a backend of this kind; it is not opened yet."""
    return cast("Backend", registry.load("backends", kind).Backend(settings))


async def connect(settings: Run, model: str | None) -> Backend:
    """Return an open backend for a model.

    Raises UsageError if there is no server, no such model, or an extra is missing.
    """
    backend = await unopened(settings, model)
    await backend.open(model)
    return backend


async def unopened(settings: Run, model: str | None) -> Backend:
    """Return the backend for a model, which has started and loaded nothing."""
    if settings.backend == "auto" and model is not None and is_embedded(model):
        return make("embedded", settings)
    if settings.backend == "auto" and model in _weights.models("whisper"):
        return make("whisper", settings)
    return await at_host(settings)


async def at_host(settings: Run) -> Backend:
    """Return the backend that the settings name, or the one that fits the server at the host."""
    auto = settings.backend == "auto"
    return make(await _kind_at_host(settings) if auto else settings.backend, settings)


def is_embedded(model: str) -> bool:
    """Return whether the embedded backend serves this name: a catalogue entry or a GGUF file."""
    return model in _catalogue.entries() or model.endswith(".gguf")


def means_file(model: str) -> bool:
    """Return whether a model name is a file: it ends in .gguf, or is an existing path like ./x."""
    return model.endswith(".gguf") or (model.startswith((".", os.sep)) and Path(model).is_file())


async def _kind_at_host(settings: Run) -> str:
    """Return the name of the backend that fits the server at the host.

    Other servers imitate Ollama's paths, so only the text at its root identifies Ollama.
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
