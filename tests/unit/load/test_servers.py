"""Which of several servers gets the next request."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark_documents import failed_trace, trace_of
from support.fake_backend import PROMPTS, FakeBackend

from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.load import rows
from pytest_llamaburn.load.sender import RequestRange, Sender
from pytest_llamaburn.load.servers import (
    DEAD_IN_A_ROW,
    LEAST_OUTSTANDING,
    ROUND_ROBIN,
    Servers,
)
from pytest_llamaburn.load.step import CLIENTS, RATE, Step

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.trace import Trace

COUNTS = st.integers(1, 6)


def servers(count: int, balance: str = ROUND_ROBIN, first: int = 0) -> Servers:
    return Servers([cast("Backend", FakeBackend())] * count, balance, first)


@given(COUNTS, st.integers(0, 60), st.integers(0, 9))
def test_in_turn_no_server_gets_two_requests_more_than_another(
    count: int, requests: int, first: int
) -> None:
    found = servers(count, first=first)
    taken = Counter(found.take() for _ in range(requests))
    every = [taken[place] for place in range(count)]
    assert sum(every) == requests
    assert max(every) - min(every) <= 1


@given(COUNTS, st.lists(st.integers(0, 5), max_size=60))
def test_the_next_request_goes_to_a_server_with_the_fewest_outstanding(
    count: int, ends: list[int]
) -> None:
    found, outstanding = servers(count, LEAST_OUTSTANDING), [0] * count
    for end in ends:
        if end < count and outstanding[end]:
            found.give_back(end)
            outstanding[end] -= 1
            continue
        place = found.take()
        assert outstanding[place] == min(outstanding)
        outstanding[place] += 1


def test_workers_begin_with_different_servers() -> None:
    assert [servers(3, first=worker).take() for worker in range(4)] == [0, 1, 2, 0]


@pytest.mark.parametrize("balance", [ROUND_ROBIN, LEAST_OUTSTANDING])
def test_a_server_that_is_gone_gets_no_more_requests(balance: str) -> None:
    found = servers(2, balance)
    for _ in range(DEAD_IN_A_ROW):
        found.note(1, "connect_refused")
    assert found.alive == [0]
    assert not found.gone
    assert {found.take() for _ in range(9)} == {0}


def test_a_load_ends_when_all_servers_are_gone() -> None:
    found = servers(2)
    for place in (0, 1):
        for _ in range(DEAD_IN_A_ROW):
            found.note(place, "server_crash")
    assert found.gone


def test_one_answer_brings_a_server_back_before_it_is_gone() -> None:
    found = servers(1)
    for _ in range(DEAD_IN_A_ROW - 1):
        found.note(0, "connect_refused")
    found.note(0, None)
    found.note(0, "connect_refused")
    assert not found.gone


@pytest.mark.parametrize("unit", [CLIENTS, RATE])
def test_each_row_names_the_server_that_got_its_request(unit: str, tmp_path: Path) -> None:
    async def broken() -> Trace:
        return failed_trace("server_error")

    async def sound() -> Trace:
        return trace_of()

    backends: list[Any] = [FakeBackend(sound), FakeBackend(broken)]

    async def send() -> None:
        own = rows.Rows(tmp_path, "main")
        sender = Sender(Servers(backends), Model("tiny", "tiny"), PROMPTS, own)
        await sender.send(Step(300, unit, 8), RequestRange(1), 0)

    asyncio.run(send())
    found = Counter((row.server, row.error is None) for row in rows.read(tmp_path))
    assert found == {(0, True): 4, (1, False): 4}
    assert [len(one.bodies) for one in backends] == [4, 4]
