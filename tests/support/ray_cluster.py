"""A real cluster of Ray, of two nodes on this machine, that several commands use one after another.

Ray takes ten seconds to start a cluster, so a module of tests has one.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.load.cluster import Cluster


class Running(NamedTuple):
    """A cluster: its address, the folder of Ray's logs, and what kills a node."""

    address: str
    logs: str
    cluster: Cluster


@contextmanager
def running(nodes: int = 2) -> Iterator[Running]:
    """Run a cluster; without Ray, the test is skipped. The paths of Ray's sockets must be short."""
    pytest.importorskip("ray", reason="it needs the extra [ray]")
    from pytest_llamaburn.load.cluster import Cluster

    with (
        tempfile.TemporaryDirectory(prefix="r-", dir="/tmp") as logs,
        pytest.MonkeyPatch.context() as own,
    ):
        own.setenv("RAY_TMPDIR", logs)
        cluster = Cluster("local", nodes)
        try:
            yield Running(cluster.address, logs, cluster)
        finally:
            cluster.close()
