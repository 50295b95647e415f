"""A backend that stands for a server, for what sends to one in this process."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.datasets import Prompt
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.option import model_of
from support.benchmark_documents import trace_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pytest_llamaburn.backends._base import Model
    from pytest_llamaburn.trace import Trace

PROMPTS = [Prompt("one", "short", "One?"), Prompt("two", "short", "Two?")]


class FakeWire:
    async def open(self) -> None:
        return None

    def close(self) -> None:
        return None


class FakeBackend:
    """A server that answers at once, or as it is told to."""

    def __init__(self, answer: Callable[[], Awaitable[Trace]] | None = None, **asked: Any) -> None:
        self.settings = model_of(Stress)(**asked)
        self.bodies: list[Any] = []
        self._answer = answer

    def wire(self) -> FakeWire:
        return FakeWire()

    def payload(self, model: Model, messages: Any) -> bytes:
        return json.dumps(messages).encode()

    async def stream(self, wire: FakeWire, payload: bytes) -> Trace:
        self.bodies.append(json.loads(payload))
        await asyncio.sleep(0)
        return await self._answer() if self._answer else trace_of()
