"""A model server whose speed is a known function of its options.

`Tuned` decides how long a token takes. `TunedBackend` answers in this process, in time that exists
in numbers only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_llamaburn.errors import ServerError
from support.rated_server import Cost, Rated, RatedBackend
from support.scripted import OllamaFacade, Request, Steps

if TYPE_CHECKING:
    from pytest_llamaburn.backends._base import Model
    from pytest_llamaburn.trace import Event


class WordCounting(OllamaFacade):
    """An Ollama that counts the words of a prompt as its tokens, and ten more."""

    def __call__(self, request: Request) -> Steps:
        """Return the steps for a request."""
        asked = request.json if request.path == "/api/chat" else {}
        if asked.get("messages"):
            words = sum(len(str(message["content"]).split()) for message in asked["messages"])
            self.final = {"prompt_eval_count": words + 10, "eval_count": 2}
        return super().__call__(request)


@dataclass
class Tuned:
    """A server: each value of an option, as `num_thread=4`, multiplies all times by its factor.

    `noise` is the relative standard deviation of a load, `drift` how much slower each further load
    is than the one before. Settings in `broken` cannot be loaded.
    """

    factors: dict[str, float] = field(default_factory=dict)
    noise: float = 0.0
    drift: float = 0.0
    broken: tuple[str, ...] = ()
    luck: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    loads: list[dict[str, Any]] = field(default_factory=list)
    now: float = 1.0

    def load(self, options: dict[str, Any]) -> None:
        """Load the model with these options."""
        words = [f"{name}={value}" for name, value in options.items()]
        if any(word in self.broken for word in words):
            raise ServerError("the runner has terminated")
        self.loads.append(dict(options))
        known = math.prod(self.factors.get(word, 1.0) for word in words)
        slower = (1 + self.drift) ** len(self.loads)
        self.now = known * slower * math.exp(self.luck.normal(0, self.noise))


class TunedBackend(RatedBackend):
    """The backend of such a server, in time that exists in numbers only."""

    can_unload = True

    def __init__(self, tuned: Tuned, settings: Any) -> None:
        super().__init__(Rated(context=None), settings)
        self.tuned = tuned
        self.options: dict[str, Any] = {}

    async def free(self, model: Model) -> None:
        """Unload it."""

    async def load(self, model: Model) -> None:
        self.tuned.load(self.options)

    def _events(self, cost: Cost) -> list[Event]:
        now = self.tuned.now
        self.rated.write_ms, self.rated.read_ms, self.rated.overhead_ms = 10 * now, now / 2, 7 * now
        return super()._events(cost)
