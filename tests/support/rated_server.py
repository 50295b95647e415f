"""A model server of known rates: it counts words as tokens, and has a prompt cache and a context.

`Rated` decides what a request costs. `RatedBackend` answers in this process, in time that exists in
numbers only, so that what is measured is exact. `RatedFacade` answers over the wire, at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.trace import (
    Delta,
    Event,
    Failed,
    Finished,
    Headers,
    Sent,
    ServerTimings,
    Trace,
    Usage,
    fold,
)
from support.fake_backend import FakeWire
from support.scripted import LlamaCppFacade, Request, Steps, openai_stream, sized

if TYPE_CHECKING:
    from pytest_llamaburn.backends._base import Message, Model

MS = 1_000_000
STEP = 256  # the rates change with the depth in steps, so that they are the same for near depths
OVERFLOW = "context_overflow"
REFUSAL = "request ({} tokens) exceeds the available context size ({} tokens), try increasing it"


class Cost(NamedTuple):
    """What a request comes to: its tokens, and how it fails."""

    prompt: int
    cached: int
    written: int
    failure: str | None = None


@dataclass
class Rated:
    """A server; rates in ms per token, which grow by the share `slower` for each token of depth.

    `overflow` is what it does with a prompt beyond its context: refuses or truncates. `crossing` is
    what it does with an answer that would leave it: stops, shifts or breaks.
    """

    read_ms: float = 0.5
    write_ms: float = 10.0
    overhead_ms: float = 7.0
    slower: float = 0.0
    head: int = 20
    context: int | None = 4096
    caches: bool = True
    overflow: str = "refuses"
    crossing: str = "stops"
    cache: list[str] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)

    def cost(self, messages: list[Message], max_tokens: int) -> Cost:
        """Return what a request comes to; the cache holds its tokens afterwards."""
        tokens = ["<head>"] * self.head
        for message in messages:
            tokens += [f"<{message['role']}>", *str(message["content"]).split()]
        self.asked.append(tokens)
        room = self.context or len(tokens) + max_tokens
        if len(tokens) >= room:
            if self.overflow == "refuses":
                return Cost(len(tokens), 0, 0, REFUSAL.format(len(tokens), room))
            tokens = tokens[: self.head] + tokens[-room // 2 :]
        cached = min(_common(tokens, self.cache), len(tokens) - 1) if self.caches else 0
        left, failure = room - len(tokens), None
        if max_tokens > left and self.crossing != "shifts":
            max_tokens = left
            failure = "Context size has been exceeded." if self.crossing == "breaks" else None
        words = [f"w{number}" for number in range(max_tokens)]
        self.cache = [*tokens, "<assistant>", *words]
        return Cost(len(tokens), cached, max_tokens, failure)

    def read(self, cost: Cost) -> float:
        """Return the time to the first token in ms."""
        return self.overhead_ms + self._at(cost.cached, self.read_ms) * (cost.prompt - cost.cached)

    def gap(self, cost: Cost) -> float:
        """Return the time between two tokens of the answer in ms."""
        return self._at(cost.prompt, self.write_ms)

    def _at(self, depth: int, per_token_ms: float) -> float:
        return per_token_ms * (1 + self.slower * STEP * round(depth / STEP))


def _common(one: list[str], other: list[str]) -> int:
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


class RatedBackend:
    """The backend of such a server, in time that exists in numbers only."""

    def __init__(self, rated: Rated, settings: Any) -> None:
        self.rated, self.settings = rated, settings
        self.notes: dict[str, None] = {}

    async def loaded(self) -> None:
        return None

    def wire(self) -> FakeWire:
        return FakeWire()

    def payload(self, model: Model, messages: list[Message]) -> bytes:
        return json.dumps({"messages": messages, "max": self.settings.max_tokens}).encode()

    async def stream(self, wire: FakeWire, payload: bytes) -> Trace:
        asked = json.loads(payload)
        cost = self.rated.cost(asked["messages"], asked["max"])
        return fold(self._events(cost), None, len(payload))

    def _events(self, cost: Cost) -> list[Event]:
        first = self.rated.read(cost)
        at = [round((first + n * self.rated.gap(cost)) * MS) for n in range(cost.written)]
        end = at[-1] if at else round(first * MS)
        failed = Failed(end, OVERFLOW, "stream", 400, cost.failure) if cost.failure else None
        timings = ServerTimings(
            prompt_ms=first - self.rated.overhead_ms,
            prompt_tokens=cost.prompt - cost.cached,
            eval_ms=(cost.written - 1) * self.rated.gap(cost) or None,
            eval_tokens=cost.written,
        )
        return [
            Sent(0),
            Headers(1, 200),
            *(Delta(stamp, "content", f"w{n} ") for n, stamp in enumerate(at)),
            Usage(cost.prompt, cost.cached, cost.written),
            timings,
            failed or Finished(end, "length"),
        ]


@dataclass
class RatedFacade(LlamaCppFacade):
    """The same server over llama.cpp's wire; it answers at once."""

    rated: Rated = field(default_factory=Rated)

    def __call__(self, request: Request) -> Steps:
        if request.path != "/v1/chat/completions":
            return super().__call__(request)
        asked = request.json
        cost = self.rated.cost(asked["messages"], asked["max_tokens"])
        if cost.failure:
            about = {"code": 400, "message": cost.failure, "type": "exceed_context_size_error"}
            return [sized(400, {"error": about}, server="llama.cpp")]
        usage = {
            "prompt_tokens": cost.prompt,
            "completion_tokens": cost.written,
            "prompt_tokens_details": {"cached_tokens": cost.cached},
        }
        texts = [f"w{number} " for number in range(cost.written)]
        return openai_stream(texts, usage, None)
