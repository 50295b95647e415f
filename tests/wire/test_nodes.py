"""Several machines send one load together, and what one of them leaves undone is no failure."""

from __future__ import annotations

import asyncio
from collections import Counter
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.near_nodes import NearNode
from support.slot_server import SlotServer

from pytest_llamaburn.backends import openai
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.datasets import Prompt
from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.load import rows
from pytest_llamaburn.load.nodes import Nodes
from pytest_llamaburn.load.sender import RequestRange
from pytest_llamaburn.load.servers import Servers
from pytest_llamaburn.load.step import CLIENTS, RATE, Step
from pytest_llamaburn.load.workers import setup_of
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from pytest_llamaburn.load.rows import Row
    from pytest_llamaburn.load.workers import Setup
    from pytest_llamaburn.settings import Run

LIMIT_S = 120
HOUR_NS = 3600 * 10**9


def quick(_: int) -> float:
    return 0.01


def setup(host: str, **asked: Any) -> Setup:
    own = openai.Backend(cast("Run", model_of(Stress)(host=host, **asked)))
    return setup_of(Servers([own]), Model("tiny", "tiny"), [Prompt("one", "short", "One?")])


def led(
    folder: Path,
    told: Setup,
    machines: Sequence[NearNode],
    work: Callable[[Nodes], Awaitable[None]],
) -> list[Row]:
    """Lead some machines through some work; return the rows."""

    async def main() -> None:
        nodes = Nodes(machines, told, folder)
        await nodes.start(1, "main-0")
        try:
            await asyncio.wait_for(work(nodes), LIMIT_S)
        finally:
            await nodes.close()
            nodes.forget()
            await asyncio.gather(*(machine.end() for machine in machines))

    asyncio.run(main())
    return list(rows.read(folder))


@pytest.mark.parametrize(("unit", "level"), [(CLIENTS, 3), (RATE, 200)])
def test_machines_whose_clocks_are_hours_apart_send_one_load(
    unit: str, level: float, tmp_path: Path
) -> None:
    began_ns, starts_ns = perf_counter_ns(), []

    async def work(nodes: Nodes) -> None:
        starts_ns.append(perf_counter_ns() + nodes.lead_ns)
        health = await nodes.send(Step(level, unit, 12), RequestRange(1), starts_ns[0])
        assert health.wall_s > 0
        assert nodes.counts["done"] == 12
        assert not nodes.losses
        assert [set(one) >= {"offset_bound_ms", "drift_ppm"} for one in nodes.clocks()] == [
            True
        ] * 2

    machines = [NearNode("a", 7 * HOUR_NS), NearNode("b", -2 * HOUR_NS)]
    with SlotServer(4, quick) as server:
        found = led(tmp_path, setup(server.host, arrival="static"), machines, work)
    assert sorted((row.step, row.number) for row in found) == [(1, number) for number in range(12)]
    assert {row.node for row in found} == {0, 1}
    slack_ns = 10**9  # of the readings, on a machine that is busy; an hour would be 3600 times it
    assert all(began_ns - slack_ns < row.sent_ns < row.end_ns for row in found)
    assert max(row.end_ns for row in found) < perf_counter_ns() + slack_ns
    if unit == RATE:
        due = sorted(row.scheduled_ns - starts_ns[0] for row in found)
        assert due == pytest.approx([number * 10**9 / level for number in range(12)], abs=slack_ns)


def test_a_machine_that_dies_leaves_its_requests_unsent_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    told: list[int | None] = []

    async def work(nodes: Nodes) -> None:
        start_ns = perf_counter_ns() + nodes.lead_ns
        await nodes.send(Step(4, CLIENTS, 120), RequestRange(1), start_ns)
        (loss,) = nodes.losses
        assert (loss.node, loss.reason) == (1, "it died")
        told.append(loss.unsent)
        await nodes.send(Step(4, CLIENTS, 8), RequestRange(2), perf_counter_ns() + nodes.lead_ns)
        assert not nodes.losses
        assert nodes.clocks()[1]["lost"] == "it died"

    with SlotServer(8, lambda _: 0.05) as server:
        machines = [NearNode("a"), NearNode("b", dies=lambda: server.served > 20)]
        found = led(tmp_path, setup(server.host), machines, work)
    first = [row for row in found if row.step == 1]
    assert {row.number for row in first if row.node == 0} >= {*range(0, 120, 2)}
    assert told == [60 - sum(row.node == 1 for row in first)]
    assert told[0]
    assert not any(row.error for row in found)
    assert Counter((row.step, row.node) for row in found)[2, 0] == 8


