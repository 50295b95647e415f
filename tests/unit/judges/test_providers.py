"""Of every provider: what it is sent, and what its reply tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.judge_servers import (
    Claude,
    Fake,
    OpenAI,
    judge_server,
    judging,
    verdict_json,
)
from support.judging import CASE, PRICES, Waits, judgment_of, panel_result, unscored

from pytest_llamaburn.judges._base import Usage
from pytest_llamaburn.judges._prompt import absolute

if TYPE_CHECKING:
    from pytest_llamaburn.judges import JudgeResult, Judgment, Panel


def test_verdict_comes_with_all_that_is_known_of_it(kind: type[Fake]) -> None:
    fake = kind([verdict_json(4, "it says so")])
    found = judgment_of(fake, judge_price=PRICES[kind.provider])
    assert (found.state, found.source, found.score) == ("scored", "judge", 4)
    assert (found.reasoning, found.evidence) == ("it says so", ("a quote",))
    assert (found.model_asked, found.model_served) == ("m", f"{kind.provider}-served")
    assert found.request_id == "req_1"
    assert found.usage == Usage(900, 40, 20, 120, 70)
    assert found.cost_usd == pytest.approx((900 * 3 + 40 * 0.3 + 20 * 4 + 120 * 15) / 1e6)
    assert found.latency_ms is not None
    assert found.latency_ms > 0
    assert (found.retries, found.error) == (0, None)
    assert len(found.prompt_sha256 or "") == 64


def test_schema_with_the_enum_goes_out_in_the_providers_own_field() -> None:
    claude, openai = Claude([verdict_json(4)]), OpenAI([verdict_json(4)])
    judgment_of(claude)
    judgment_of(openai)
    schema = absolute(CASE, "accuracy").schema
    assert schema["properties"]["score"]["enum"] == [1, 2, 3, 4, 5]
    assert list(schema["properties"]) == ["evidence", "reasoning", "score"]
    assert claude.calls[0]["output_config"]["format"] == {"type": "json_schema", "schema": schema}
    sent = openai.calls[0]["response_format"]["json_schema"]
    assert (sent["strict"], sent["schema"]) == (True, schema)


def test_todays_claude_is_asked_to_think_and_gets_no_temperature() -> None:
    fake = Claude([verdict_json(4)])
    found = judgment_of(fake, None)
    call = fake.calls[0]
    assert call["model"] == "claude-sonnet-5-5"
    assert "temperature" not in call
    assert call["thinking"] == {"type": "adaptive"}
    assert call["output_config"]["effort"] == "medium"
    reason = "claude-sonnet-5-5 takes no sampling parameters"
    assert found.temperature == {"requested": 0.0, "sent": None, "reason": reason}


def test_older_claude_is_asked_at_temperature_zero_under_the_version_that_takes_it() -> None:
    fake = Claude([verdict_json(4)])
    found = judgment_of(fake, "claude-haiku-4-5-20251001")
    assert fake.calls[0]["temperature"] == 0.0
    assert "thinking" not in fake.calls[0]
    assert found.temperature == {"requested": 0.0, "sent": 0.0, "reason": None}


def sent_temperature(judgment: Judgment) -> float | None:
    assert judgment.temperature is not None
    return judgment.temperature["sent"]


def test_openai_model_that_reasons_gets_an_effort_and_another_a_temperature() -> None:
    fake = OpenAI([verdict_json(4)])
    assert sent_temperature(judgment_of(fake, None)) is None
    assert sent_temperature(judgment_of(fake, "gpt-4o")) == 0.0
    default, older = fake.calls
    assert default["model"] == "gpt-5.5-2026-04-23"
    assert (default["reasoning_effort"], "temperature" in default) == ("medium", False)
    assert (older["temperature"], "reasoning_effort" in older) == (0.0, False)


def test_temperature_that_a_model_refuses_is_not_sent_again() -> None:
    fake, waits = OpenAI([verdict_json(4)]), Waits()

    async def twice(panel: Panel) -> list[JudgeResult]:
        return [await panel.judge(CASE, c) for c in ("accuracy", "coherence")]

    with judge_server(fake, "strict") as name:
        first, second = panel_result(judging(judge=(name,)), twice, waits)
    assert ["temperature" in call for call in fake.calls] == [True, False, False]
    assert [s.judgments[0].retries for s in (first, second)] == [1, 0]
    for score in (first, second):
        found = score.judgments[0].temperature
        assert found["sent"] is None
        assert "does not support 0.0 with this model" in found["reason"]
    assert waits == []


def test_older_claude_that_refuses_a_temperature_is_asked_without() -> None:
    words = "`temperature` is deprecated for this model."
    fake = Claude([[Claude().error(400, words)], verdict_json(4)])
    found = judgment_of(fake, "claude-opus-4-5")
    assert found.score == 4
    assert found.temperature == {
        "requested": 0.0,
        "sent": None,
        "reason": f"the model refused it: {words} (invalid_request_error)",
    }
    assert "temperature" not in fake.calls[1]


def test_older_server_gets_the_older_name_of_the_limit() -> None:
    words = "Unknown parameter: 'max_completion_tokens'"
    fake = OpenAI([[OpenAI().error(400, words)], verdict_json(4)])
    assert judgment_of(fake).score == 4
    assert fake.calls[1]["max_tokens"] == 4096


def test_parameter_that_is_refused_though_not_sent_is_an_error() -> None:
    fake = OpenAI([[OpenAI().error(400, "bad temperature")]])
    words = unscored(judgment_of(fake), "api_error", "bad_request")
    assert words.startswith("bad temperature")
    assert len(fake.calls) == 2
