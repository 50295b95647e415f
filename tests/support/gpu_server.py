"""A model server on a machine whose GPU has a known size: what of a model is on it, how fast it is.

`Gpu` decides what a context takes. `GpuBackend` answers in this process, in time that exists in
numbers only. `GpuOllama` answers over Ollama's wire, at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.backends._base import Held
from pytest_llamaburn.errors import ServerError
from support.rated_server import Cost, Rated, RatedBackend
from support.scripted import OllamaFacade, Request, Steps, sized

if TYPE_CHECKING:
    from pytest_llamaburn.backends._base import Message, Model
    from pytest_llamaburn.trace import Event

LAYERS, WIDTH, INNER, HEADS, KV_HEADS = 4, 256, 512, 4, 2
PER_TOKEN = LAYERS * 2 * KV_HEADS * (WIDTH // HEADS) * 2  # bytes of keys and values
INFO: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.block_count": LAYERS,
    "llama.context_length": 32768,
    "llama.embedding_length": WIDTH,
    "llama.feed_forward_length": INNER,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KV_HEADS,
    "llama.vocab_size": 1000,
}
TENSORS: list[Any] = [
    {"name": "token_embd.weight", "type": "F16", "shape": [WIDTH, 1000]},
    *({"name": f"blk.{n}.ffn_up.weight", "type": "F16", "shape": [WIDTH, 9000]} for n in range(4)),
]
WEIGHTS = WIDTH * 1000 * 2 + 4 * WIDTH * 9000 * 2


def taken(num_ctx: int) -> int:
    """Return the bytes that the model takes with a context, as llama.cpp would."""
    cells = -(-num_ctx // 256) * 256
    compute = 512 * 4 * (5 * WIDTH + 3 * INNER) + 512 * 2 * cells + 4000
    return WEIGHTS + PER_TOKEN * cells + compute


@dataclass
class Gpu:
    """A GPU that holds the model with `holds` tokens of context, or no GPU.

    A token takes `fast_ms` on it; with each layer beside it, `slower` times as long. Contexts above
    `breaks` cannot be loaded.
    """

    holds: int | None = 8192
    fast_ms: float = 10.0
    slower: float = 2.0
    breaks: int | None = None
    loads: list[int] = field(default_factory=list)

    def layers_beside(self, num_ctx: int) -> int:
        """Return how many layers are not on the GPU: one for each 4096 tokens too many."""
        if self.holds is None:
            return LAYERS
        return min(LAYERS, -(-max(0, num_ctx - self.holds) // 4096))

    def held(self, num_ctx: int) -> tuple[int, int]:
        """Return the size of the model and the part of it that is on the GPU."""
        total = taken(num_ctx)
        return total, total * (LAYERS - self.layers_beside(num_ctx)) // LAYERS

    def token_ms(self, num_ctx: int) -> float:
        """Return the time for a token of an answer."""
        return self.fast_ms * self.slower ** self.layers_beside(num_ctx)


class GpuBackend(RatedBackend):
    """The backend of such a server, in time that exists in numbers only."""

    can_unload = True

    def __init__(self, gpu: Gpu, settings: Any) -> None:
        super().__init__(Rated(context=None), settings)
        self.gpu = gpu
        self.options: dict[str, Any] = {}

    async def free(self, model: Model) -> None:
        """Unload it."""

    async def load(self, model: Model) -> None:
        self.gpu.loads.append(self.settings.num_ctx)
        if self.gpu.breaks and self.settings.num_ctx > self.gpu.breaks:
            raise ServerError("the server is out of memory")

    async def held(self, model: Model) -> Held:
        return Held(*self.gpu.held(self.settings.num_ctx))

    def _events(self, cost: Cost) -> list[Event]:
        self.rated.write_ms = self.gpu.token_ms(self.settings.num_ctx)
        return super()._events(cost)

    def payload(self, model: Model, messages: list[Message]) -> bytes:
        return json.dumps({"messages": messages, "max": self.settings.max_tokens}).encode()


@dataclass
class GpuOllama(OllamaFacade):
    """The same server over Ollama's wire; it answers at once."""

    gpu: Gpu = field(default_factory=Gpu)
    info: dict[str, Any] = field(default_factory=lambda: dict(INFO))

    def __call__(self, request: Request) -> Steps:
        if request.path == "/api/show":
            about = {"model_info": self.info, "tensors": TENSORS, "capabilities": ["completion"]}
            return [sized(200, about)]
        if request.path == "/api/tags":
            return [sized(200, {"models": [{"name": self.model, "size": WEIGHTS + 1000}]})]
        if request.path == "/api/chat" and "options" in request.json:
            num_ctx = request.json["options"]["num_ctx"]
            if not request.json["messages"]:
                self.gpu.loads.append(num_ctx)
                if self.gpu.breaks and num_ctx > self.gpu.breaks:
                    words = "llama-server process has terminated: out of memory"
                    return [sized(500, {"error": words})]
            total, on_gpu = self.gpu.held(num_ctx)
            self.held = {"size": total, "size_vram": on_gpu, "context_length": num_ctx}
        return super().__call__(request)
