"""How servers are asked for the token after a plain text, and for those of a given text."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.scripted import LlamaCppFacade, ScriptedServer, settings_for, sized
from support.telling import Echoing, OllamaTellers, Told

from pytest_llamaburn.backends import ollama, openai, whisper
from pytest_llamaburn.backends._base import Backend, Likely, Model
from pytest_llamaburn.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.scripted import Script, Steps

    from pytest_llamaburn.trace import Trace

TEXT = "The cat sat on the"
TINY = Model("tiny", "tiny", context_length=64)


def asked(
    backend: type[Backend], script: Script, work: Callable[[Backend], Awaitable[Any]]
) -> tuple[Any, dict[str, Any]]:
    """Return what comes of some work with a backend, and the body of its last request."""

    async def at(host: str) -> Any:
        sender = backend(settings_for(host))
        await sender.server()
        return await work(sender)

    with ScriptedServer(script) as server:
        found = asyncio.run(at(server.host))
        body = server.requests[-1].partition(b"\r\n\r\n")[2]
    return found, json.loads(body) if body else {}


async def next_token(sender: Backend) -> tuple[Trace, Likely]:
    wire = sender.wire()
    try:
        return await sender.next_token(wire, TINY, TEXT, 2)
    finally:
        wire.close()


def test_ollama_continues_a_text_without_a_template() -> None:
    facade = OllamaTellers(
        tell=lambda _, __: Told({" mat": 0.5, " sofa": 0.3, " bed": 0.2}, 5), tells=("tiny",)
    )
    (trace, likely), body = asked(ollama.Backend, facade, next_token)
    assert (trace.failure, trace.usage.prompt, trace.finish_reason) == (None, 5, "length")
    assert [token for token, _ in likely] == [" mat", " sofa"]
    wanted = {"prompt": TEXT, "raw": True, "stream": False, "logprobs": True, "top_logprobs": 2}
    assert wanted.items() <= body.items()
    assert body["options"]["num_predict"] == 1
    assert "messages" not in body


def of_llama_cpp(top: list[dict[str, Any]]) -> Steps:
    logprobs = {"content": [{"token": " mat", "top_logprobs": top}]}
    choice = {"text": " mat", "index": 0, "finish_reason": "length", "logprobs": logprobs}
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    return [sized(200, {"choices": [choice], "usage": usage}, server="llama.cpp")]


def llama_cpp(top: list[dict[str, Any]]) -> Script:
    facade = LlamaCppFacade()
    return lambda request: (
        of_llama_cpp(top) if request.path == "/v1/completions" else facade(request)
    )


def test_llama_cpp_chooses_a_token_of_ascii_so_that_it_tells_parts_of_characters() -> None:
    top = [
        {"token": "", "bytes": [228, 184], "logprob": -0.5},
        {"token": " mat", "bytes": [32, 109, 97, 116], "logprob": -1.5},
    ]
    (trace, likely), body = asked(openai.Backend, llama_cpp(top), next_token)
    assert (trace.failure, trace.usage.prompt) == (None, 5)
    assert likely == [("<0xE4><0xB8>", -0.5), (" mat", -1.5)]
    assert body["grammar"] == "root ::= [ -~]"
    assert (body["prompt"], body["logprobs"], body["max_tokens"]) == (TEXT, 2, 1)


def test_the_end_of_a_text_is_a_token_without_text() -> None:
    top = [{"token": "", "bytes": [], "logprob": -0.1}, {"token": " a", "logprob": -3.0}]
    (_, likely), _ = asked(openai.Backend, llama_cpp(top), next_token)
    assert likely == [("", -0.1), (" a", -3.0)]


def test_the_older_format_is_read_and_a_strict_server_gets_no_grammar() -> None:
    (trace, likely), body = asked(openai.Backend, Echoing(), next_token)
    assert trace.failure is None
    assert sorted(likely) == [(" a", -0.5), (" b", -1.5)]
    assert "grammar" not in body


@pytest.mark.parametrize(
    ("top", "known"),
    [([], []), ([None], []), ("x", []), ([{" a": "?", " b": -1}], [(" b", -1.0)])],
)
def test_what_is_no_logarithm_is_left_out_of_the_older_format(top: Any, known: Likely) -> None:
    choice = {"text": " a", "finish_reason": "length", "logprobs": {"top_logprobs": top}}
    answer = [sized(200, {"choices": [choice], "usage": {"completion_tokens": 1}})]
    facade = Echoing()
    (_, likely), _ = asked(
        openai.Backend,
        lambda request: answer if request.path == "/v1/completions" else facade(request),
        next_token,
    )
    assert likely == known


def test_a_refusal_is_a_failure_with_the_server_s_words() -> None:
    refused = [sized(400, {"error": {"message": "logprobs must be at most 5"}})]
    facade = Echoing()
    (trace, likely), _ = asked(
        openai.Backend,
        lambda request: refused if request.path == "/v1/completions" else facade(request),
        next_token,
    )
    assert likely == []
    assert trace.failure is not None
    assert trace.failure.message == "logprobs must be at most 5"


def test_a_server_that_transcribes_has_no_next_token() -> None:
    with pytest.raises(ServerError, match="cannot continue a text with tiny"):
        whisper.Backend(settings_for(None)).completion(TINY, TEXT, 2)


def texts(sender: Backend) -> Awaitable[list[float] | None]:
    return sender.text_logprobs(TINY, TEXT)


def test_probabilities_of_a_given_text_are_those_after_its_first_token() -> None:
    found, body = asked(openai.Backend, Echoing(per_token=-1.25), texts)
    assert found == [-1.25] * 4
    assert body["echo"] is True


@pytest.mark.parametrize(
    "wrong",
    [
        {"token_logprobs": None},
        {"token_logprobs": [None, -1.0]},
        {"token_logprobs": [None, -1.0, None, -1.0, -1.0, -1.0]},
        {"token_logprobs": [None, -1.0, 2.0, -1.0, -1.0, -1.0]},
        {"token_logprobs": "x"},
    ],
)
def test_probabilities_that_are_not_those_of_the_text_are_not_believed(
    wrong: dict[str, Any],
) -> None:
    assert asked(openai.Backend, Echoing(wrong=wrong), texts)[0] is None


def test_a_server_that_does_not_echo_has_none() -> None:
    assert asked(openai.Backend, llama_cpp([{"token": " a", "logprob": -1.0}]), texts)[0] is None
    refused = [sized(400, {"error": {"message": "echo is not supported"}})]
    assert (
        asked(openai.Backend, lambda r: refused if "comp" in r.path else Echoing()(r), texts)[0]
        is None
    )
    assert asked(ollama.Backend, OllamaTellers(), texts)[0] is None
