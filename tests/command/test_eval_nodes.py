"""llamaburn eval from several machines: a real cluster of Ray, of two nodes on this machine."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support import ray_cluster
from support.command_line import COMMAND, run_cli
from support.eval_servers import evals_in
from support.scripted import ScriptedServer
from support.shared_evals import (
    COUNT,
    OPTIONS,
    ORDER,
    environment,
    journalled,
    own_places,
    pupil,
    scored,
    until,
    written_set,
)

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.ray_cluster import Running


@pytest.fixture(scope="module")
def cluster() -> Iterator[Running]:
    """Yield the cluster of this module. Its tests run in order: the last one kills a node."""
    with ray_cluster.running() as found:
        yield found


class Done(NamedTuple):
    stdout: str
    alone: dict[str, Any]
    shared: dict[str, Any]
    hosts: list[str]
    asked: list[int]


@pytest.fixture(scope="module")
def done(cluster: Running, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return an eval by one server, and the same from two nodes by two servers."""
    pupils = [pupil(), pupil()]
    cwd = tmp_path_factory.mktemp("nodes")
    with ScriptedServer(pupils[0]) as first, ScriptedServer(pupils[1]) as second:
        words = ("eval", "tiny", f"--set={written_set(cwd)}", *OPTIONS)
        run_cli(*words, f"--host={first.host}", cwd=cwd, **own_places(cwd))
        (alone,) = evals_in(cwd / "results")
        pupils[0].asked.clear()
        hosts = [first.host, second.host]
        own = [f"--host={host}" for host in hosts]
        more = ("--results-dir=shared", f"--ray={cluster.address}", "--nodes=2")
        ended = run_cli(*words, *own, *more, cwd=cwd, **own_places(cwd))
    (shared,) = evals_in(cwd / "shared")
    assert results.check(shared) is None
    return Done(ended.stdout, alone, shared, hosts, [len(one.asked) for one in pupils])


def test_scores_and_rows_are_those_of_one_machine(done: Done) -> None:
    assert scored(done.shared) == scored(done.alone)
    assert [item["question"]["id"] for item in done.shared["results"]["items"]] == ORDER


def test_each_node_and_each_server_got_its_share(done: Done) -> None:
    assert done.asked == [COUNT // 2, COUNT // 2]
    nodes = done.shared["results"]["nodes"]
    assert [one["answers"] for one in nodes] == [COUNT // 2, COUNT // 2]
    assert [one["lost"] for one in nodes] == [None, None]
    named = [item["node"] for item in done.shared["results"]["items"]]
    assert {*named} == {one["node"] for one in nodes}
    assert "by machine" in done.stdout


def test_more_nodes_than_there_are_are_refused(cluster: Running, tmp_path: Path) -> None:
    with ScriptedServer(pupil()) as server:
        words = (f"--host={server.host}", f"--ray={cluster.address}", "--nodes=3")
        ended = run_cli("eval", "tiny", *words, cwd=tmp_path, check=4, **own_places(tmp_path))
    assert "--nodes 3 is refused: the cluster at" in ended.stderr
    assert not (tmp_path / "results" / "evals").exists()


def test_a_killed_driver_and_a_killed_node_lose_no_answer(cluster: Running, tmp_path: Path) -> None:
    model = pupil(0.2)
    with ScriptedServer(model) as server:
        words = ("eval", "tiny", f"--set={written_set(tmp_path)}", *OPTIONS)
        own = (f"--host={server.host}", f"--ray={cluster.address}", "--nodes=2")
        pipe, env = subprocess.PIPE, environment(**own_places(tmp_path))
        about: dict[str, Any] = {"cwd": tmp_path, "env": env, "stdout": pipe, "stderr": pipe}
        with subprocess.Popen([*COMMAND, *words, *own], **about) as driver:
            until(lambda: len(journalled(tmp_path)) >= 2)
            driver.send_signal(signal.SIGKILL)
        before = journalled(tmp_path)
        model.asked.clear()
        resume = [*COMMAND, "eval", "--resume=last", "--output=table"]
        with subprocess.Popen(resume, text=True, **about) as running:
            until(lambda: len(model.asked) >= 2)
            cluster.cluster.kill(1)
            shown, told = running.communicate(timeout=120)
    assert running.returncode == 0, shown + told
    (document,) = evals_in(tmp_path / "results")
    found = document["results"]
    assert document["status"] == "complete"
    assert [item["question"]["id"] for item in found["items"]] == ORDER
    assert not any(item["error"] for item in found["items"])
    assert found["correct"]["right"] == 8
    (lost,) = [one for one in found["nodes"] if one["lost"]]
    again = len(lost["asked_again"])
    assert again >= 1
    assert len(model.asked) <= COUNT - len(before) + again
    assert f"{lost['node']} was lost" in shown
