"""`llamaburn doctor --ray`: what it finds on the machines of a cluster that is a fake."""

from __future__ import annotations

from typing import Any

import pytest
from support.benchmark_documents import benchmark_settings
from support.near_nodes import NearCluster, NearNode

from pytest_llamaburn.backends import openai
from pytest_llamaburn.backends._base import Server
from pytest_llamaburn.commands import _checks, _look, _node_checks, doctor
from pytest_llamaburn.load import cluster
from pytest_llamaburn.load.clocks import Times, times

NAMES = [name for name in _checks.CHECKS if name.startswith(_node_checks.PREFIX)]


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "Cluster", NearCluster)
    monkeypatch.delenv("LLAMABURN_API_KEY", raising=False)


def found(address: str, *machines: NearNode, host: str | None = None) -> dict[str, doctor.Check]:
    NearCluster.machines, NearCluster.closed = machines, 0
    seen = _look.Look(why={"server": "none. There."})
    if host is not None:
        seen = _look.Look(openai.Backend(benchmark_settings(host=host)), _server(host))
    context = _checks.Context(benchmark_settings(), {}, seen, address)
    return {name: doctor.finding_of(name, context) for name in NAMES}


def _server(host: str) -> Server:
    return Server("openai", None, host, local=False)


def test_machines_that_fit_are_well() -> None:
    checks = found("auto", NearNode("a"), NearNode("b"))
    assert {check.level for check in checks.values()} == {"ok"}
    assert checks["nodes.cluster"].finding == "2 machines: a, b"
    assert checks["nodes.servers"].finding == "not checked: no server"
    assert NearCluster.closed == 1


def _ahead(seconds: float) -> Any:
    class Late(NearNode):
        async def call(self, method: str, *given: Any) -> Any:
            if method == "times":
                now = times()
                return Times(now.monotonic_ns, now.wall_ns + int(seconds * 1e9))
            return await super().call(method, *given)

    return Late("late", unreached=[])


def test_a_wrong_clock_and_a_server_that_is_not_reached_fail() -> None:
    url = "http://10.0.0.9:1/v1"
    checks = found("auto", NearNode("a", unreached=[url]), _ahead(0.5), host=url)
    clocks, servers = checks["nodes.clocks"], checks["nodes.servers"]
    assert clocks.level == servers.level == "fail"
    assert clocks.finding.startswith("the clock of late is ")
    assert servers.finding.startswith(f"a does not reach {url}")
    assert clocks.fix == "Let NTP set the clocks of all machines."


def test_without_a_cluster_nothing_else_is_checked() -> None:
    checks = found("nowhere:1")
    assert checks["nodes.cluster"].level == "fail"
    assert {check.finding for check in [*checks.values()][1:]} == {"not checked: no cluster"}
