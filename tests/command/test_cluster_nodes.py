"""Evals and loads from a cluster of Ray that is there: three nodes on this machine."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, cast

import pytest
from support import ray_cluster
from support.command_line import COMMAND, run_cli
from support.eval_servers import evals_in
from support.scripted import ScriptedServer
from support.shared_evals import (
    COUNT,
    OPTIONS,
    ORDER,
    Both,
    alone_and_shared,
    environment,
    journal_of,
    journalled,
    own_places,
    pupil,
    scored,
    until,
    written_set,
)
from support.slot_server import SlotServer

from pytest_llamaburn.backends import openai
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.datasets import Prompt
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.load import rows
from pytest_llamaburn.load.nodes import Nodes
from pytest_llamaburn.load.sender import RequestRange
from pytest_llamaburn.load.servers import Servers
from pytest_llamaburn.load.step import CLIENTS, Step
from pytest_llamaburn.load.workers import setup_of
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.ray_cluster import Running

    from pytest_llamaburn.settings import Run


@pytest.fixture(scope="module")
def cluster() -> Iterator[Running]:
    """Yield the cluster of this module. Its tests run in order: the last two kill a node each."""
    with ray_cluster.running(3) as found:
        yield found


@pytest.fixture(scope="module")
def done(cluster: Running, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Return an eval by one server, and the same from three nodes by two servers."""
    more = (f"--ray={cluster.address}", "--nodes=3")
    return alone_and_shared(tmp_path_factory.mktemp("nodes"), *more)


def test_scores_and_rows_are_those_of_one_machine(done: Both) -> None:
    assert scored(done.shared) == scored(done.alone)
    assert [item["question"]["id"] for item in done.shared["results"]["items"]] == ORDER


def test_each_node_and_each_server_got_its_share(done: Both) -> None:
    assert done.asked == [COUNT // 2, COUNT // 2]
    nodes = done.shared["results"]["nodes"]
    assert sum(one["answers"] for one in nodes) == COUNT
    assert all(one["answers"] for one in nodes)
    assert [one["lost"] for one in nodes] == [None] * 3
    named = [item["node"] for item in done.shared["results"]["items"]]
    assert {*named} == {one["node"] for one in nodes}
    assert "by machine" in done.stdout


def test_more_nodes_than_there_are_are_refused(cluster: Running, tmp_path: Path) -> None:
    words = ("--host=http://127.0.0.1:9", f"--set={written_set(tmp_path)}", "--nodes=4")
    own = own_places(tmp_path)
    ended = run_cli(
        "eval", "tiny", *words, f"--ray={cluster.address}", cwd=tmp_path, check=4, **own
    )
    assert "--nodes 4 is refused: the cluster at" in ended.stderr
    assert "has 3 machines" in ended.stderr
    assert not (tmp_path / "results" / "evals").exists()


def test_a_killed_driver_and_a_killed_node_lose_no_answer(cluster: Running, tmp_path: Path) -> None:
    model = pupil(4)
    with ScriptedServer(model) as server:
        words = ("eval", "tiny", f"--set={written_set(tmp_path)}", *OPTIONS)
        own = (f"--host={server.host}", f"--ray={cluster.address}", "--nodes=3")
        with started(tmp_path, *words, *own) as driver:
            until(lambda: len(model.asked) == 4 + 3)  # each node holds a question
            driver.send_signal(signal.SIGKILL)
        before = journalled(tmp_path)
        assert len(before) == 4
        model.asked.clear()
        model.at_once, model.go = 2, threading.Event()
        with started(tmp_path, "eval", "--resume=last", "--output=table") as running:
            until(lambda: len(model.asked) == 2 + 3)
            cluster.cluster.kill(2)
            until(lambda: any("lost" in line for line in journal_of(tmp_path)))
            model.go.set()
            shown, told = running.communicate(timeout=120)
    assert running.returncode == 0, shown + told
    (document,) = evals_in(tmp_path / "results")
    found = document["results"]
    assert document["status"] == "complete"
    assert [item["question"]["id"] for item in found["items"]] == ORDER
    assert not any(item["error"] for item in found["items"])
    assert found["correct"]["right"] == 8
    (lost,) = [one for one in found["nodes"] if one["lost"]]
    assert len(lost["asked_again"]) == 1
    assert len(model.asked) == COUNT - len(before) + 1
    assert f"{lost['node']} was lost" in shown


def started(cwd: Path, *words: str) -> subprocess.Popen[str]:
    """Return the command, which runs."""
    pipe, env = subprocess.PIPE, environment(**own_places(cwd))
    return subprocess.Popen(
        [*COMMAND, *words], cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True
    )


def test_a_node_that_is_killed_loses_no_request_of_the_others(
    cluster: Running, tmp_path: Path
) -> None:
    def told(host: str) -> Any:
        own = openai.Backend(cast("Run", model_of(Stress)(host=host)))
        return setup_of(Servers([own]), Model("tiny", "tiny"), [Prompt("one", "short", "One?")])

    async def work(server: SlotServer) -> Nodes:
        nodes = Nodes(machines.actors[:2], told(server.host), tmp_path)
        await nodes.start(1, "main-0")
        start_ns = perf_counter_ns() + nodes.lead_ns
        sending = asyncio.create_task(nodes.send(Step(4, CLIENTS, 200), RequestRange(1), start_ns))
        while server.served < 20:  # noqa: ASYNC110 - a server in a thread has no event for it
            await asyncio.sleep(0.01)
        await asyncio.to_thread(machines.kill, 1)
        await asyncio.wait_for(sending, 120)
        await nodes.close()
        nodes.forget()
        return nodes

    machines = cluster.cluster
    with SlotServer(8, lambda _: 0.05) as server:
        nodes = asyncio.run(work(server))
    found = list(rows.read(tmp_path))
    (loss,) = nodes.losses
    assert loss.node == 1
    assert {row.number for row in found if row.node == 0} == {*range(0, 200, 2)}
    assert loss.unsent == 100 - sum(row.node == 1 for row in found)
    assert not any(row.error for row in found)