def test_a_machine_whose_process_is_killed_is_lost(tmp_path: Path) -> None:
    async def work(nodes: Nodes) -> None:
        start_ns = perf_counter_ns() + nodes.lead_ns
        sending = asyncio.create_task(nodes.send(Step(2, CLIENTS, 40), RequestRange(1), start_ns))
        while server.served < 8:  # noqa: ASYNC110 - a server in a thread has no event for it
            await asyncio.sleep(0.01)
        workers: Any = machines[1].node._workers
        workers._workers[0].kill()
        await sending
        (loss,) = nodes.losses
        assert (loss.node, loss.reason) == (1, "a sending process ended with -9")

    machines = [NearNode("a"), NearNode("b")]
    with SlotServer(8, lambda _: 0.05) as server:
        found = led(tmp_path, setup(server.host), machines, work)
    assert {row.number for row in found if row.node == 0} == {*range(0, 40, 2)}
    assert any(row.node == 1 for row in found)


def test_the_unsent_requests_of_a_schedule_are_known(tmp_path: Path) -> None:
    async def work(nodes: Nodes) -> None:
        start_ns = perf_counter_ns() + nodes.lead_ns
        await nodes.send(Step(100, RATE, seconds=0.5), RequestRange(1), start_ns)
        assert [(loss.node, loss.unsent) for loss in nodes.losses] == [(1, 25)]

    machines = [NearNode("a"), NearNode("b", dies=lambda: True)]
    with SlotServer(8, quick) as server:
        found = led(tmp_path, setup(server.host, arrival="static"), machines, work)
    assert [row.node for row in found] == [0] * 25


def test_a_load_without_a_machine_ends(tmp_path: Path) -> None:
    async def work(nodes: Nodes) -> None:
        start_ns = perf_counter_ns() + nodes.lead_ns
        await nodes.send(Step(1, CLIENTS, 2), RequestRange(1), start_ns)
        with pytest.raises(LlamaBurnError, match="all machines that send the load are lost"):
            await nodes.send(Step(1, CLIENTS, 2), RequestRange(2), start_ns)

    with SlotServer(4, quick) as server:
        assert led(tmp_path, setup(server.host), [NearNode("a", dies=lambda: True)], work) == []


def test_what_a_machine_cannot_do_is_told_with_its_name(tmp_path: Path) -> None:
    async def work(nodes: Nodes) -> None:
        with pytest.raises(LlamaBurnError, match=r"a: a schedule at 0\.0 requests/s"):
            await nodes.send(Step(0.0, RATE, 3), RequestRange(1), perf_counter_ns())

    assert led(tmp_path, setup("http://127.0.0.1:9"), [NearNode("a")], work) == []


def test_a_visit_that_is_held_open_goes_on_at_all_machines(tmp_path: Path) -> None:
    async def work(nodes: Nodes) -> None:
        start_ns = perf_counter_ns() + nodes.lead_ns
        await nodes.send(Step(2, CLIENTS, 6, hold_open=True), RequestRange(1), start_ns)
        more = Step(2, CLIENTS, 6, from_idle=False, hold_open=True)
        await nodes.send(more, RequestRange(1, 0, 6), perf_counter_ns())
        await nodes.leave()

    with SlotServer(4, quick) as server:
        found = led(tmp_path, setup(server.host), [NearNode("a"), NearNode("b")], work)
    assert {row.number for row in found} >= {*range(12)}
    assert len({row.number for row in found}) == len(found)
