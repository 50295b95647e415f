"""One load is split among machines and merged again; machines that cannot take part are refused."""

from __future__ import annotations

import asyncio
import platform
import sys
from importlib.metadata import version
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.near_nodes import NearNode
from support.stress_documents import open_loop

from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.errors import MissingExtraError, SettingsError
from pytest_llamaburn.kinds.stress import levels, machines, plan
from pytest_llamaburn.kinds.stress.levels import Visit
from pytest_llamaburn.load import arrivals, cluster, node_checks
from pytest_llamaburn.load.clocks import Reading
from pytest_llamaburn.load.node import machine
from pytest_llamaburn.load.node_checks import Seen
from pytest_llamaburn.load.nodes import NodeLostError, split
from pytest_llamaburn.load.sender import RequestRange, due_times
from pytest_llamaburn.load.step import CLIENTS, RATE, Step
from pytest_llamaburn.load.workers import Setup

MACHINES, PROCESSES = st.integers(1, 7), st.integers(1, 4)


@given(MACHINES, PROCESSES, st.sampled_from(["static", "poisson"]), st.integers(0, 99))
def test_the_union_of_all_machines_is_the_one_schedule(
    count: int, processes: int, arrival: str, seed: int
) -> None:
    step, wanted = Step(50.0, RATE, seconds=2.0), RequestRange(3)
    asked = SimpleNamespace(arrival=arrival, seed=seed)
    shares = [s for own in split(step, wanted, count, processes) for s in own]
    union = np.sort(np.concatenate([due_times(asked, step, share) for share in shares]))
    whole = arrivals.schedule(arrival, 50.0, seconds=2.0, seed=seed + wanted.step)
    assert np.array_equal(union, whole)


@given(MACHINES, PROCESSES, st.integers(1, 40), st.integers(0, 90))
def test_clients_and_requests_are_split_evenly_and_none_twice(
    count: int, processes: int, clients: int, requests: int
) -> None:
    step = Step(clients, CLIENTS, requests)
    shared = split(step, RequestRange(1), count, processes)
    numbers = [n for own in shared for share in own for n in share.numbers(requests)]
    assert sorted(numbers) == [*range(requests)]
    each = [
        sum(len(range(share.worker, clients, share.workers)) for share in own) for own in shared
    ]
    assert sum(each) == clients
    assert max(each) - min(each) <= processes


@given(st.permutations(range(80)))
@settings(max_examples=20)
def test_rows_that_are_merged_in_any_order_give_the_same_numbers(order: list[int]) -> None:
    rows = open_loop(40, 2, 100, 3)
    for number, row in enumerate(rows):
        row.node = number % 2
    nothing = levels.Excluded(plan.Window(), plan.Window())
    step = Step(40, RATE, len(rows))
    merged, ours = Visit(step, [rows[place] for place in order], 0), Visit(step, rows, 0)
    assert levels.summarize([merged], nothing) == levels.summarize([ours], nothing)
    assert machines.of_level(("a", "b"), [merged], merged.rows) == machines.of_level(
        ("a", "b"), [ours], rows
    )


def seen(name: str = "b", wall_ms: float = 0, **facts: Any) -> Seen:
    own: dict[str, Any] = {
        "python": platform.python_version(),
        "llamaburn": version("pytest-llamaburn"),
    }
    own |= {"machine": machine(), "has_key": False, **facts}
    return Seen(name, own, Reading(0, 0, 1, int(wall_ms * 1e6)))


REFUSED: dict[str, dict[str, Any]] = {
    "b has python 3.9.1, this machine has": {"python": "3.9.1"},
    "b has llamaburn 0.0.1, this machine has": {"llamaburn": "0.0.1"},
    "the clock of b is 500 ms ahead of this machine's": {"wall_ms": 500},
    "the clock of b is 500 ms behind this machine's": {"wall_ms": -500},
}


@pytest.mark.parametrize("finding", REFUSED)
def test_a_machine_that_does_not_fit_is_named_with_the_fix(finding: str) -> None:
    (problem,) = node_checks.problems([seen("a"), seen(**REFUSED[finding])])
    assert problem.finding.startswith(finding)
    assert problem.fix


