"""Machines of a load that are really this one; their clocks may differ from ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.load import rows
from pytest_llamaburn.load.clocks import Times
from pytest_llamaburn.load.node import Node
from pytest_llamaburn.load.nodes import NodeLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TIMES = ("scheduled_ns", "sent_ns", "first_ns", "last_ns", "end_ns")


class NearCluster:
    """A cluster whose machines are really this one."""

    machines: Sequence[NearNode] = ()
    closed = 0

    def __init__(self, address: str, count: int | None) -> None:
        if address == "nowhere:1":
            raise SettingsError("--ray: no cluster at nowhere:1")
        self.actors = self.machines

    def close(self) -> None:
        type(self).closed += 1


class NearNode:
    """A `Remote` whose Node runs here. Its clock is `skew_ns` ahead; `said` replaces its facts.

    `dies` is asked at each poll whether the machine is gone from now on.
    """

    def __init__(
        self, name: str, skew_ns: int = 0, dies: Callable[[], bool] | None = None, **said: Any
    ) -> None:
        self.name, self.node = name, Node()
        self._skew_ns, self._dies, self._said = skew_ns, dies, said
        self._dead = False

    async def call(self, method: str, *given: Any) -> Any:
        if method == "poll" and self._dies is not None:
            self._dead |= self._dies()
        if self._dead:
            raise NodeLostError("it died")
        if method in self._said:
            return self._said[method]
        if method == "begin":
            task, shares = given
            given = (msgspec.structs.replace(task, start_ns=task.start_ns - self._skew_ns), shares)
        return self._shown(await getattr(self.node, method)(*given))

    async def end(self) -> None:
        """End the processes, also of a machine that died."""
        await asyncio.wait_for(self.node.close(), 60)

    def _shown(self, found: Any) -> Any:
        if isinstance(found, Times):
            return found._replace(monotonic_ns=found.monotonic_ns + self._skew_ns)
        if isinstance(found, bytes):
            return self._moved(found)
        if hasattr(found, "rows"):
            return msgspec.structs.replace(found, rows=self._moved(found.rows))
        return found

    def _moved(self, lines: bytes) -> bytes:
        moved = []
        for row in rows.decoded(lines.splitlines()):
            known = {name: getattr(row, name) for name in _TIMES}
            theirs = {n: None if ns is None else ns + self._skew_ns for n, ns in known.items()}
            whole = msgspec.structs.replace(row, **theirs, gaps_ms=list(row.gaps_ms))
            moved.append(msgspec.json.encode(whole) + b"\n")
        return b"".join(moved)
