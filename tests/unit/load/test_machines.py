"""Opening the machines of a run: what cannot be used is refused before anything is sent."""

from __future__ import annotations

import asyncio
import pickle
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.eval_servers import Pupil
from support.near_nodes import NearCluster, NearNode
from support.scripted import ScriptedServer

from pytest_llamaburn.backends import ollama
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.errors import MissingExtraError, SettingsError, UsageError
from pytest_llamaburn.kinds.eval.settings import Eval
from pytest_llamaburn.load import cluster, machines
from pytest_llamaburn.load.node import exchanged
from pytest_llamaburn.load.servers import Servers
from pytest_llamaburn.load.workers import setup_of
from pytest_llamaburn.media import Base64, base64_of
from pytest_llamaburn.option import changed, model_of

MODEL = Model("tiny", "tiny")


def asked(**given: Any) -> Any:
    return SimpleNamespace(**{"ray": "auto", "nodes": None, **given})


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "Cluster", NearCluster)
    monkeypatch.setattr(NearCluster, "closed", 0)


@pytest.mark.usefixtures("near")
def test_a_machine_with_another_version_is_refused_and_let_go() -> None:
    facts = {"host": "x", "machine": "x", "python": "3.9.1", "llamaburn": "9", "has_key": False}
    NearCluster.machines = [NearNode("a"), NearNode("b", facts=facts)]
    with pytest.raises(
        SettingsError, match=r"--ray: b has python 3\.9\.1, this machine has"
    ) as hit:
        asyncio.run(machines.opened(asked()))
    assert hit.value.exit_code == UsageError.exit_code == 4
    assert NearCluster.closed == 1


@pytest.mark.usefixtures("near")
def test_a_server_that_only_some_machines_reach_is_refused() -> None:
    NearCluster.machines = [NearNode("a", unreached=[]), NearNode("b", unreached=["http://s:1"])]

    async def check() -> None:
        found = await machines.opened(asked())
        assert found is not None
        backend = ollama.Backend(cast("Any", model_of(Eval)(host="http://s:1")))
        setup = setup_of(Servers([backend]), MODEL, ())
        await machines.check_servers(found, setup)

    with pytest.raises(SettingsError, match="b does not reach http://s:1, though this machine"):
        asyncio.run(check())


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="ray"):
        asyncio.run(machines.opened(asked(ray="local")))


def test_a_machine_gets_the_answer_that_this_one_gets() -> None:
    with ScriptedServer(Pupil(answers={"sky": "blue"})) as server:
        backend = ollama.Backend(cast("Any", model_of(Eval)(host=server.host)))
        backend.settings = changed(backend.settings, {"host": f"{server.host},http://other:1"})
        body = backend.body(MODEL, [{"role": "user", "content": "What colour is the sky?"}])
        setup = setup_of(Servers([backend]), MODEL, ())

        async def both() -> list[Any]:
            far = NearNode("far")
            await far.call("connect", setup)
            sent = pickle.loads(pickle.dumps(body))  # noqa: S301 - our own, as Ray carries it
            found = await far.call("ask", 0, sent)
            return [pickle.loads(pickle.dumps(found)), await exchanged(backend, body)]  # noqa: S301

        (there, _), (here, _) = asyncio.run(both())
    assert there.text == here.text == "blue"
    assert there.usage == here.usage


def test_a_medium_arrives_whole() -> None:
    one = Base64(b"data:image/png;base64,", *base64_of(b"\x00\x01picture").parts)
    copy = pickle.loads(pickle.dumps(one))  # noqa: S301 - our own
    assert (copy.parts, str(copy)) == (one.parts, str(one))
