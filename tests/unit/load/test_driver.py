"""N clients share one source of requests, and nothing of theirs is left behind."""

from __future__ import annotations

import asyncio
import gc
import sys
from time import perf_counter_ns
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.benchmark_documents import trace_of

from pytest_llamaburn.load.driver import closed_loop, open_loop, quiet_gc
from pytest_llamaburn.load.loop import loop_factory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.trace import Trace

TRACE = trace_of()


class FakeWire:
    """A connection that only knows whether it was closed."""

    closed = False

    async def open(self) -> float | None:
        return None

    def close(self) -> None:
        self.closed = True


class Bench:
    """Fake clients: what they sent, how many at once, and what was told as done."""

    def __init__(self, enough: int = 1) -> None:
        """Answer no request before this many are in flight."""
        self.enough = enough
        self.wires: list[FakeWire] = []
        self.sent: list[int] = []
        self.finished: list[int] = []
        self.in_flight = self.most = 0
        self.full = asyncio.Event()

    def open_wire(self) -> Wire:
        self.wires.append(FakeWire())
        return cast("Wire", self.wires[-1])

    async def send(self, wire: Wire, request: int) -> Trace:
        assert cast("FakeWire", wire) in self.wires
        self.sent.append(request)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        if self.in_flight >= self.enough:
            self.full.set()
        try:
            await self.full.wait()
            await asyncio.sleep(0)
        finally:
            self.in_flight -= 1
        return TRACE

    def done(self, request: int, trace: Trace) -> None:
        assert trace is TRACE
        self.finished.append(request)

    async def run(self, requests: Iterable[int], clients: int) -> None:
        await closed_loop(requests, clients, self.open_wire, self.send, self.done)


def ran(count: int, clients: int) -> Bench:
    async def main() -> Bench:
        bench = Bench(min(count, clients))
        await bench.run(range(count), clients)
        return bench

    return asyncio.run(main())


@settings(max_examples=25)  # each collects the garbage of the whole session
@given(st.integers(0, 30), st.integers(1, 8))
def test_each_request_is_sent_and_done_once_by_exactly_the_clients_there_are(
    count: int, clients: int
) -> None:
    bench = ran(count, clients)
    assert bench.sent == list(range(count))
    assert sorted(bench.finished) == list(range(count))
    assert bench.most == min(count, clients)


def test_one_client_is_done_with_a_request_before_it_sends_the_next() -> None:
    told: list[tuple[str, int]] = []

    async def send(_: Wire, request: int) -> Trace:
        told.append(("sent", request))
        return TRACE

    def done(request: int, _: Trace) -> None:
        told.append(("done", request))

    asyncio.run(closed_loop(range(3), 1, Bench().open_wire, send, done))
    assert told == [(what, i) for i in range(3) for what in ("sent", "done")]


def test_each_client_has_a_connection_of_its_own_and_closes_it() -> None:
    bench = ran(5, 3)
    assert len(bench.wires) == 3
    assert all(wire.closed for wire in bench.wires)


def test_requests_are_made_when_a_client_is_free_and_not_before() -> None:
    made: list[int] = []

    def requests() -> Iterable[int]:
        for number in range(4):
            made.append(number)
            yield number

    def done(request: int, _: Trace) -> None:
        assert made == list(range(request + 1))

    async def send(_: Wire, __: int) -> Trace:
        return TRACE

    asyncio.run(closed_loop(requests(), 1, Bench().open_wire, send, done))
    assert made == [0, 1, 2, 3]


def failing(place: str) -> tuple[Bench, LookupError]:
    """Run three clients of which one fails while the others wait for ever."""

    async def main() -> tuple[Bench, LookupError]:
        bench = Bench(enough=99)
        reached = asyncio.Event()

        async def send(wire: Wire, request: int) -> Trace:
            if request == 2:
                reached.set()
            if request == 0:
                await reached.wait()
                if place == "send":
                    raise LookupError(place)
                return TRACE
            return await bench.send(wire, request)

        def done(request: int, trace: Trace) -> None:
            raise LookupError(place)

        with pytest.raises(LookupError) as caught:
            await closed_loop(range(9), 3, bench.open_wire, send, done)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return bench, caught.value

    return asyncio.run(main())


@pytest.mark.parametrize("place", ["send", "done"])
def test_an_exception_of_one_client_cancels_the_others_and_is_raised(place: str) -> None:
    bench, error = failing(place)
    assert error.args == (place,)
    assert bench.sent == [1, 2]
    assert bench.finished == []
    assert bench.in_flight == 0
    assert all(wire.closed for wire in bench.wires)


