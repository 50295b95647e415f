"""Where servers put the log probabilities of the first token."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from support.scripted import (
    LlamaCppFacade,
    OllamaFacade,
    ScriptedServer,
    chunked,
    ollama_line,
    openai_chunk,
    settings_for,
    sse,
)

from pytest_llamaburn.backends import ollama, openai
from pytest_llamaburn.backends._base import Backend, Likely, Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.scripted import Steps

TOP = [{"token": "B", "logprob": -0.25, "bytes": [66]}, {"token": " A", "logprob": -1.5}]
FOUND = [("B", -0.25), (" A", -1.5)]


def of_openai(logprobs: Any) -> Steps:
    piece = openai_chunk({"content": "B"})
    piece["choices"][0]["logprobs"] = logprobs
    role, end = openai_chunk({"role": "assistant"}), openai_chunk({}, finish="length")
    return chunked(*map(sse, (role, piece, end)), sse("[DONE]"), server="llama.cpp")


def of_ollama(logprobs: Any) -> Steps:
    last = ollama_line(done=True, done_reason="length", eval_count=1)
    return chunked(ollama_line("B", logprobs=logprobs), last)


def likely_token(backend: type[Backend], steps: Steps) -> Likely:
    async def ask(host: str) -> Likely:
        sender = backend(settings_for(host))
        wire, body = sender.wire(), sender.body(Model("tiny", "tiny"), [])
        trace, likely = await sender.first_token(wire, body)
        wire.close()
        assert (trace.failure, trace.text) == (None, "B")
        return likely

    with ScriptedServer(steps) as server:
        return asyncio.run(ask(server.host))


@pytest.mark.parametrize(
    ("backend", "steps"),
    [
        (openai.Backend, of_openai({"content": [{"token": "B", "top_logprobs": TOP}, {}]})),
        (ollama.Backend, of_ollama([{"token": "B", "logprob": -0.25, "top_logprobs": TOP}])),
    ],
    ids=["openai", "ollama"],
)
def test_the_likeliest_first_tokens_are_read(backend: type[Backend], steps: Steps) -> None:
    assert likely_token(backend, steps) == FOUND


@pytest.mark.parametrize(
    "top",
    [
        None,
        [],
        {},
        "none",
        [None],
        [{"token": "B"}],
        [{"token": "B", "logprob": "?"}],
        [{"token": "B", "logprob": 3}],
        [{"token": "B", "logprob": -math.inf}],
        [{"token": "B", "logprob": math.nan}],
        [{"token": "B", "logprob": "-1e400"}],
        [{"token": 7, "logprob": -1}],
    ],
)
@pytest.mark.parametrize(
    ("backend", "dialect"),
    [
        (openai.Backend, lambda top: of_openai({"content": [{"top_logprobs": top}]})),
        (ollama.Backend, lambda top: of_ollama([{"top_logprobs": top}])),
    ],
    ids=["openai", "ollama"],
)
def test_what_is_no_logarithm_of_a_probability_is_left_out(
    backend: type[Backend], dialect: Callable[[Any], Steps], top: Any
) -> None:
    assert likely_token(backend, dialect(top)) == []


@pytest.mark.parametrize("logprobs", [None, [], {}, {"content": None}, {"content": [None]}, "B"])
def test_a_server_may_give_none(logprobs: Any) -> None:
    assert likely_token(openai.Backend, of_openai(logprobs)) == []
    assert likely_token(ollama.Backend, of_ollama(logprobs)) == []


def test_a_backend_that_cannot_tell_has_none() -> None:
    class Bare(ollama.Backend):
        _likeliest = Backend._likeliest

    assert likely_token(Bare, of_ollama([{"top_logprobs": TOP}])) == []


def test_the_logarithm_of_nothing_is_kept() -> None:
    """vLLM says -9999, which Python's exp makes 0."""
    top = [{"token": "B", "logprob": -9999.0}]
    (found,) = likely_token(ollama.Backend, of_ollama([{"top_logprobs": top}]))
    assert math.exp(found[1]) == 0


@pytest.mark.parametrize(
    ("template", "capabilities"),
    [
        ("{% if enable_thinking is defined %}", ("thinking",)),
        ("{{ content.split('</think>')[-1] }}", ("thinking",)),
        ("{% for message in messages %}", ()),
    ],
)
def test_the_template_of_llama_cpp_shows_that_a_model_can_think(
    template: str, capabilities: tuple[str, ...]
) -> None:
    facade = LlamaCppFacade(props=json.dumps({"chat_template": template}))

    async def described(host: str) -> Model:
        backend = openai.Backend(settings_for(host))
        await backend.server()
        return await backend.describe("tiny:latest")

    with ScriptedServer(facade) as server:
        assert asyncio.run(described(server.host)).capabilities == capabilities


def test_ollama_says_that_a_model_can_think() -> None:
    with ScriptedServer(OllamaFacade(capabilities=("completion", "thinking"))) as server:
        backend = ollama.Backend(settings_for(server.host))
        assert "thinking" in asyncio.run(backend.describe("tiny:latest")).capabilities
