"""A level counts what was sent while its load was whole, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import virtual_time
from support.fake_backend import PROMPTS, FakeBackend
from support.stress_documents import (
    HEALTHY,
    MS,
    SECOND,
    baseline,
    closed_loop,
    open_loop,
    stress_document,
)

from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.capacity import measuring_window
from pytest_llamaburn.kinds.stress import levels
from pytest_llamaburn.kinds.stress.levels import Excluded, Visit
from pytest_llamaburn.kinds.stress.plan import Window
from pytest_llamaburn.load import driver, rows, sender
from pytest_llamaburn.load.rows import Request, Rows, request_of
from pytest_llamaburn.load.sender import RequestRange, Sender
from pytest_llamaburn.load.servers import Servers
from pytest_llamaburn.load.step import CLIENTS, RATE, Step, StepHealth
from pytest_llamaburn.trace import Delta, Failed, Finished, Headers, Sent, Usage, fold

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.load.rows import Row
    from pytest_llamaburn.trace import Trace

NOTHING = Excluded(Window(), Window())


class VirtualBackend(FakeBackend):
    """A server of some slots; `lasts` are the services, in seconds, negative ones refusals."""

    def __init__(self, slots: int, lasts: Any, **asked: Any) -> None:
        super().__init__(**asked)
        self._slots, self._lasts = asyncio.Semaphore(slots), lasts

    async def stream(self, wire: Any, payload: bytes) -> Trace:
        sent, lasts = self._now(), next(self._lasts)
        if lasts < 0:
            await asyncio.sleep(-lasts)
            failure = Failed(self._now(), "queue_full", "response", 503, "full")
            return fold([Sent(sent), Headers(self._now(), 503), failure])
        async with self._slots:
            await asyncio.sleep(lasts / 2)
            first = self._now()
            await asyncio.sleep(lasts / 2)
        last = self._now()
        deltas = [Delta(first, "content", "a"), Delta(last, "content", "b")]
        usage = Usage(1, 2)
        return fold([Sent(sent), Headers(first, 200), *deltas, usage, Finished(last, "stop")])

    def _now(self) -> int:
        return cast("virtual_time.VirtualLoop", asyncio.get_running_loop()).perf_counter_ns()


def visited(
    folder: Path,
    backend: VirtualBackend,
    steps: list[tuple[Step, float]],
    patch: pytest.MonkeyPatch,
) -> list[Row]:
    """Return the rows of one visit whose next step is planned for so many seconds."""

    async def work() -> None:
        own = Sender(
            Servers([cast("Backend", backend)]), Model("m", "m"), PROMPTS, Rows(folder, "main")
        )
        first = 0
        for step, planning_s in steps:
            await own.send(step, RequestRange(1, 0, first), 0)
            first += step.requests or 0
            await asyncio.sleep(planning_s)
        await own.leave()
        await own.close()

    virtual_time.run(work(), patch, driver, sender)
    return [*rows.read(folder)]


def visit(level: float, rows: list[Row], unit: str = CLIENTS) -> Visit:
    return Visit(Step(level, unit), rows, 0, StepHealth(**HEALTHY))


def in_flight(made: list[Row], at: float) -> int:
    return sum(row.sent_ns <= at < row.end_ns for row in made)


@settings(max_examples=12, deadline=None)
@given(
    clients=st.integers(1, 9),
    plans=st.lists(st.sampled_from([0.0, 0.1, 3.0, 60.0]), min_size=2, max_size=5),
    straggles_s=st.sampled_from([1.0, 40.0]),
    seed=st.integers(0, 99),
)
def test_however_long_planning_takes_a_level_is_held_and_its_rate_is_the_servers(
    tmp_path_factory: pytest.TempPathFactory,
    clients: int,
    plans: list[float],
    straggles_s: float,
    seed: int,
) -> None:
    rng = random.Random(seed)  # noqa: S311 - not a secret
    lasts = itertools.chain([straggles_s], iter(lambda: rng.uniform(0.5, 1.5), None))
    steps = [(Step(clients, CLIENTS, 3 * clients, hold_open=True), plan_s) for plan_s in plans]
    with pytest.MonkeyPatch.context() as patch:
        made = visited(tmp_path_factory.mktemp("v"), VirtualBackend(99, lasts), steps, patch)
    (piece,) = levels.pieces([visit(clients, made)], NOTHING)
    assert {row.number for row in piece.kept} >= set(range(3 * clients * len(plans)))
    ((_, inner),) = levels.stretches([piece])
    for row in made:
        if inner.start_ns <= row.sent_ns < inner.end_ns:
            assert in_flight(made, row.sent_ns) == clients
    level = levels.summarize([visit(clients, made)], NOTHING)
    seconds = (inner.end_ns - inner.start_ns) / 1e9
    inside = sum(inner.start_ns < row.end_ns <= inner.end_ns for row in made)
    assert level["duration_s"] == pytest.approx(seconds)
    assert level["requests_per_sec"] * seconds == pytest.approx(inside, abs=clients)
    assert level["not_held"] == 0


def test_a_visit_whose_clients_left_a_refusing_server_goes_on_with_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = itertools.chain([9.0], itertools.repeat(-0.01, 60), itertools.repeat(1.0))
    steps = [
        (Step(4, CLIENTS, 8, hold_open=True), 30.0),
        (Step(4, CLIENTS, 40, hold_open=True), 0.0),
    ]
    made = visited(tmp_path, VirtualBackend(99, refused), steps, monkeypatch)
    before = [row for row in made if row.sent_ns < 9 * SECOND]
    assert len(before) <= 8 + 4 * 4 + 4  # nobody hammers a server that refuses
    later = max(row.sent_ns for row in made if row.number < 48)
    assert in_flight(made, later) == 4
    pieces = levels.pieces([visit(4, made)], NOTHING)
    assert len(pieces) == 2
    assert all(in_flight(made, row.sent_ns) == 4 for row in pieces[1].kept)


def test_clients_that_think_are_at_work_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = VirtualBackend(99, itertools.repeat(1.0), think_time="500ms-2s")
    made = visited(tmp_path, backend, [(Step(5, CLIENTS, 60, hold_open=True), 9.0)], monkeypatch)
    (piece,) = levels.pieces([visit(5, made)], NOTHING._replace(pause_ns=2 * SECOND))
    assert len(piece.kept) >= 55


def abandoned() -> list[Row]:
    """Return a level of 8 clients, 20 requests each, which all but one then leave for long."""
    whole = closed_loop(8, 20, 100, 8)
    end_ms = max(row.end_ns for row in whole) / MS + 1
    lonely = closed_loop(1, 100, 50, 1)
    for row in lonely:
        for name in ("scheduled_ns", "sent_ns", "first_ns", "last_ns", "end_ns"):
            setattr(row, name, getattr(row, name) + int(end_ms * MS))
        row.error = {"kind": "oom", "phase": "stream", "status": None, "message": ""}
    return [*whole, *lonely]


def test_what_one_client_sent_after_the_others_had_left_does_not_count_at_their_level() -> None:
    level = levels.summarize([visit(8, abandoned())], NOTHING)
    assert level["requests_per_sec"] == pytest.approx(80, rel=0.01)
    assert level["output_tokens_per_sec"] == pytest.approx(800, rel=0.01)
    assert (level["error_rate"], level["failed"], level["errors"]) == (0, 0, {})
    assert level["total_generation_ms"]["n"] == 160
    assert (level["requests"], level["excluded"], level["not_held"]) == (260, 100, 100)


def test_points_and_energy_are_of_the_held_stretches_alone(tmp_path: Path) -> None:
    found = stress_document(tmp_path, [baseline(), (Step(8, CLIENTS, 260), abandoned())])["results"]
    assert found["levels"][0]["state"] != "failure"
    assert found["failure_point"]["reached"] is False
    pieces = levels.pieces([visit(8, abandoned())], NOTHING)
    ((_, inner),) = levels.stretches(pieces)
    assert inner.end_ns <= 2000 * MS


def test_a_schedule_with_a_gap_in_sending_counts_what_was_sent_on_time() -> None:
    made = open_loop(20, 30)
    for row in made[200:260]:  # our process was kept from working for three seconds
        late = made[260].scheduled_ns - row.scheduled_ns
        row.sent_ns, row.end_ns = row.sent_ns + late, row.end_ns + late + 400 * MS
    level = levels.summarize([visit(20, made, RATE)], NOTHING)
    assert (level["requests"], level["not_held"]) == (600, 60 + 10)
    assert level["requests_per_sec"] == pytest.approx(20, rel=0.01)
    assert level["client_health"]["schedule_lateness_p99_ms"] == 0
    assert level["duration_s"] == pytest.approx(26, abs=1)


def test_clients_of_several_processes_are_counted_together() -> None:
    made = closed_loop(6, 10, 100, 6)
    mine, others = made[::2], made[1::2]
    held = measuring_window.held(
        [request_of(row) for row in [*mine, *others]], measuring_window.Load(6)
    )
    assert len(held) == 1
    assert measuring_window.held([request_of(row) for row in mine], measuring_window.Load(6)) == []


def test_nothing_sent_holds_nothing() -> None:
    assert measuring_window.held([], measuring_window.Load(1)) == []
    late = [Request(0, 10 * SECOND, None, 11 * SECOND)]
    assert measuring_window.counted(late, measuring_window.Load(1, RATE)) == []
