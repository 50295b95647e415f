"""A run whose work several servers of one model share; several machines may send it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.kinds._run import WARMUP_PROMPT, Run
from pytest_llamaburn.load import machines, replicas
from pytest_llamaburn.load.workers import setup_of
from pytest_llamaburn.option import changed

if TYPE_CHECKING:
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.load.machines import Machines
    from pytest_llamaburn.load.replicas import Replicas
    from pytest_llamaburn.load.servers import Servers


class SharedRun(Run):
    """A model on several servers, or on one."""

    _machines: Machines | None = None
    _replicas: Replicas

    async def finish(self, reason: str) -> None:
        """End the journal, and let the machines and the other servers go."""
        try:
            await super().finish(reason)
        finally:
            if hasattr(self, "_replicas"):
                for backend in self._servers.backends[1:]:
                    backend.close()
            if self._machines is not None:
                self._machines.cluster.close()

    @property
    def _servers(self) -> Servers:
        return self._replicas.servers

    async def _meet(self, model: str | None) -> None:
        """Connect to all servers, and learn which they are and that they have one model."""
        self._machines = await machines.opened(self.settings)
        self._replicas = found = await replicas.met(self.settings, model)
        self.backend = found.servers.backends[0]
        self.server, self.model = found.identity, found.model
        if self._machines is not None:
            setup = setup_of(found.servers, found.model, ())
            await machines.check_servers(self._machines, setup)

    def _about(self) -> Document:
        return self._replicas.facts()

    async def _warm_up(self) -> None:
        """Load and warm up the model on all servers."""
        self._settle_others()
        for other in self._servers.backends[1:]:  # all have it in memory before any is sent a text
            await other.load(self.model)
        await super()._warm_up()
        for _ in range(self.settings.warmup):
            await self._send_to_others(WARMUP_PROMPT)

    async def _send_to_others(self, text: str) -> None:
        """Send a text whose answer is not measured to all servers but the first."""
        first, *others = self._servers.backends
        try:
            for self.backend in others:
                await self.send_untimed(text)
        finally:
            self.backend = first

    def _settle_others(self) -> None:
        """Give the other servers the settings of the requests to the first."""
        for other in self._servers.backends[1:]:
            other.settings = changed(self.settings, {"host": other.settings.host})

    async def _slots(self) -> int | None:
        """Return how many requests all servers process at once, or None if one does not tell."""
        try:
            slots = [await backend.slots() for backend in self._servers.backends]
        except ServerError:
            return None
        known: list[Any] = [count for count in slots if count is not None]
        return sum(known) if len(known) == len(slots) else None
