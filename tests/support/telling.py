"""Models with known probabilities of the next token: in this process, and over servers' wires."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.backends._address import parse_host
from pytest_llamaburn.trace import Usage
from support.fleet import Fleet, Member, OllamaFleet
from support.scripted import LlamaCppFacade, Request, Steps, sized

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_llamaburn.backends._base import Likely, Model
    from pytest_llamaburn.trace import Trace
    from support.fake_backend import FakeWire


class Told(NamedTuple):
    """What a model tells of the token after a text, and how many tokens the text has to it."""

    chances: Mapping[str, float]
    tokens: int | None = None


def ranked(chances: Mapping[str, float], count: int) -> Likely:
    """Return the likeliest tokens, as a server tells them."""
    found = sorted(chances.items(), key=lambda one: -one[1])[:count]
    return [(token, math.log(p)) for token, p in found if p > 0]


@dataclass
class Tellers(Fleet):
    """Models in this process: `tell` has the probabilities by model and text."""

    tell: Callable[[str, str], Told] = lambda _, __: Told({" a": 1.0})
    given: Callable[[str, str], list[float] | None] = lambda _, __: None
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def connect(self, settings: Any, name: str) -> Teller:
        return Teller(self, settings, name)


class Teller(Member):
    """The backend of one of them."""

    address = parse_host("http://127.0.0.1:1")

    def __init__(self, tellers: Tellers, settings: Any, name: str) -> None:
        super().__init__(tellers, settings, name)
        self._tellers = tellers

    async def next_token(
        self, wire: FakeWire, model: Model, text: str, count: int
    ) -> tuple[Trace, Likely]:
        self._tellers.asked.append((model.id, text))
        told = self._tellers.tell(model.id, text)
        trace = await self.stream(wire, self.payload(model, [{"role": "user", "content": text}]))
        trace.usage = Usage(told.tokens, 0, 1)
        return trace, ranked(told.chances, count)

    async def text_logprobs(self, model: Model, text: str) -> list[float] | None:
        return self._tellers.given(model.id, text)


@dataclass
class OllamaTellers(OllamaFleet):
    """Ollama with such models, `a:latest` and `b:latest`; without `tells` it is an older one."""

    tell: Callable[[str, str], Told] = lambda _, __: Told({" a": 1.0})
    tells: tuple[str, ...] = ("a:latest", "b:latest")

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/generate":
            return super().__call__(request)
        asked = request.json
        assert asked["raw"]
        told = self.tell(asked["model"], asked["prompt"])
        likely = ranked(told.chances, asked["top_logprobs"])
        top = [{"token": token, "logprob": logprob} for token, logprob in likely]
        logprobs = {"logprobs": [{**top[0], "top_logprobs": top}]}
        answer = {"response": likely[0][0], "done": True, "done_reason": "length"}
        counts = {"prompt_eval_count": told.tokens, "eval_count": 1}
        more = logprobs if asked["model"] in self.tells else {}
        return [sized(200, {"model": asked["model"], **answer, **counts, **more})]


@dataclass
class Echoing(LlamaCppFacade):
    """A server in the way of vLLM: the older format of probabilities, and those of a prompt."""

    owner: str = "vllm"
    server: str = "uvicorn"
    per_token: float = -1.0
    names: tuple[str, ...] = ("a", "b")
    wrong: Mapping[str, Any] = field(default_factory=dict)  # of the logprobs of an echo

    def __call__(self, request: Request) -> Steps:
        if request.path == "/v1/models":
            listed = [{"id": name, "owned_by": self.owner} for name in self.names]
            return [sized(200, {"object": "list", "data": listed})]
        if request.path != "/v1/completions":
            return super().__call__(request)
        asked = request.json
        tokens = asked["prompt"].split(" ")
        usage = {"prompt_tokens": len(tokens), "completion_tokens": 1}
        logprobs: dict[str, Any] = {"top_logprobs": [{" b": -1.5, " a": -0.5}]}
        text = " a"
        if asked.get("echo"):
            text = asked["prompt"] + text
            values = [None, *[self.per_token] * (len(tokens) - 1), -0.5]
            logprobs = {"token_logprobs": values, **self.wrong}
        choice = {"index": 0, "text": text, "finish_reason": "length", "logprobs": logprobs}
        return [sized(200, {"choices": [choice], "usage": usage})]
