"""Worker processes send one load together, and none outlives the one that leads them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, cast

import msgspec
import psutil
import pytest
from support.scripted import OllamaFacade, ScriptedServer
from support.slot_server import SlotServer

from pytest_llamaburn.backends import ollama, openai
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.datasets import Prompt
from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.load import rows
from pytest_llamaburn.load.sender import RequestRange
from pytest_llamaburn.load.servers import Servers
from pytest_llamaburn.load.step import CLIENTS, RATE, Step
from pytest_llamaburn.load.workers import Setup, Task, Workers, setup_of
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.settings import Run

LIMIT_S = 60
MODEL, PROMPTS = Model("tiny", "tiny"), [Prompt("one", "short", "One?")]


def quick(_: int) -> float:
    return 0.01


def never(_: int) -> float:
    return 3600.0


def backend(host: str, kind: type[Backend] = openai.Backend, **asked: Any) -> Backend:
    return kind(cast("Run", model_of(Stress)(host=host, **asked)))


def led(
    folder: Path,
    host: str,
    work: Callable[[Workers], Awaitable[None]],
    count: int = 2,
    kind: type[Backend] = openai.Backend,
    **asked: Any,
) -> list[tuple[int, int]]:
    """Lead some workers through some work; return the (step, number) of each request."""

    async def main() -> None:
        servers = Servers([backend(host, kind, **asked)])
        workers = Workers(setup_of(servers, MODEL, PROMPTS))
        await workers.start(count, folder, "main-0")
        try:
            await asyncio.wait_for(work(workers), LIMIT_S)
        finally:
            await asyncio.wait_for(workers.close(), LIMIT_S)
        assert all(process.returncode is not None for process in workers._workers)

    asyncio.run(main())
    return sorted((row.step, row.number) for row in rows.read(folder))


@pytest.mark.parametrize(("unit", "level"), [(CLIENTS, 3), (RATE, 200)])
def test_each_request_is_sent_by_exactly_one_of_the_workers(
    unit: str, level: float, tmp_path: Path
) -> None:
    async def work(workers: Workers) -> None:
        health = await workers.send(Step(level, unit, 9), RequestRange(1), perf_counter_ns())
        assert health.wall_s > 0
        assert workers.counts["done"] == len(workers.recent_ms) == 9
        assert not workers.gone

    with SlotServer(4, quick) as server:
        found = led(tmp_path, server.host, work)
    assert found == [(1, number) for number in range(9)]
    assert len(list(tmp_path.glob("main-0-*.rows"))) == 2


def test_workers_speak_the_dialect_of_the_one_that_leads_them(tmp_path: Path) -> None:
    async def work(workers: Workers) -> None:
        await workers.send(Step(2, CLIENTS, 4), RequestRange(1), perf_counter_ns())
        assert (workers.counts["done"], workers.counts["failed"]) == (4, 0)

    with ScriptedServer(OllamaFacade()) as server:
        led(tmp_path, server.host, work, kind=ollama.Backend)
    assert {request.split(b" ", 2)[1] for request in server.requests} == {b"/api/chat"}


def test_a_worker_without_a_client_sends_nothing_and_those_that_stay_are_left(
    tmp_path: Path,
) -> None:
    async def work(workers: Workers) -> None:
        await workers.send(Step(1, CLIENTS, 3, hold_open=True), RequestRange(1), perf_counter_ns())
        await workers.leave()

    with SlotServer(4, quick) as server:
        found = led(tmp_path, server.host, work)
    assert found == [(1, number) for number in range(len(found))]
    assert len(found) >= 3


def test_workers_tell_when_there_is_no_server_any_more(tmp_path: Path) -> None:
    async def work(workers: Workers) -> None:
        await workers.send(Step(2, CLIENTS, 200), RequestRange(1), perf_counter_ns())
        assert workers.gone

    with SlotServer(1, quick) as server:
        host = server.host
    assert len(led(tmp_path, host, work)) < 200


def test_a_worker_may_say_more_at_once_than_a_pipe_holds(tmp_path: Path) -> None:
    async def work(workers: Workers) -> None:
        with pytest.raises(LlamaBurnError, match="x' is refused"):
            await workers.send(Step(1, CLIENTS, 3), RequestRange(1), perf_counter_ns())

    led(tmp_path, "http://127.0.0.1:9", work, think_time="x" * 100_000)


def test_what_a_worker_cannot_do_is_told_in_its_own_sentence(tmp_path: Path) -> None:
    async def work(workers: Workers) -> None:
        with pytest.raises(LlamaBurnError, match=r"a schedule at 0\.0 requests/s"):
            await workers.send(Step(0.0, RATE, 3), RequestRange(1), perf_counter_ns())

    assert led(tmp_path, "http://127.0.0.1:9", work, count=1) == []


def test_a_worker_that_ends_by_itself_is_told(tmp_path: Path) -> None:
    async def work(workers: Workers) -> None:
        workers._workers[0].kill()
        await workers._workers[0].wait()
        with pytest.raises((LlamaBurnError, OSError)):
            await workers.leave()

    assert led(tmp_path, "http://127.0.0.1:9", work, count=1) == []


def test_a_worker_that_is_killed_in_the_middle_of_a_step_ends_it(tmp_path: Path) -> None:
    async def work(workers: Workers) -> None:
        sending = asyncio.create_task(send(workers))
        while not workers.counts["in_flight"]:  # noqa: ASYNC110 - they tell twice a second
            await asyncio.sleep(0.05)
        workers._workers[0].kill()
        with pytest.raises(LlamaBurnError, match="a sending process ended with -9"):
            await sending

    async def send(workers: Workers) -> None:
        await workers.send(Step(1, CLIENTS, 4), RequestRange(1), perf_counter_ns())

    with SlotServer(4, never) as server:
        assert led(tmp_path, server.host, work, count=1) == []


def test_closing_in_the_middle_of_a_step_ends_the_workers(tmp_path: Path) -> None:
    async def work(workers: Workers) -> None:
        sending = asyncio.create_task(send(workers))
        while not workers.counts["in_flight"]:  # noqa: ASYNC110 - they tell twice a second
            await asyncio.sleep(0.05)
        sending.cancel()
        await asyncio.wait({sending})

    async def send(workers: Workers) -> None:
        await workers.send(Step(2, CLIENTS, 4), RequestRange(1), perf_counter_ns())

    with SlotServer(4, never) as server:
        assert led(tmp_path, server.host, work) == []


def test_a_worker_whose_leader_is_killed_ends(tmp_path: Path) -> None:
    with SlotServer(4, never) as server:
        told = messages(tmp_path, server.host)
        leader = subprocess.Popen(
            [sys.executable, "-c", LEADER, json.dumps(told)], stdout=subprocess.PIPE, text=True
        )
        assert leader.stdout is not None
        worker = psutil.Process(int(leader.stdout.readline()))
        assert "in_flight" in leader.stdout.readline()  # it is in the middle of a step
        leader.kill()
        leader.communicate(timeout=LIMIT_S)
        gone, _ = psutil.wait_procs([worker], timeout=LIMIT_S)
    assert gone == [worker]


LEADER = """
import json, subprocess, sys
lines = [json.dumps(one).encode() for one in json.loads(sys.argv[1])]
worker = subprocess.Popen(
    [sys.executable, "-m", "pytest_llamaburn.load.workers"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
)
print(worker.pid, flush=True)
worker.stdin.write(b"\\n".join([*lines, b""]))
worker.stdin.flush()
worker.stdout.readline()  # it is ready
print(worker.stdout.readline().decode(), flush=True)
worker.wait()
"""


def messages(folder: Path, host: str) -> list[Any]:
    """Return what a leader tells a worker at first and for its first step."""
    own = backend(host)
    settings = own.settings.model_dump(mode="json")  # type: ignore[attr-defined]
    setup = Setup([own.connection_info()], settings, MODEL, [*PROMPTS], str(folder), "main-0-0")
    task = Task(Step(2, CLIENTS, 4), RequestRange(1), perf_counter_ns(), own.deadlines)
    return [msgspec.to_builtins(message) for message in (setup, task)]
