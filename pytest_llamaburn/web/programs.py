"""Programs of clients, which are answers of models: each runs in the sandbox, one at a time."""

from __future__ import annotations

import asyncio
import math
import sys
from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from pytest_llamaburn.sandbox import Limits
from pytest_llamaburn.web import child
from pytest_llamaburn.web.refusals import Refusal

_SANDBOX = (sys.executable, "-m", "pytest_llamaburn.sandbox")
_MOST_CHARACTERS = 200_000
_LEAVES_S = 1.0  # until the server knows that a client has left, and its program has ended


class Program(BaseModel):
    """A whole program to run without network, files and input, and its limits."""

    model_config = ConfigDict(extra="forbid")

    language: Literal["python", "javascript", "c"] = "python"
    code: Annotated[str, Field(min_length=1, max_length=_MOST_CHARACTERS)]
    timeout_s: Annotated[float, Field(ge=0.1, le=10)] = 10.0
    memory_mb: Annotated[int, Field(ge=64, le=1024)] = 512


class Ended(BaseModel):
    """How a program ended, what it printed, its run time and its largest memory where known.

    `state` is `finished`, `assertion`, `exception`, `memory`, `exit`, `timeout`, `output` (it
    printed too much), `crash` or `uncompiled`. `message` has the error, `memory_reason` why the
    memory is not known.
    """

    state: str
    message: str
    output: str
    runtime_ms: float | None
    peak_memory_mb: float | None
    memory_reason: str


class Programs:
    """Runs one program at a time. Used on one event loop."""

    def __init__(self) -> None:
        """Run nothing yet."""
        self._running: asyncio.Task[child.Said] | None = None
        self._closed = False

    async def run(self, program: Program) -> Ended:
        """Return how a program ended; it is killed if this is cancelled.

        Raises Refusal while another runs, and where this machine cannot confine a program.
        """
        if self._running is not None:  # perhaps its client has just left
            await asyncio.wait((self._running,), timeout=_LEAVES_S)
        if self._running is not None:
            raise Refusal(409, "another program runs: wait until it ends, at most 10 s")
        self._running = asyncio.create_task(_run(program))
        try:
            said = await self._running
        except asyncio.CancelledError:
            if self._closed:
                raise Refusal(503, "the server is being stopped") from None
            raise
        finally:
            self._running = None
        if said.code:
            raise Refusal(422, said.sentence)
        return Ended(**msgspec.json.decode(said.stdout))

    def close(self) -> None:
        """Kill the program that runs."""
        self._closed = True
        if self._running is not None:
            self._running.cancel()


async def _run(program: Program) -> child.Said:
    limits = Limits(program.timeout_s, math.ceil(program.timeout_s), program.memory_mb)
    return await child.told(_SANDBOX, msgspec.json.encode((program.code, program.language, limits)))
