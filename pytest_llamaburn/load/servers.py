"""The servers that a load goes to, and which of them gets the next request.

Each sending process balances its own requests, as each of several load balancers does. A server
that could not be reached by many requests in a row is gone: it gets no more of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from pytest_llamaburn.backends._base import Backend, Message, Model
    from pytest_llamaburn.backends._http import Deadlines, Wire

ROUND_ROBIN, LEAST_OUTSTANDING = "round_robin", "least_outstanding"
BALANCES = (ROUND_ROBIN, LEAST_OUTSTANDING)
NO_SERVER = ("connect_refused", "server_crash", "dns")  # the failures of a server that is gone
DEAD_IN_A_ROW = 20


class Servers:
    """The servers of a load; most loads have one."""

    def __init__(
        self, backends: Sequence[Backend], balance: str = ROUND_ROBIN, first: int = 0
    ) -> None:
        """Take an opened backend of each server; the first request goes to server `first`."""
        self.backends = tuple(backends)
        self._balance, self._turn = balance, first
        self._outstanding = [0] * len(self.backends)
        self._dead = [0] * len(self.backends)  # requests in a row that found no server

    @property
    def settings(self) -> Any:
        """The settings of the requests; all servers get the same."""
        return self.backends[0].settings

    @property
    def deadlines(self) -> Deadlines:
        """The time limits of the requests."""
        return self.backends[0].deadlines

    @deadlines.setter
    def deadlines(self, limits: Deadlines) -> None:
        for backend in self.backends:
            backend.deadlines = limits

    @property
    def alive(self) -> list[int]:
        """The places of the servers that are not gone."""
        return [place for place, dead in enumerate(self._dead) if dead < DEAD_IN_A_ROW]

    @property
    def gone(self) -> bool:
        """Whether all servers are gone."""
        return not self.alive

    def payloads(self, model: Model, messages: Sequence[Message]) -> list[list[bytes]]:
        """Return the bytes of a request to each server."""
        return [backend.payload(model, messages) for backend in self.backends]

    def line(self) -> Line:
        """Return the connections of one user; none is opened yet."""
        return Line(self)

    def take(self, besides: Container[int] = ()) -> int:
        """Return the place of the server for the next request, which is outstanding from now on.

        Servers `besides` do not get it; at least one that is alive must be left.
        """
        count, alive = len(self.backends), self.alive or range(len(self.backends))
        left = [place for place in alive if place not in besides]
        in_turn = sorted(left, key=lambda place: (place - self._turn) % count)
        place = in_turn[0]
        if self._balance == LEAST_OUTSTANDING:
            place = min(in_turn, key=self._outstanding.__getitem__)
        self._turn = place + 1
        self._outstanding[place] += 1
        return place

    def give_back(self, place: int) -> None:
        """Note that a request to a server is no longer outstanding."""
        self._outstanding[place] -= 1

    def note(self, place: int, failure: str | None) -> None:
        """Note how a request to a server ended: the kind of its failure, or None."""
        self._dead[place] = self._dead[place] + 1 if failure in NO_SERVER else 0


class Line:
    """The connections of one user, at most one to each server."""

    def __init__(self, servers: Servers) -> None:
        """Take the servers; a connection is made when its server gets a request."""
        self._servers = servers
        self._wires: dict[int, Wire] = {}
        self._chosen: int | None = None

    async def open(self) -> None:
        """Choose the server of the next request, and connect to it."""
        await self.wire(self.choose()).open()

    def choose(self) -> int:
        """Return the place of the server for the next request."""
        if self._chosen is None:
            self._chosen = self._servers.take()
        return self._chosen

    def wire(self, place: int) -> Wire:
        """Return the connection to a server."""
        if place not in self._wires:
            self._wires[place] = self._servers.backends[place].wire()
        return self._wires[place]

    def done(self) -> None:
        """Let the next request choose again."""
        if self._chosen is not None:
            self._servers.give_back(self._chosen)
            self._chosen = None

    def close(self) -> None:
        """Close all connections."""
        self.done()
        for wire in self._wires.values():
            wire.close()
