"""The inspection for `status` and `doctor`: a server, and the load of the processors."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pytest_llamaburn import options
from pytest_llamaburn.errors import LlamaBurnError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from pytest_llamaburn.backends._base import Backend, Model, Server
    from pytest_llamaburn.documents import LoadedModel
    from pytest_llamaburn.settings import Run

Answer = TypeVar("Answer")


@dataclass
class Look:
    """The facts that a server reports; `why` has the reason of each part that is None."""

    backend: Backend | None = None
    server: Server | None = None
    models: list[Model] | None = None
    loaded: list[LoadedModel] | None = None
    slots: int | None = None
    why: dict[str, str] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    async def ask(self, part: str, question: Awaitable[Answer | None]) -> Answer | None:
        """Return the answer, or None with its reason in `why`; a server's error is not raised."""
        try:
            answer = await question
        except LlamaBurnError as err:
            self.why[part] = options.blamed(str(err), self.origins)
        except Exception as err:  # noqa: BLE001 - a server that imitates another may send anything
            self.why[part] = f"unexpected answer ({type(err).__name__}: {err})"
        else:
            if answer is None:
                self.why[part] = "this kind of server does not say"
            return answer
        return None


async def look(settings: Run, origins: Mapping[str, str]) -> Look:
    """Return the facts of the server at the host; nothing is loaded or measured.

    `origins` are the sources of the settings, for messages about a refused one.
    """
    from pytest_llamaburn.backends._detect import at_host

    seen = Look(origins=origins)
    if settings.backend == "embedded":
        seen.why["server"] = "the embedded engine runs only while it measures"
        return seen
    seen.backend = await seen.ask("server", at_host(settings))
    if seen.backend is not None:
        seen.server = await seen.ask("server", seen.backend.server())
    if seen.backend is not None and seen.server is not None:
        seen.models = await seen.ask("models", seen.backend.models())
        seen.loaded = await seen.ask("loaded", _loaded(seen.backend, seen.models or []))
        seen.slots = await seen.ask("slots", seen.backend.slots())
    return seen


async def _loaded(backend: Backend, models: list[Model]) -> list[LoadedModel] | None:
    """Return the loaded models; llama.cpp reports them only in its list of models."""
    reported = await backend.loaded()
    if reported is not None or all(model.loaded is None for model in models):
        return reported
    return [
        {
            "name": model.id,
            "size_mb": model.size_mb,
            "gpu_share": model.gpu_share,
            "context_length": model.context_length,
        }
        for model in models
        if model.loaded
    ]


class Load(NamedTuple):
    """The load of the processors, in percent of all of them; None if it could not be read."""

    cpu: float | None
    others: float | None
    busiest: tuple[str, float] | None


def load(seconds: float) -> Load:
    """Return the load over the next seconds: in total, of other programs, and of the busiest one.

    This process and model servers do not count as other programs.
    """
    import psutil

    from pytest_llamaburn.environment import OtherLoad

    others, before = OtherLoad(), cpu_seconds()
    others.start()
    cpu = psutil.cpu_percent(seconds)
    share = others.share()
    if share is None:
        return Load(None, None, None)
    capacity = seconds * (psutil.cpu_count() or 1)
    used = {key: now - before.get(key, now) for key, now in cpu_seconds().items()}
    (_, name), most = max(used.items(), key=lambda item: item[1], default=((0, ""), 0.0))
    return Load(cpu, 100 * share, (name, 100 * most / capacity) if most > 0 else None)


def cpu_seconds() -> dict[tuple[int, str], float]:
    """Return the processor seconds that each other program has used."""
    import psutil

    from pytest_llamaburn.environment import OtherLoad

    found = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        name, times = str(process.info["name"]), process.info["cpu_times"]
        if times and process.pid != os.getpid() and not name.startswith(OtherLoad.SERVERS):
            found[process.pid, name] = times.user + times.system
    return found
