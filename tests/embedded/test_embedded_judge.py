"""The embedded model as a judge: its scores are poor, its states and records are right."""

from __future__ import annotations

import asyncio
import json

from support.judge_servers import judging

from pytest_llamaburn.judges import Case, JudgeResult, Panel

PARIS = Case("Capital of France?", "Paris", "Paris")  # on which this judge has little to say


async def panel_results() -> tuple[JudgeResult, JudgeResult]:
    panel = Panel.of(judging(judge=("embedded",), judge_concurrency=1))
    try:
        await panel.open()
        asked = await panel.judge(PARIS, "accuracy")
        silent = await panel.judge(PARIS._replace(answer=""), "accuracy")
        return asked, silent
    finally:
        await panel.close()


def test_embedded_judge_keeps_to_the_schema() -> None:
    asked, silent = asyncio.run(panel_results())
    (found,) = asked.judgments
    assert (found.state, found.source) == ("scored", "judge"), found
    assert found.score in (1, 2, 3, 4, 5)
    assert found.usage.input
    assert found.usage.output
    assert (found.cost_usd, found.model_served) == (None, "smollm2-135m")
    assert found.temperature == {"requested": 0.0, "sent": 0.0, "reason": None}
    json.dumps(asked.as_dict(), allow_nan=False)
    assert (silent.score, silent.judgments[0].source) == (1.0, "rule")
