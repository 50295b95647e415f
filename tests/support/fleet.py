"""Several models on one machine: in this process with known speeds, and over Ollama's wire."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.backends._base import Model, Server
from pytest_llamaburn.errors import ServerError
from support.rated_server import Rated, RatedBackend
from support.scripted import OllamaFacade, Request, Steps, ollama_line, sized

if TYPE_CHECKING:
    from collections.abc import Mapping


class Member(RatedBackend):
    """A backend with one of the models of a fleet."""

    can_unload = True

    def __init__(self, fleet: Fleet, settings: Any, name: str) -> None:
        super().__init__(fleet.rated(name), settings)
        self._fleet, self._name = fleet, name

    async def server(self) -> Server:
        return Server("ollama", "0", "http://127.0.0.1:1", local=True)

    async def describe(self, name: str) -> Model:
        return Model(name, name, digest=name)

    async def load(self, model: Model) -> None:
        self._fleet.events.append(("load", model.id))
        if model.id in self._fleet.broken:
            raise ServerError(f"{model.id} does not fit into memory")

    async def unload(self, model: Model) -> None:
        self._fleet.events.append(("unload", model.id))

    def close(self) -> None:
        """Keep the models: other backends use them."""


@dataclass
class Fleet:
    """Models by name with the time between their tokens in ms; `noise` varies it by turn.

    `drift` makes the machine slower by this share with every load.
    """

    speeds: Mapping[str, float]
    noise: float = 0.01
    drift: float = 0.0
    seed: int = 0
    broken: frozenset[str] = frozenset()
    events: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dice, self._loads = random.Random(self.seed), 0  # noqa: S311 - no secret

    async def connect(self, settings: Any, name: str) -> Member:
        return Member(self, settings, name)

    def rated(self, name: str) -> Rated:
        """Return a model as it runs in its next turn."""
        self._loads += 1
        luck = 1 + self._dice.gauss(0, self.noise) + self.drift * self._loads
        return Rated(write_ms=self.speeds[name] * luck, context=None)


@dataclass
class OllamaFleet(OllamaFacade):
    """Ollama with several models; `unloadable` cannot be loaded. It notes loads and unloads."""

    names: tuple[str, ...] = ("a:latest", "b:latest")
    unloadable: str = ""
    events: list[str] = field(default_factory=list)
    present: str | None = None

    def __call__(self, request: Request) -> Steps:
        """Return the steps for a request."""
        if request.path == "/api/chat" and not request.json["messages"]:
            name, ends = request.json["model"], request.json.get("keep_alive") == 0
            self.events.append(f"{'unload' if ends else 'load'} {name}")
            if name == self.unloadable and not ends:
                return [sized(500, {"error": "model requires more system memory"})]
            self.present = None if ends else name
            return [sized(200, ollama_line(done=True, done_reason="load"))]
        if request.path == "/api/chat":
            self.events.append(f"ask {request.json['model']}")
            return super().__call__(request)
        listed = [_entry(name) for name in self.names]
        if request.path == "/api/tags":
            return [sized(200, {"models": listed})]
        if request.path == "/api/ps":
            held = [{**one, "size_vram": one["size"]} for one in listed]
            return [sized(200, {"models": [one for one in held if one["name"] == self.present]})]
        return super().__call__(request)


def _entry(name: str) -> dict[str, Any]:
    details = {"family": "llama", "quantization_level": "Q4_1"}
    return {"name": name, "size": 98_362_745, "digest": f"d-{name}", "details": details}
