"""How many calls a judge gets at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from support.judge_servers import (
    Fake,
    judge_server,
    judging,
    verdict_json,
)
from support.judging import CASE, panel_result

from pytest_llamaburn.judges._caller import Window

if TYPE_CHECKING:
    from pytest_llamaburn.judges import Panel


def test_never_more_calls_at_once_than_asked_for() -> None:
    async def work() -> tuple[int, int]:
        window, now, most = Window(3), 0, 0

        async def call() -> None:
            nonlocal now, most
            async with window.slot():
                now += 1
                most = max(most, now)
                await asyncio.sleep(0)
                now -= 1

        await asyncio.gather(*(call() for _ in range(20)))
        return most, now

    assert asyncio.run(work()) == (3, 0)


def test_crowded_window_halves_and_grows_back_by_one_a_round() -> None:
    window = Window(4)
    window.crowded()
    assert window.size == 2
    window.crowded()
    window.crowded()
    assert window.size == 1
    for _ in range(20):
        window.went_well()
    assert window.size == 4


def test_judge_that_is_crowded_gets_fewer_calls_at_once(kind: type[Fake]) -> None:
    async def work(panel: Panel) -> list[float]:
        await panel.judge(CASE, "accuracy")
        return [caller.window.size for caller in panel.callers]

    for status in (429, 529):
        fake = kind([[kind().error(status, "full")], verdict_json(4)])
        with judge_server(fake, "m") as name:
            assert panel_result(judging(judge=(name,)), work) == [2.5]
