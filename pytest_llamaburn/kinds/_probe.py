"""Whether a server takes media, found out before any are sent for a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.option import changed

if TYPE_CHECKING:
    from pytest_llamaburn.backends._base import Backend, Model, Server
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.media import Medium
    from pytest_llamaburn.trace import Trace

_TEXT = "Say hello in one word."
_REFUSALS = ("bad_request", "media_refused", "not_found", "server_error", "unsupported")


def check_capability(model: Model, server: Server, modality: Any) -> None:
    """Raise ServerError if the server says what the model takes, and these media are not in it."""
    told = model.capabilities
    needed = getattr(modality, "CAPABILITY", None)  # none of one that sends no media
    if told and needed and needed not in told:
        raise ServerError(
            f"{model.id} takes no {modality.NOUN}: {server.host} says that it has "
            f"{', '.join(told)}: choose a model with {modality.CAPABILITY}"
        )


def settled(settings: object, model: Model, server: Server, modality: object) -> Document:
    """Return the settings that a modality decides by what the server says that the model takes.

    Raises ServerError for settings that the server cannot meet.
    """
    decide = getattr(modality, "settled", None)
    found: Document = decide(settings, model, server) if decide else {}
    return found


async def sent(backend: Backend, model: Model, modality: Any) -> Document:
    """Send a small medium; return its size and its tokens, or None where these are not counted.

    The tokens are those of the prompt with the medium less those without it. Raises ServerError if
    the server refuses it, although it answers the same text alone.
    """
    medium = modality.probe(backend.settings)
    shown = await _asked(backend, model, [medium])
    alone = await _asked(backend, model, [])
    if shown.failure and shown.failure.kind in _REFUSALS and alone.failure is None:
        raise ServerError(
            f"{model.id} takes no {modality.NOUN}: {backend.address.url} refused one "
            f"({shown.failure.message}): choose a model that takes {modality.NOUN}"
        )
    both = (shown.usage.prompt, alone.usage.prompt)
    tokens = int(both[0] - both[1]) if both[0] and both[1] and both[0] > both[1] else None
    return {**medium.facts, "prompt_tokens": tokens, "reported_tokens": shown.usage.media}


async def _asked(backend: Backend, model: Model, media: list[Medium]) -> Trace:
    """Return the trace of a request for one token, with these media."""
    usual = backend.settings
    message = {"role": "user", "content": _TEXT, **({"media": media} if media else {})}
    wire = backend.wire()
    try:
        backend.settings = changed(usual, {"max_tokens": 1, "think": "off"})
        return await backend.stream(wire, backend.payload(model, [message]))
    finally:
        backend.settings = usual
        wire.close()
