"""What judges on our own backends share: settings of the server, and an untimed call."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from pytest_llamaburn.errors import ModelError, ServerError
from pytest_llamaburn.judges._base import CallError, failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.judges._base import Ask, Judge
    from pytest_llamaburn.judges._documents import Parameters, Schema
    from pytest_llamaburn.settings import Run

CONTEXT = 16384  # enough for a long answer and a judge that thinks
_MEDIUM_TOKENS = 1500  # of most models that see
_CHARS_PER_TOKEN = 3  # a safe estimate for text and code


def settings(host: str | None, num_ctx: int = CONTEXT) -> Run:
    """Return the settings of a backend that serves a judge."""
    from pytest_llamaburn.option import model_of
    from pytest_llamaburn.settings import Run

    return cast("Run", model_of(Run)(host=host, num_ctx=num_ctx))


@contextmanager
def in_its_name(judge: Judge, backend: Backend) -> Iterator[None]:
    """Make the errors of a backend name the judge instead of the model under test."""
    try:
        yield
    except (ModelError, ServerError) as err:
        url = backend.address.url
        words = str(err).removeprefix("--model: ")
        words = words.replace("--backend openai", f"--judge openai:{judge.model}@{url}")
        if err.__cause__ is not None:  # of the network
            words = (
                f"no server at {url}: {err.__cause__}; start it, or write "
                f"--judge {judge.provider}:{judge.model}@URL of another"
            )
        raise type(err)(f"--judge {judge.name}: {words}") from err.__cause__


def bounded(schema: Schema) -> Schema:
    """Return the schema of a verdict with limits on its texts, which small models would not end."""
    properties = dict(schema["properties"])
    quote = {"type": "string", "maxLength": 160}
    properties["evidence"] = {"type": "array", "items": quote, "maxItems": 3}
    properties["reasoning"] = {"type": "string", "maxLength": 480}
    return {**schema, "properties": properties}


def room(ask: Ask, num_ctx: int) -> int:
    """Return how many tokens the verdict may have.

    Raises CallError if the prompt does not fit, because servers cut it without saying so.
    """
    prompt = (len(ask.system) + len(ask.user)) // _CHARS_PER_TOKEN
    prompt += len(ask.seen) * _MEDIUM_TOKENS
    left = num_ctx - prompt
    if left < 256:
        words = f"about {prompt} tokens to judge do not fit the judge's context of {num_ctx}"
        refused = CallError("context_overflow", words)
        refused.sent = False
        raise refused
    return min(ask.max_tokens, left)


async def post(backend: Backend, path: str, body: Parameters, timeout_s: float) -> bytes:
    """Return the body of a POST's answer; raises CallError."""
    try:
        async with backend.http(timeout_s) as client:
            answer = await client.post(path, json=body)
    except ServerError as err:
        raise CallError("connection", str(err)) from None
    if answer.status_code != 200:
        raise failed(answer.status_code, _decoded(answer.content), answer.headers)
    return answer.content


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body
