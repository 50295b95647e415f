"""Servers at every kind of address: over IPv6, behind proxies' paths, under other roots."""

from __future__ import annotations

import asyncio
import json
import re
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
    settings_for,
    sized,
)

from pytest_llamaburn.backends import _detect, openai
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.judges import openai as judges_openai
from pytest_llamaburn.judges._base import Spec


def hosts_of(server: ScriptedServer) -> list[str]:
    """Return the Host header of each request."""
    found = [re.search(rb"\r\nhost: ([^\r]*)\r\n", r, re.IGNORECASE) for r in server.requests]
    return [match[1].decode() if match else "" for match in found]


class Strict(OllamaFacade):
    """Ollama, which refuses a Host header that is no name of this machine."""

    server: ScriptedServer

    def __call__(self, request: Request) -> Steps:
        name = hosts_of(self.server)[request.number]
        good = re.fullmatch(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", name)
        return super().__call__(request) if good else [sized(403)]


@pytest.mark.parametrize("at", ["::1", "127.0.0.1"])
@pytest.mark.parametrize("form", ["", "http://"])
def test_timed_and_untimed_calls_name_the_host_alike_and_as_ollama_takes_it(
    at: str, form: str
) -> None:
    names = {"::1": ("[::1]", "[::]", "[0:0:0:0:0:0:0:1]"), "127.0.0.1": ("127.0.0.1", "0.0.0.0")}  # noqa: S104 - nothing is bound
    facade = Strict()
    with ScriptedServer(facade, at=at) as facade.server:
        for name in names[at]:
            backend = asyncio.run(
                _detect.at_host(settings_for(f"{form}{name}:{facade.server.port}"))
            )
            model = asyncio.run(backend.describe("tiny"))
            [trace] = asyncio.run(ask(backend))
            assert (model.id, trace.failure) == ("tiny:latest", None)
            assert asyncio.run(backend.server()).local
        expected = facade.server.host.removeprefix("http://")
        assert {*hosts_of(facade.server)} == {expected}


def test_a_name_beyond_ascii_is_sent_as_the_network_knows_it() -> None:
    payload = openai.Backend(settings_for("http://bücher.example/v1")).payload(Model("m", "m"), [])[
        0
    ]
    assert b"\r\nHost: xn--bcher-kva.example\r\n" in payload
    assert payload.startswith(b"POST /v1/chat/completions ")


@dataclass
class Under(LlamaCppFacade):
    """A server whose API has another root than `/v1`."""

    root: str = "/v3"
    server: str = "uvicorn"

    def __call__(self, request: Request) -> Steps:
        if not request.path.startswith(f"{self.root}/"):
            return [sized(404, "<html>Not here</html>", server=self.server)]
        return super().__call__(request._replace(path="/v1" + request.path[len(self.root) :]))


ROOTS = ["/v1", "", "/v3", "/v1beta/openai", "/api/paas/v4", "/api", "/proxy/v1"]


@pytest.mark.parametrize("call", ["", "/", "/chat/completions", "/models", "/completions/"])
@pytest.mark.parametrize("root", ROOTS)
def test_the_address_is_the_root_of_the_api_with_or_without_a_call(root: str, call: str) -> None:
    with ScriptedServer(Under(root=root)) as server:
        backend = asyncio.run(_detect.at_host(settings_for(f"{server.host}{root}{call}")))
        found = asyncio.run(backend.server())
        [model] = asyncio.run(backend.models())
        [trace] = asyncio.run(ask(backend))
    assert (found.kind, found.host) == ("openai", f"{server.host}{root}")
    assert (model.id, trace.text) == ("tiny:latest", "Red, green.")


@pytest.mark.parametrize("above", ["", "/proxy"])
def test_an_api_one_level_below_is_found_and_its_root_is_told(above: str) -> None:
    with ScriptedServer(Under(root=f"{above}/v1")) as server:
        backend = openai.Backend(settings_for(server.host + above))
        [model] = asyncio.run(backend.models())
        assert (model.id, backend.address.url) == ("tiny:latest", f"{server.host}{above}/v1")


def test_what_lies_beside_the_api_is_asked_there() -> None:
    with ScriptedServer(LlamaCppFacade(slots=3)) as server:
        backend = openai.Backend(settings_for(f"{server.host}/v1"))
        assert asyncio.run(backend.server()).kind == "llama.cpp"
        assert asyncio.run(backend.slots()) == 3


def test_a_twin_asks_nothing_again() -> None:
    with ScriptedServer(Under(root="/v3")) as server:
        backend = openai.Backend(settings_for(f"{server.host}/v3"))
        asyncio.run(backend.server())
        asked = len(server.requests)
        twin = openai.Backend(settings_for(f"{server.host}/v3"))
        twin.connect_to(json.loads(json.dumps(backend.connection_info())))
        [trace] = asyncio.run(ask(twin))
    assert trace.failure is None
    assert len(server.requests) == asked + 1


def test_where_nothing_lists_models_the_first_place_is_named() -> None:
    with ScriptedServer([sized(404)]) as server:
        backend = openai.Backend(settings_for(f"{server.host}/v3"))
        with pytest.raises(ServerError, match=r"/v3/models has no model list in OpenAI's format$"):
            asyncio.run(backend.models())


@pytest.mark.parametrize("path", ["", "/", "/v1", "/api", "/api/", "/api/chat", "/api/generate"])
def test_either_root_of_ollama_and_its_calls_mean_the_server(path: str) -> None:
    facade: Any = OllamaFacade()
    with ScriptedServer(facade) as server:
        backend = asyncio.run(_detect.at_host(settings_for(server.host + path)))
        assert asyncio.run(backend.server()).host == server.host
        assert asyncio.run(backend.describe("tiny")).id == "tiny:latest"


@pytest.mark.parametrize("path", ["", "/v1", "/v1/", "/v1/chat/completions"])
def test_a_judge_s_address_may_name_a_call_too(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    judge = judges_openai.Judge(Spec("openai", "m", f"http://box:8080{path}".rstrip("/")))
    assert str(judge._client.base_url) == "http://box:8080/v1/"
