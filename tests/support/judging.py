"""A panel of judges on the loopback, and what it says of one answer."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.judges import Case, JudgeResult, Judgment, Panel
from support.judge_servers import (
    KEY,
    Fake,
    judge_server,
    judging,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CASE = Case("What is the capital of France?", "It is Paris.", "Paris")


PRICES = {
    "claude": ("m.input=3", "m.output=15", "m.cache_read=0.3", "m.cache_write=4"),
    "openai": ("m.input=3", "m.output=15", "m.cache_read=0.3", "m.cache_write=4"),
}


class Waits(list[float]):
    """Sleeps that are written down instead of slept."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def panel_result(
    settings: Any, work: Callable[[Panel], Awaitable[Any]], waits: Waits | None = None
) -> Any:
    """Return what some work with a panel comes to; the panel is closed afterwards."""

    async def whole() -> Any:
        panel = Panel.of(settings, Waits() if waits is None else waits)
        try:
            return await work(panel)
        finally:
            await panel.close()

    return asyncio.run(whole())


def judgments_of(
    fake: Fake, model: str | None = "m", case: Case = CASE, **values: Any
) -> list[Judgment]:
    """Return a panel's judgments of one answer's accuracy."""
    with judge_server(fake, model) as name:
        found = panel_result(judging(judge=(name,), **values), lambda p: p.judge(case, "accuracy"))
    assert isinstance(found, JudgeResult)
    return list(found.judgments)


def judgment_of(fake: Fake, model: str | None = "m", **values: Any) -> Judgment:
    (found,) = judgments_of(fake, model, **values)
    assert KEY not in json.dumps(found.as_dict())
    return found


def unscored(found: Judgment, state: str, kind: str) -> str:
    """Return the words of a judgment without a score."""
    assert (found.state, found.score, found.scored) == (state, None, False)
    assert found.error is not None
    assert found.error["kind"] == kind
    return found.error["words"]
