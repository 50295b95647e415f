"""Messages with media in the form of each API, and what servers tell of media."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import Any

import pytest
from support.scripted import (
    LlamaCppFacade,
    OllamaFacade,
    Request,
    ScriptedServer,
    Steps,
    ask,
    ollama_stream,
    settings_for,
    sized,
)

from pytest_llamaburn.backends import ollama, openai
from pytest_llamaburn.backends._base import Backend, Model, Server
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.kinds import _probe
from pytest_llamaburn.media import Base64, Medium, base64_of, identified
from pytest_llamaburn.modalities import image


@dataclass
class _Counting(OllamaFacade):
    """A server that counts 256 tokens for an image; a broken one answers nothing."""

    broken: bool = False

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/chat" or not request.json["messages"]:
            return super().__call__(request)
        if self.broken:
            return [sized(500, {"error": "no"})]
        images = len(request.json["messages"][-1].get("images", ()))
        return ollama_stream(["Hi"], prompt_eval_count=20 + 256 * images)


TINY = Model("tiny", "tiny")
PNG = Medium("image", "image/png", Base64(b"cG5n"), {})
WAV = Medium("audio", "audio/wav", Base64(b"d2F2"), {})
MP4 = Medium("video", "video/mp4", Base64(b"bXA0"), {})
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "be short"},
    {"role": "user", "content": "what?", "media": [PNG, PNG]},
]


def sent(backend: Backend, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages of a request as a server reads them."""
    _, _, body = b"".join(backend.payload(TINY, messages)).partition(b"\r\n\r\n")
    found: list[dict[str, Any]] = json.loads(body)["messages"]
    return found


def test_ollama_gets_the_data_of_all_images_beside_the_text() -> None:
    backend = ollama.Backend(settings_for("127.0.0.1:1"))
    plain, shown = sent(backend, MESSAGES)
    assert plain == MESSAGES[0]
    assert shown == {"role": "user", "content": "what?", "images": ["cG5n", "cG5n"]}


def test_openai_gets_data_urls_and_recordings_as_parts_before_the_text() -> None:
    backend = openai.Backend(settings_for("127.0.0.1:1"))
    message = {"role": "user", "content": "what?", "media": [PNG, WAV, MP4]}
    plain, shown = sent(backend, [MESSAGES[0], message])
    assert plain == MESSAGES[0]
    assert shown["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
        {"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,bXA0"}},
        {"type": "text", "text": "what?"},
    ]


@pytest.mark.parametrize(
    ("details", "tokens"),
    [
        ({"cached_tokens": 1}, None),
        ({"image_tokens": 576}, 576),
        ({"image_tokens": 500, "audio_tokens": 20}, 520),
        ({"image_tokens": 10**9}, None),  # more than the whole prompt
    ],
)
def test_tokens_of_media_are_taken_apart_where_the_server_counts_them(
    details: dict[str, int], tokens: int | None
) -> None:
    usage = {"prompt_tokens": 600, "completion_tokens": 1, "prompt_tokens_details": details}
    facade = LlamaCppFacade(usage=usage, timings=None, server="other")
    with ScriptedServer(facade) as server:
        (trace,) = asyncio.run(ask(openai.Backend(settings_for(f"{server.host}/v1"))))
    assert trace.usage.media == tokens


@pytest.mark.parametrize(
    ("props", "told"),
    [
        ({"modalities": {"vision": True, "audio": False}}, ("completion", "vision")),
        ({"modalities": {"vision": False, "audio": False}}, ("completion",)),
        ({"chat_template": "<think>"}, ("thinking",)),
        ({}, ()),
    ],
)
def test_llama_cpp_tells_what_its_model_takes(props: dict[str, Any], told: tuple[str, ...]) -> None:
    facade = LlamaCppFacade(props=props or {"total_slots": 1})  # type: ignore[arg-type]
    with ScriptedServer(facade) as server:
        backend = openai.Backend(settings_for(f"{server.host}/v1"))

        async def described() -> Model:
            await backend.server()
            return await backend.describe(facade.model)

        assert asyncio.run(described()).capabilities == told


def test_a_probe_counts_the_tokens_of_a_medium_by_the_difference() -> None:
    facade = _Counting(capabilities=("completion", "vision"))
    with ScriptedServer(facade) as server:
        backend = ollama.Backend(settings_for(server.host))
        found = asyncio.run(_probe.sent(backend, TINY, image))
    assert (found["prompt_tokens"], found["reported_tokens"], found["width"]) == (256, None, 336)


def test_a_probe_that_fails_alike_without_a_medium_is_no_refusal() -> None:
    facade = _Counting(broken=True)
    with ScriptedServer(facade) as server:
        backend = ollama.Backend(settings_for(server.host))
        found = asyncio.run(_probe.sent(backend, TINY, image))
    assert found["prompt_tokens"] is None


def test_a_server_that_tells_nothing_is_not_refused_before_it_is_asked() -> None:
    server = Server("ollama", None, "http://here", local=True)
    _probe.check_capability(Model("tiny", "tiny"), server, image)
    blind = Model("tiny", "tiny", capabilities=("completion", "tools"))
    with pytest.raises(ServerError, match="has completion, tools: choose a model with vision"):
        _probe.check_capability(blind, server, image)


def test_text_around_media_and_text_like_a_mark_stay_as_they_are() -> None:
    backend = openai.Backend(settings_for("127.0.0.1:1"))
    raws = [bytes(range(256)) * n for n in (0, 1, 9)]
    media = [Medium("image", "image/png", base64_of(raw), {}) for raw in raws]
    text = "caf\u00e9 \U0001f600 -1- 0123456789abcdef-2-"
    (message,) = sent(backend, [{"role": "user", "content": text, "media": media}])
    *parts, last = message["content"]
    assert last == {"type": "text", "text": text}
    urls = [part["image_url"]["url"].partition(",")[2] for part in parts]
    assert [base64.b64decode(url) for url in urls] == [medium.raw for medium in media] == raws


def test_a_medium_is_sent_without_a_copy() -> None:
    """A copy of many megabytes takes as long as their base64."""
    medium = Medium("image", "image/png", base64_of(b"png" * 1000), {})
    for backend in (ollama.Backend(settings_for("h:1")), openai.Backend(settings_for("h:1"))):
        payload = backend.payload(TINY, [{"role": "user", "content": "?", "media": [medium]}])
        assert any(part is medium.data.parts[0] for part in payload)


def test_a_medium_with_another_byte_has_another_key() -> None:
    one, two = (Medium("image", "image/png", base64_of(raw), {}) for raw in (b"one", b"two"))
    keys = [identified({"model": "a"}, [medium]) for medium in (one, two, one)]
    assert keys[0] == keys[2] != keys[1]
    assert identified({"model": "a"}, []) == {"model": "a"}
