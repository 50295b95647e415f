"""The embedded model as a judge: its scores are poor, its states and records are right."""

from __future__ import annotations

import asyncio
import json

from fake_judges import judging

from pytest_llamaburn.judges import CRITERIA, Case, Pair, Panel, Score

CASES = (
    Case("What is the capital of France?", "It is Paris.", "Paris"),
    Case("What is 2 + 2?", ""),
)


async def judged() -> tuple[list[Score], list[str | None]]:
    panel = Panel.of(judging(judge=("embedded",), judge_concurrency=1))
    try:
        await panel.open()
        scores = [await panel.judge(case, name) for case in CASES for name in CRITERIA]
        pair = Pair("What is the capital of France?", "Paris.", "Lyon.", "Paris")
        return scores, [one.verdict for one in await panel.compare(pair)]
    finally:
        await panel.close()


def test_embedded_judge_keeps_to_the_schema() -> None:
    scores, verdicts = asyncio.run(judged())
    asked = [score.judgments[0] for score in scores if score.judgments[0].source == "judge"]
    assert len(asked) == 3
    for found in asked:
        assert found.state in ("scored", "truncated", "parse_error")
        assert (found.score is None) == (found.state != "scored")
        assert found.score in (None, 1, 2, 3, 4, 5)
        assert found.usage.input
        assert found.usage.output
        assert (found.cost_usd, found.model_asked) == (None, "smollm2-135m")
        assert found.temperature == {"requested": 0.0, "sent": 0.0, "reason": None}
        json.dumps(found.as_dict(), allow_nan=False)
    assert any(found.scored for found in asked)
    assert [score.score for score in scores[3:]] == [1.0, 1.0, 1.0]
    assert set(verdicts) <= {"A", "B", "tie", None}
