"""Judges on local servers: Ollama's own wire, its limits and its failures."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.judge_servers import judging, verdict_json
from support.scripted import (
    Close,
    Hang,
    LlamaCppFacade,
    OllamaFacade,
    Request,
    ScriptedServer,
    Steps,
    sized,
)

from pytest_llamaburn.backends import embedded
from pytest_llamaburn.errors import ModelError, ServerError
from pytest_llamaburn.judges import Case, Judgment, Panel
from pytest_llamaburn.judges._base import Usage

CASE = Case("What is the capital of France?", "It is Paris.", "Paris")


@dataclass
class Ollama(OllamaFacade):
    """An Ollama whose chat answers whole, with the given replies in turn."""

    replies: tuple[dict[str, Any] | Steps, ...] = ()
    calls: list[Any] = field(default_factory=list)

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/chat":
            return super().__call__(request)
        self.calls.append(request.json)
        reply = self.replies[min(len(self.calls), len(self.replies)) - 1]
        return [sized(200, reply)] if isinstance(reply, dict) else reply


def chat_reply(text: str, **fields: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    counts = {"prompt_eval_count": 700, "eval_count": 90}
    done = {"done": True, "done_reason": "stop", **counts}
    return {"model": "tiny:latest", "message": message, **done, **fields}


def local_judgment(fake: Ollama, model: str = "tiny", case: Case = CASE, **values: Any) -> Judgment:
    async def work(name: str) -> Judgment:
        panel = Panel.of(judging(judge=(name,), **values), no_sleep)
        try:
            return (await panel.judge(case, "accuracy")).judgments[0]
        finally:
            await panel.close()

    with ScriptedServer(fake) as server:
        return asyncio.run(work(f"ollama:{model}@{server.host}"))


async def no_sleep(seconds: float) -> None:
    """Go on at once."""


def test_ollama_is_held_to_the_schema_at_temperature_zero_with_room_for_the_answer() -> None:
    fake = Ollama(replies=(chat_reply(verdict_json(4)),))
    found = local_judgment(fake)
    assert (found.state, found.score, found.model_served) == ("scored", 4, "tiny:latest")
    assert found.usage == Usage(input=700, output=90)
    assert (found.cost_usd, found.temperature) == (
        None,
        {"requested": 0.0, "sent": 0.0, "reason": None},
    )
    (call,) = fake.calls
    assert call["format"]["properties"]["score"]["enum"] == [1, 2, 3, 4, 5]
    assert (call["stream"], call["think"]) == (False, False)
    assert call["options"].items() >= {"temperature": 0.0, "num_ctx": 8192, "seed": 0}.items()
    assert call["options"]["num_predict"] == 4096


def test_ollama_may_be_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Ollama(replies=(chat_reply(verdict_json(4)),))

    async def work() -> list[str]:
        panel = Panel.of(judging(judge=("ollama:tiny",)))
        await panel.open()
        assert (await panel.judge(CASE, "accuracy")).score == 4
        return panel.notes

    with ScriptedServer(fake) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        assert asyncio.run(work()) == ["judge ollama:tiny has digest 765525e6"]


def test_answer_that_does_not_fit_the_judges_context_is_not_sent() -> None:
    fake = Ollama(replies=(chat_reply(verdict_json(4)),))
    found = local_judgment(fake, case=CASE._replace(answer="word " * 8000))
    assert (found.state, found.score) == ("api_error", None)
    assert found.error
    assert found.error["kind"] == "context_overflow"
    assert (found.calls, found.cost_usd) == (0, 0.0)
    assert fake.calls == []


def test_long_answer_leaves_the_verdict_the_rest_of_the_context() -> None:
    fake = Ollama(replies=(chat_reply(verdict_json(4)),))
    assert local_judgment(fake, case=CASE._replace(answer="word " * 4000)).score == 4
    assert 256 < fake.calls[0]["options"]["num_predict"] < 1000


def test_thinking_that_a_model_cannot_switch_off_is_not_asked_to_be() -> None:
    refusal: Steps = [sized(400, {"error": '"tiny" does not support thinking'})]
    fake = Ollama(replies=(refusal, chat_reply(verdict_json(4))))
    assert local_judgment(fake).score == 4
    assert "think" not in fake.calls[1]


@pytest.mark.parametrize(
    ("reply", "state", "kind"),
    [
        (chat_reply("{", done_reason="length"), "truncated", "max_tokens"),
        (chat_reply("I like it."), "parse_error", "parse_error"),
        ([sized(200, "<html>")], "api_error", "malformed"),
        ([sized(404, {"error": "model 'tiny' not found"})], "api_error", "not_found"),
        ([sized(500, "it broke")], "api_error", "server_error"),
        ([sized(503, {"error": "busy"})], "api_error", "overloaded"),
        ([Close()], "api_error", "connection"),
    ],
)
def test_what_goes_wrong_is_a_state(reply: Any, state: str, kind: str) -> None:
    found = local_judgment(Ollama(replies=(reply,)))
    assert (found.state, found.score, (found.error and found.error["kind"])) == (state, None, kind)


def test_hanging_ollama_is_a_timeout() -> None:
    found = local_judgment(Ollama(replies=([Hang()],)), judge_timeout=0.3, judge_retries=0)
    assert (found.state, (found.error and found.error["kind"])) == ("api_error", "timeout")


def test_model_that_ollama_does_not_have_ends_the_run() -> None:
    with pytest.raises(ModelError, match="big"):
        local_judgment(Ollama(), model="big")


def test_judge_that_thinks_in_its_text_is_understood() -> None:
    text = f"<think>The answer {{is}} right.</think>\n{verdict_json(5)}"
    assert local_judgment(Ollama(replies=(chat_reply(text),))).score == 5


def test_local_judge_needs_no_price_under_a_cost_limit() -> None:
    assert (
        local_judgment(Ollama(replies=(chat_reply(verdict_json(2)),)), max_judge_cost=0.01).score
        == 2
    )


def probed(script: Any, model: str = "tiny") -> str:
    """Probe a judge; return its name."""

    async def work(name: str) -> str:
        await Panel.of(judging(judge=(name,))).probe()
        return name

    with ScriptedServer(script) as server:
        return asyncio.run(work(f"ollama:{model}@{server.host}"))


def test_look_up_neither_loads_nor_asks() -> None:
    fake = Ollama()
    probed(fake)
    assert (fake.loads, fake.calls) == (0, [])


def test_look_up_speaks_of_the_judge() -> None:
    with pytest.raises(ModelError, match=r"^--judge ollama:big@http\S+: \S+ has no model 'big'"):
        probed(Ollama(), "big")
    with pytest.raises(
        ServerError, match=r"does not answer like Ollama: try --judge openai:m@http://127\.0\.0"
    ):
        probed(LlamaCppFacade(), "m")
    with socket.create_server(("127.0.0.1", 0)) as free:
        name = f"ollama:m@http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ServerError) as raised:
        asyncio.run(Panel.of(judging(judge=(name,))).probe())
    assert str(raised.value).startswith(f"--judge {name}: no server at http://127.0.0.1:")
    assert "--host" not in str(raised.value)


def test_ollama_that_is_lost_for_a_moment_is_no_reason() -> None:
    probed([Close()])


def test_embedded_judge_is_looked_for_without_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _: True)
    with pytest.raises(ModelError, match=r"^--judge embedded:no\.gguf: no\.gguf does not exist$"):
        asyncio.run(Panel.of(judging(judge=("embedded:no.gguf",))).probe())
