"""The machines of a Ray cluster that a run uses: opening them, and refusing those that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.load.cluster import Cluster
    from pytest_llamaburn.load.node_checks import Seen
    from pytest_llamaburn.load.nodes import Remote
    from pytest_llamaburn.load.workers import Setup


class Machines(NamedTuple):
    """The machines of a load, and what each said of itself."""

    cluster: Cluster
    seen: list[Seen]

    @property
    def remotes(self) -> Sequence[Remote]:
        """The machines, to be called."""
        return self.cluster.actors

    def facts(self) -> list[Document]:
        """Return what the file says of each machine."""
        return [{"node": one.name, **one.facts} for one in self.seen]


def contradiction(settings: Any) -> str | None:
    """Return what is wrong with the options of machines, or None."""
    if settings.nodes and settings.ray is None:
        return f"--nodes {settings.nodes} is refused: it needs --ray, the cluster of the machines"
    return None


async def opened(settings: Any) -> Machines | None:
    """Return the machines that the settings name, None without --ray.

    Raises UsageError if they cannot send one load together.
    """
    if settings.ray is None:
        return None
    from pytest_llamaburn.load import node_checks
    from pytest_llamaburn.load.cluster import Cluster

    cluster = Cluster(settings.ray, settings.nodes)
    try:
        seen = await node_checks.look(cluster.actors)
        refuse(next(node_checks.problems(seen), None))
    except BaseException:
        cluster.close()
        raise
    return Machines(cluster, seen)


async def check_servers(machines: Machines, setup: Setup) -> None:
    """Raise SettingsError if a machine does not reach a server."""
    from pytest_llamaburn.load import node_checks

    found = await node_checks.unreached(machines.remotes, machines.seen, setup)
    refuse(next(iter(found), None))


def refuse(problem: Any) -> None:
    """Raise SettingsError for a problem of a machine."""
    if problem is not None:
        raise SettingsError(f"--ray: {problem.finding}: {problem.fix}")
