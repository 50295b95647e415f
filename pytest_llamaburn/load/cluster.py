"""Ray: the actors that carry the machines of a load. Nothing else imports it.

Placement, transport and the detection of a dead machine are Ray's. An API key never travels: Ray
writes the environment that a job gives its actors into its own log files, so each machine must have
the key in the environment in which `ray start` ran.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import LlamaBurnError, MissingExtraError, SettingsError
from pytest_llamaburn.load.node import Node
from pytest_llamaburn.load.nodes import NodeLostError
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOCAL, AUTO = "local", "auto"
_LOCAL_NODES = 2
_STORE_BYTES = 80 * 2**20  # of the objects of a local node: the least that Ray accepts, and enough
_START_S = 90.0
_CONNECT_S = 5.0
_ANSWER_S = 60.0  # a machine that is silent so long is lost
_HEAD = "node:__internal_head__"  # a resource that Ray gives the first machine
_PATIENT = ("leave", "start", "close", "ask")  # these may take as long as a request


class Actor:
    """A `Node` in an actor of Ray."""

    def __init__(self, name: str, handle: object) -> None:
        """Take the name of its machine and the actor's handle."""
        self.name, self._handle = name, handle

    async def call(self, method: str, *given: object) -> Any:
        """Return what a method of the Node returns.

        Raises NodeLostError if the machine is lost, LlamaBurnError for an error there.
        """
        from ray import exceptions

        limit_s = None if method in _PATIENT else _ANSWER_S
        try:
            return await asyncio.wait_for(_result(self._handle, method, given), limit_s)
        except TimeoutError:
            raise NodeLostError(f"it gave no answer for {_ANSWER_S:.0f} s") from None
        except exceptions.RayTaskError as err:
            raise LlamaBurnError(f"{self.name}: {err.cause}") from None
        except exceptions.RayError as err:
            raise NodeLostError(f"it died: {type(err).__name__}") from None


async def _result(handle: object, method: str, given: Sequence[object]) -> Any:
    return await getattr(handle, method).remote(*given)


class Cluster:
    """A connection to a cluster of Ray, or a cluster of our own on this machine."""

    def __init__(self, address: str, count: int | None) -> None:
        """Connect, and start a Node on `count` machines, by default on all.

        Raises UsageError if nothing listens at the address, or if Ray is missing, has another
        version, or has too few machines.
        """
        if address not in (LOCAL, AUTO):
            check_listens(address)
        if find_spec("ray") is None:
            raise MissingExtraError("ray", "--ray")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._own: Any = None
        self.actors: list[Actor] = []
        self.node_ids: list[str] = []  # in Ray, of the machine of each actor
        with _same_signals():
            try:
                self._connect(address, count)
                self._place(address, count)
            except BaseException:
                self.close()
                raise

    @property
    def address(self) -> str:
        """The address of a cluster of our own, to which other programs can connect."""
        return str(self._own.address)

    def close(self) -> None:
        """End the actors and the connection; a cluster of our own ends too."""
        import ray

        with _same_signals():
            ray.shutdown()
            if self._own is not None:
                self._own.shutdown()
                self._own = None

    def kill(self, place: int) -> None:
        """End a machine of our own cluster as a crash does; for tests."""
        (node,) = [n for n in self._own.list_all_nodes() if n.node_id == self.node_ids[place]]
        self._own.remove_node(node, allow_graceful=False)

    def _connect(self, address: str, count: int | None) -> None:
        import ray

        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if address == LOCAL:
                ray.init(address=self._started(count or _LOCAL_NODES), **quiet)
            else:
                ray.init(address=address, **quiet)
        except (OSError, RuntimeError, ValueError) as err:
            first = str(err).strip().splitlines() or [type(err).__name__]
            reason = " ".join(line.strip() for line in first[:4]).rstrip(". ")
            raise SettingsError(
                f"--ray: the cluster at {address} cannot be used: {reason}"
            ) from None

    def _started(self, count: int) -> str:
        """Start a cluster of so many nodes on this machine; return its address."""
        from ray.cluster_utils import Cluster as Local

        about = {"num_cpus": 1, "object_store_memory": _STORE_BYTES}
        head = {**about, "include_dashboard": False}
        self._own = Local(initialize_head=True, head_node_args=head)
        for _ in range(count - 1):
            self._own.add_node(wait=False, **about)
        self._own.wait_for_nodes(_START_S)
        return str(self._own.address)

    def choose(self, address: str, count: int | None) -> list[tuple[str, str]]:
        """Return the name and the id in Ray of so many machines, by default of all, the head first.

        Raises SettingsError if there are fewer.
        """
        import ray

        alive = [node for node in ray.nodes() if node["Alive"]]
        alive.sort(key=lambda node: _HEAD not in node["Resources"])
        shown = names([str(node["NodeManagerAddress"]) for node in alive])
        wanted = count or len(alive)
        if wanted > len(alive):
            have = f"{counted(len(alive), 'machine')}: {', '.join(shown)}"
            raise SettingsError(
                f"--nodes {wanted} is refused: the cluster at {address} has {have}: start more "
                "with ray start, or ask for fewer"
            )
        return [(name, node["NodeID"]) for name, node in zip(shown, alive, strict=True)][:wanted]

    def _place(self, address: str, count: int | None) -> None:
        """Start a Node on each machine."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        chosen = self.choose(address, count)
        made = ray.remote(Node)
        for name, node_id in chosen:
            there = NodeAffinitySchedulingStrategy(node_id, soft=False)
            handle = made.options(num_cpus=0, scheduling_strategy=there).remote()
            self.actors.append(Actor(name, handle))
            self.node_ids.append(node_id)


def names(addresses: Sequence[str]) -> list[str]:
    """Return the names of machines: their addresses, with a number where several are equal."""
    return [
        f"{address}#{addresses[: place + 1].count(address)}"
        if addresses.count(address) > 1
        else address
        for place, address in enumerate(addresses)
    ]


def check_listens(address: str) -> None:
    """Raise SettingsError if nothing listens there: Ray itself would wait for a minute."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        raise SettingsError(
            f"--ray: '{address}' is refused: write HOST:PORT (ray start prints it), auto or local"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as err:
        raise SettingsError(
            f"--ray: no cluster at {address}: {err}: start one with ray start --head, or use "
            "--ray local"
        ) from None


@contextmanager
def _same_signals() -> Iterator[None]:
    """Keep the handlers of signals, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