def test_a_key_that_a_machine_lacks_is_named_and_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMABURN_API_KEY", "very-secret")
    (problem,) = node_checks.problems([seen("a", has_key=True), seen("b")])
    assert problem.finding.startswith("b has no LLAMABURN_API_KEY")
    assert "very-secret" not in problem.finding + problem.fix


def found_servers(url: str, *near: NearNode, **facts: Any) -> list[str]:
    setup = Setup([{"backend": "openai", "host": url}], {}, Model("m", "m"), [])
    known = [seen(one.name, **facts) for one in near]
    problems = asyncio.run(node_checks.unreached(near, known, setup))
    return [problem.finding for problem in problems]


def test_a_server_that_only_some_machines_reach_is_refused() -> None:
    url = "http://10.0.0.9:11434/v1"
    found = found_servers(url, NearNode("a", unreached=[]), NearNode("b", unreached=[url]))
    assert found == [f"b does not reach {url}, though this machine does"]


def test_an_address_of_this_machine_means_another_server_on_another_machine() -> None:
    url = "http://127.0.0.1:11434/v1"
    found = found_servers(url, NearNode("b", unreached=[]), machine="elsewhere")
    assert found == [f"b does not reach {url}, which is an address of this machine only"]


def test_a_machine_that_does_not_answer_is_named() -> None:
    silent = NearNode("b", dies=lambda: True)
    asyncio.run(_lost(silent))
    with pytest.raises(SettingsError, match="--ray: b does not answer: it died"):
        asyncio.run(node_checks.look([NearNode("a"), silent]))


async def _lost(machine: NearNode) -> None:
    with pytest.raises(NodeLostError):
        await machine.call("poll", 0)


def test_without_ray_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"--ray needs the extra \[ray\].*pytest-llamaburn"):
        cluster.Cluster("auto", 2)


MISMATCH = """\
Version mismatch: The cluster was started with:
    Ray: 2.9.0
    Python: 3.9.1
This process was started with another one.
"""


def ray_module(monkeypatch: pytest.MonkeyPatch, **said: Any) -> None:
    """Put a module in the place of Ray, with a cluster of one machine."""
    here = {"Alive": True, "NodeManagerAddress": "10.0.0.1", "NodeID": "1", "Resources": {}}
    made: Any = ModuleType("ray")
    made.init, made.shutdown, made.nodes = (lambda **_: None), (lambda: None), (lambda: [here])
    for name, value in said.items():
        setattr(made, name, value)
    strategies: Any = ModuleType("ray.util.scheduling_strategies")
    strategies.NodeAffinitySchedulingStrategy = SimpleNamespace
    monkeypatch.setattr(cluster, "find_spec", lambda _: made)
    monkeypatch.setitem(sys.modules, "ray", made)
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", strategies)


def test_other_versions_in_the_cluster_are_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def init(**_: Any) -> None:
        raise RuntimeError(MISMATCH)

    ray_module(monkeypatch, init=init)
    words = "cannot be used: Version mismatch: .* Ray: 2.9.0 Python: 3.9.1"
    with pytest.raises(SettingsError, match=words):
        cluster.Cluster("auto", None)


def test_a_cluster_with_fewer_machines_than_asked_for_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray_module(monkeypatch)
    with pytest.raises(SettingsError, match=r"--nodes 3 is refused: .* has 1 machine: 10\.0\.0\.1"):
        cluster.Cluster("auto", 3)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "no cluster at 127.0.0.1:1: .*start one with ray start --head"),
        ("ray://here:10001", "write HOST:PORT"),
        ("nonsense", "write HOST:PORT"),
    ],
)
def test_an_address_without_a_cluster_is_refused_at_once(address: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        cluster.check_listens(address)


def test_machines_at_one_address_have_different_names() -> None:
    assert cluster.names(["10.0.0.1", "10.0.0.2", "10.0.0.1"]) == [
        "10.0.0.1#1",
        "10.0.0.2",
        "10.0.0.1#2",
    ]