@pytest.fixture
def collector() -> Iterable[Callable[[bool], None]]:
    was_on = gc.isenabled()
    yield lambda on: gc.enable() if on else gc.disable()
    gc.enable() if was_on else gc.disable()


@pytest.mark.parametrize("on", [True, False])
def test_the_garbage_collector_rests_and_is_then_as_before(
    collector: Callable[[bool], None], on: bool
) -> None:
    collector(on)
    frozen = gc.get_freeze_count()
    with quiet_gc():
        assert not gc.isenabled()
    assert gc.isenabled() is on
    assert gc.get_freeze_count() <= frozen


def test_the_garbage_collector_works_again_after_an_exception(
    collector: Callable[[bool], None],
) -> None:
    collector(True)
    frozen = gc.get_freeze_count()
    failing("send")
    assert gc.isenabled()
    assert gc.get_freeze_count() <= frozen


def test_clients_pause_before_their_first_request_and_after_each() -> None:
    told: list[str] = []

    async def send(_: Wire, __: int) -> Trace:
        told.append("sent")
        return TRACE

    async def pause(first: bool) -> None:
        told.append("began" if first else "thought")

    bench = Bench()
    asyncio.run(closed_loop(range(2), 1, bench.open_wire, send, lambda *_: None, pause))
    assert told == ["began", *["sent", "thought"] * 2]


MS = 1_000_000


def scheduled(gaps_ms: list[float], answer_s: float = 0.0) -> tuple[Bench, list[tuple[int, int]]]:
    """Return what an open loop with these gaps did, and (due, sent) of each request."""
    bench, times = Bench(), []

    async def main() -> None:
        now = perf_counter_ns()
        due = [now + round(sum(gaps_ms[: i + 1]) * MS) for i in range(len(gaps_ms))]

        async def send(wire: Wire, request: int) -> Trace:
            times.append((due[request], perf_counter_ns()))
            bench.sent.append(request)
            await asyncio.sleep(answer_s)
            return TRACE

        requests = list(zip(due, range(len(due)), strict=True))
        await open_loop(requests, bench.open_wire, send, bench.done)

    asyncio.run(main())
    return bench, times


def test_a_schedule_sends_in_its_order_and_never_before_its_time() -> None:
    bench, times = scheduled([60, 20, 20, 3, 40])
    assert bench.sent == list(range(5))
    assert all(sent >= due for due, sent in times)
    assert sorted(bench.finished) == list(range(5))


def test_a_schedule_does_not_wait_for_answers_and_reuses_connections_that_are_free() -> None:
    bench, _ = scheduled([1, 1, 1, 1], answer_s=0.2)
    assert len(bench.wires) == 4
    bench, _ = scheduled([1, 200, 200], answer_s=0)
    assert len(bench.wires) == 1
    assert bench.wires[0].closed


def test_a_server_that_refuses_connections_is_the_sends_to_tell() -> None:
    class Refused(FakeWire):
        async def open(self) -> float | None:
            raise ConnectionRefusedError

    bench = Bench()

    def open_wire() -> Wire:
        bench.wires.append(Refused())
        return cast("Wire", bench.wires[-1])

    due = [(perf_counter_ns(), number) for number in range(3)]
    asyncio.run(open_loop(due, open_wire, bench.send, bench.done))
    assert sorted(bench.finished) == [0, 1, 2]


@pytest.mark.parametrize("place", ["send", "done", "schedule"])
def test_what_a_scheduled_request_raises_is_raised_alone_and_closes_all(place: str) -> None:
    bench = Bench(enough=1)

    async def send(wire: Wire, request: int) -> Trace:
        if place == "send" and request == 1:
            raise LookupError(place)
        return await bench.send(wire, request)

    def done(request: int, trace: Trace) -> None:
        if place == "done" and request == 1:
            raise LookupError(place)

    def due() -> Iterable[tuple[int, int]]:
        for number in range(3):
            yield perf_counter_ns(), number
        if place == "schedule":
            raise LookupError(place)

    with pytest.raises(LookupError) as caught:
        asyncio.run(open_loop(due(), bench.open_wire, send, done))
    assert caught.value.args == (place,)
    assert bench.in_flight == 0
    assert all(wire.closed for wire in bench.wires)


def test_without_uvloop_the_loop_is_asyncios_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loop_factory() is not None
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory() is None
