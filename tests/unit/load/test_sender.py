"""One process sends a step's load: its visits, its numbers, its pauses and its end."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.benchmark_documents import failed_trace, trace_of
from support.fake_backend import PROMPTS, FakeBackend

from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.load import rows
from pytest_llamaburn.load.rows import Rows
from pytest_llamaburn.load.sender import RequestRange, Sender
from pytest_llamaburn.load.servers import Servers
from pytest_llamaburn.load.step import CLIENTS, RATE, Burst, Step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.load.rows import Row
    from pytest_llamaburn.trace import Trace


async def sending_of(
    folder: Path, backend: FakeBackend, work: Callable[[Sender], Awaitable[None]]
) -> list[Row]:
    """Let a sender do some work; return its rows, in the order they ended."""
    own = Rows(folder, "main")
    sender = Sender(Servers([cast("Backend", backend)]), Model("tiny", "tiny"), PROMPTS, own)
    try:
        await work(sender)
    finally:
        await sender.close()
    return list(rows.read(folder))


def sent_traces(
    folder: Path, backend: FakeBackend, work: Callable[[Sender], Awaitable[None]]
) -> list[Row]:
    """Do the same from the outside."""
    return asyncio.run(sending_of(folder, backend, work))


def single_send(
    step: Step,
    place: RequestRange = RequestRange(1),  # noqa: B008
) -> Callable[[Sender], Awaitable[None]]:
    async def work(sender: Sender) -> None:
        await sender.send(step, place, perf_counter_ns())

    return work


def test_a_step_of_requests_sends_so_many_and_counts_them(tmp_path: Path) -> None:
    async def work(sender: Sender) -> None:
        health = await sender.send(Step(3, CLIENTS, 7), RequestRange(4, 2), perf_counter_ns())
        assert health.wall_s > 0
        assert sender.counts == {"in_flight": 0, "done": 7, "tokens": 7 * 5}
        assert not sender.gone

    found = sent_traces(tmp_path, FakeBackend(), work)
    assert sorted(row.number for row in found) == list(range(7))
    assert {(row.step, row.attempt) for row in found} == {(4, 2)}
    assert {row.prompt_id for row in found} == {"one", "two"}


@pytest.mark.parametrize("unit", [CLIENTS, RATE])
def test_workers_share_the_numbers_of_a_step(unit: str, tmp_path: Path) -> None:
    found = []
    for worker in range(3):
        folder = tmp_path / str(worker)
        folder.mkdir()
        place = RequestRange(1, worker=worker, workers=3)
        mine = sent_traces(folder, FakeBackend(), single_send(Step(300, unit, 10), place))
        assert {row.number % 3 for row in mine} == {worker}
        found += [row.number for row in mine]
    assert sorted(found) == list(range(10))


def test_numbers_of_a_visit_that_goes_on_are_shared_as_from_its_beginning() -> None:
    shares = [RequestRange(1, 0, 5, worker, 3).numbers(7) for worker in range(3)]
    assert [list(share) for share in shares] == [[6, 9], [7, 10], [5, 8, 11]]


def test_a_step_of_seconds_sends_until_they_are_over(tmp_path: Path) -> None:
    begun = perf_counter_ns()
    found = sent_traces(tmp_path, FakeBackend(), single_send(Step(2, CLIENTS, seconds=0.2)))
    assert found
    assert max(row.scheduled_ns for row in found) - begun < 60e9
    assert sorted(row.number for row in found) == list(range(len(found)))


def test_clients_that_stay_work_on_until_they_are_left(tmp_path: Path) -> None:
    step = Step(2, CLIENTS, 4, hold_open=True)

    async def work(sender: Sender) -> None:
        await sender.send(step, RequestRange(1), perf_counter_ns())
        seen = {row.number for row in rows.read(tmp_path)}
        assert set(range(4)) <= seen
        await sender.send(step, RequestRange(1, 0, 4), perf_counter_ns())
        await sender.leave()

    found = sent_traces(tmp_path, FakeBackend(), work)
    numbers = sorted(row.number for row in found)
    assert set(range(8)) <= set(numbers)
    assert numbers == list(range(len(numbers)))


def test_what_was_sent_ahead_is_not_waited_for_again(tmp_path: Path) -> None:
    step = Step(1, CLIENTS, 2, hold_open=True)

    async def work(sender: Sender) -> None:
        await sender.send(step, RequestRange(1), perf_counter_ns())
        while sender.counts["done"] < 6:  # noqa: ASYNC110 - the sender has no event for it
            await asyncio.sleep(0)
        await sender.send(step, RequestRange(1, 0, 2), perf_counter_ns())
        await sender.send(
            Step(1, CLIENTS, 3), RequestRange(2), perf_counter_ns()
        )  # leaves by itself

    found = sent_traces(tmp_path, FakeBackend(), work)
    assert sorted(row.number for row in found if row.step == 2) == [0, 1, 2]


def test_what_fails_ahead_has_a_limit_and_the_visit_goes_on_behind_it(tmp_path: Path) -> None:
    step = Step(1, CLIENTS, 2, hold_open=True)

    async def answer() -> Trace:
        return failed_trace()

    async def work(sender: Sender) -> None:
        await sender.send(step, RequestRange(1), perf_counter_ns())
        for _ in range(1000):  # a server that refuses at once is not asked without end
            await asyncio.sleep(0)
        assert sender.counts["failed"] == 2 + 4
        await sender.send(
            Step(1, CLIENTS, 9, hold_open=True), RequestRange(1, 0, 2), perf_counter_ns()
        )
        await sender.leave()

    numbers = [row.number for row in sent_traces(tmp_path, FakeBackend(answer), work)]
    assert numbers == list(range(len(numbers)))
    assert 2 + 9 <= len(numbers) <= 2 + 9 + 4


def test_a_server_that_is_gone_ends_the_load_early(tmp_path: Path) -> None:
    async def answer() -> Trace:
        return failed_trace("connect_refused")

    async def work(sender: Sender) -> None:
        await sender.send(Step(1, CLIENTS, 500, hold_open=True), RequestRange(1), perf_counter_ns())
        assert sender.gone
        assert sender.counts["failed"] == 20
        await sender.send(Step(1000, RATE, 50), RequestRange(2), perf_counter_ns())

    found = sent_traces(tmp_path, FakeBackend(answer), work)
    assert len(found) == 20


def test_an_answer_in_between_shows_that_the_server_is_there(tmp_path: Path) -> None:
    answers = iter([*["connect_refused"] * 19, None] * 3)

    async def answer() -> Trace:
        kind = next(answers)
        return failed_trace(kind) if kind else trace_of()

    async def work(sender: Sender) -> None:
        await sender.send(Step(1, CLIENTS, 60), RequestRange(1), perf_counter_ns())
        assert not sender.gone

    assert len(sent_traces(tmp_path, FakeBackend(answer), work)) == 60


def test_recent_latencies_are_of_answers_that_ended_in_the_last_seconds(tmp_path: Path) -> None:
    ages_s = iter([9.0, 1.0, 0.5])

    async def aged() -> Trace:
        trace = trace_of() if (age_s := next(ages_s)) > 0.5 else failed_trace()
        took_ns = trace.end_ns - trace.sent_ns
        trace.end_ns = perf_counter_ns() - int(age_s * 1e9)
        trace.sent_ns = trace.end_ns - took_ns
        return trace

    async def work(sender: Sender) -> None:
        await sender.send(Step(1, CLIENTS, 3), RequestRange(1), perf_counter_ns())
        assert sender.recent_ms == [pytest.approx(142)]

    assert len(sent_traces(tmp_path, FakeBackend(aged), work)) == 3


def test_an_answer_of_nothing_is_a_failed_request(tmp_path: Path) -> None:
    async def nothing() -> Trace:
        return trace_of([], None, None)

    (row,) = sent_traces(tmp_path, FakeBackend(nothing), single_send(Step(1, CLIENTS, 1)))
    assert row.error is not None
    assert row.error["kind"] == "empty_answer"


def test_a_schedule_is_kept_and_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    def offsets(name: str, **asked: Any) -> list[int]:
        folder = tmp_path / name
        folder.mkdir()
        found = sent_traces(folder, FakeBackend(**asked), single_send(Step(200, RATE, 12)))
        due = sorted(row.scheduled_ns for row in found)
        return [ns - due[0] for ns in due]

    assert offsets("a") == pytest.approx(offsets("b"), abs=1)
    assert offsets("c", seed=1) != pytest.approx(offsets("d"), abs=1)
    steady = offsets("e", arrival="static")
    assert steady == pytest.approx([5_000_000 * i for i in range(12)], abs=1)


@pytest.mark.parametrize(("unit", "level"), [(CLIENTS, 2), (RATE, 100)])
def test_a_burst_comes_on_top_and_its_requests_say_so(
    unit: str, level: float, tmp_path: Path
) -> None:
    burst = Burst(0.2, 0.2, level, unit)
    begun_ns: list[int] = []

    async def work(sender: Sender) -> None:
        begun_ns.append(perf_counter_ns())
        await sender.send(
            Step(20, RATE, seconds=0.6, bursts=(burst,)), RequestRange(1), begun_ns[0]
        )

    found = sent_traces(tmp_path, FakeBackend(), work)
    upon = [row for row in found if row.burst]
    own = [row for row in found if not row.burst]
    assert upon
    assert own
    assert min(row.scheduled_ns for row in upon) >= begun_ns[0] + 200_000_000
    assert len({row.number for row in found}) == len(found)


@pytest.mark.parametrize(("cache", "alike"), [("bust", False), ("warm", True)])
def test_prompts_are_fresh_unless_the_cache_is_to_be_warm(
    cache: str, alike: bool, tmp_path: Path
) -> None:
    backend = FakeBackend(cache=cache)
    for run in ("first", "second"):
        folder = tmp_path / run
        folder.mkdir()
        sent_traces(folder, backend, single_send(Step(1, CLIENTS, 4)))
    assert (backend.bodies[0] == backend.bodies[2]) is alike
    assert (backend.bodies[:4] == backend.bodies[4:]) is alike


def test_clients_think_between_their_requests(tmp_path: Path) -> None:
    found = sent_traces(
        tmp_path, FakeBackend(think_time="40ms-60ms"), single_send(Step(1, CLIENTS, 3))
    )
    due = [row.scheduled_ns for row in found]
    assert all(b - a >= 40_000_000 for a, b in pairwise(due))


@pytest.mark.parametrize("stays", [True, False])
def test_what_is_in_flight_is_dropped_when_the_run_is_cut(stays: bool, tmp_path: Path) -> None:
    async def main() -> list[Row]:
        reached = asyncio.Event()

        async def never() -> Trace:
            reached.set()
            await asyncio.Event().wait()
            raise AssertionError

        async def work(sender: Sender) -> None:
            sending = asyncio.create_task(send(sender))
            await reached.wait()
            sending.cancel()
            await asyncio.wait({sending})
            assert sending.cancelled()

        async def send(sender: Sender) -> None:
            await sender.send(
                Step(2, CLIENTS, 4, hold_open=stays), RequestRange(1), perf_counter_ns()
            )

        found = await sending_of(tmp_path, FakeBackend(never), work)
        await asyncio.sleep(0)  # what was cancelled ends
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return found

    assert asyncio.run(main()) == []


def test_what_sending_raises_is_raised_alone(tmp_path: Path) -> None:
    async def answer() -> Trace:
        raise LookupError("ours")

    with pytest.raises(LookupError, match="ours"):
        sent_traces(tmp_path, FakeBackend(answer), single_send(Step(50, RATE, 4)))
