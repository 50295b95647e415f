"""Errors of the wire: what is asked again, how long is waited, and what is never told."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any
from urllib.parse import quote

import pytest
from support.judge_servers import (
    KEY,
    Claude,
    Fake,
    OpenAI,
    judge_server,
    judging,
    verdict_json,
)
from support.judging import CASE, PRICES, Waits, judgment_of, judgments_of, panel_result, unscored
from support.scripted import Close, Hang, Pause, ScriptedServer, Steps, head, sized

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.judges import JudgeResult, Panel
from pytest_llamaburn.judges._base import CallError, Usage


def test_wrong_key_is_asked_once_and_never_told(
    kind: type[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(variable, "sk-another-secret")
    fake = kind([verdict_json(4)])

    async def twice(panel: Panel) -> list[JudgeResult]:
        return [await panel.judge(CASE, "accuracy") for _ in range(2)]

    with judge_server(fake, "m") as name:
        scores = panel_result(judging(judge=(name,)), twice)
        assert fake.server is not None
        asked = [r for r in fake.server.requests if fake.path.encode() in r.splitlines()[0]]
    assert len(asked) == 1
    assert [score.judgments[0].calls for score in scores] == [1, 0]
    for score in scores:
        unscored(score.judgments[0], "api_error", "auth")
        told = json.dumps(score.as_dict())
        assert "[key]" in told
        assert "sk-" not in told


@pytest.mark.parametrize(
    ("headers", "wait"), [({"retry_after": "7"}, 7.0), ({"retry_after_ms": "250"}, 0.25)]
)
def test_crowded_server_is_waited_for_as_long_as_it_asks(
    kind: type[Fake], headers: dict[str, str], wait: float
) -> None:
    fake, waits = kind([[kind().error(429, "slow down", **headers)], verdict_json(4)]), Waits()
    with judge_server(fake, "m") as name:
        found = panel_result(judging(judge=(name,)), lambda p: p.judge(CASE, "accuracy"), waits)
    assert (found.score, found.judgments[0].retries) == (4, 1)
    assert waits == [wait]


def test_server_that_asks_for_too_long_a_wait_is_given_up() -> None:
    fake = Claude([[Claude().error(429, "tomorrow", retry_after="86400")]])
    words = unscored(judgment_of(fake), "api_error", "rate_limit")
    assert words.endswith("tomorrow (rate_limit_error); the server asks to wait longer than 120 s")
    assert len(fake.calls) == 1


@pytest.mark.parametrize("words", ["You exceeded your current quota", "Too many requests"])
def test_limit_that_passes_is_waited_for(words: str) -> None:
    fake = OpenAI([[OpenAI().error(429, words)], verdict_json(4)])
    assert judgment_of(fake).retries == 1


@pytest.mark.parametrize("said", ["0", "nan", "Sun, 06 Nov 1994 08:49:44 GMT"])
def test_server_that_asks_for_no_wait_is_not_asked_again_at_once(said: str) -> None:
    fake, waits = Claude([[Claude().error(429, "x", retry_after=said)]]), Waits()
    with judge_server(fake, "m") as name:
        panel_result(judging(judge=(name,)), lambda p: p.judge(CASE, "accuracy"), waits)
    for wait, most in zip(waits, (0.5, 1, 2, 4), strict=True):
        assert most * 3 / 4 <= wait <= most


@pytest.mark.parametrize("said", ["soon", "-3"])
def test_wait_that_makes_no_sense_is_not_waited(said: str) -> None:
    waits = Waits()
    fake = Claude([[Claude().error(429, "x", retry_after=said)], verdict_json(4)])
    with judge_server(fake, "m") as name:
        panel_result(judging(judge=(name,)), lambda p: p.judge(CASE, "accuracy"), waits)
    assert 0 <= waits[0] <= 0.5


@pytest.mark.parametrize(
    ("status", "named"), [(500, "server_error"), (529, "overloaded"), (503, "overloaded")]
)
def test_failing_server_is_asked_again_with_growing_waits_until_the_retries_are_used(
    kind: type[Fake], status: int, named: str
) -> None:
    fake, waits = kind([[kind().error(status, "it broke")]]), Waits()
    with judge_server(fake, "m") as name:
        found = panel_result(judging(judge=(name,)), lambda p: p.judge(CASE, "accuracy"), waits)
    assert "it broke" in unscored(found.judgments[0], "api_error", named)
    assert found.judgments[0].retries == 4
    assert len(fake.calls) == 5
    for wait, most in zip(waits, (0.5, 1, 2, 4), strict=True):
        assert most * 3 / 4 <= wait <= most


def test_server_may_say_that_trying_again_is_of_no_use() -> None:
    fake = Claude([[Claude().error(500, "for good", x_should_retry="false")]])
    unscored(judgment_of(fake), "api_error", "server_error")
    assert len(fake.calls) == 1


def test_account_without_money_is_not_asked_again() -> None:
    fake = OpenAI([[OpenAI().error(429, "insufficient_quota: buy more")]])
    unscored(judgment_of(fake), "api_error", "billing")
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    ("status", "words", "named"),
    [
        (400, "Your credit balance is too low to access the Anthropic API.", "billing"),
        (400, "billing_hard_limit_reached", "billing"),
        (402, "Insufficient Balance", "billing"),
        (429, "Your account is not active, please check your billing details", "billing"),
        (400, "You have reached your specified API usage limits until 1 December.", "billing"),
        (429, "Your team used all available credits or reached its spending limit.", "billing"),
        (429, "Your team has reached its monthly spending limit.", "billing"),
        (429, "Your prepayment credits are depleted.", "billing"),
        (429, "You have exceeded your monthly included credits", "billing"),
        (400, "Access denied, please make sure your account is in good standing.", "billing"),
        (429, "exceeded_current_quota_error: no balance", "billing"),
        (400, "API Key not found. Please pass a valid API key.", "auth"),
        (400, "The account that this API key belongs to has been deactivated", "auth"),
        (400, "Organization has been restricted. Contact support.", "auth"),
        (429, "Your account org-7f is suspended", "auth"),
        (400, "API key not valid. Please pass a valid API key.", "auth"),
        (400, "This organization has been disabled.", "auth"),
        (403, "Your key lacks permission", "auth"),
        (400, "model_not_found", "not_found"),
    ],
)
def test_what_no_further_call_can_get_past_is_met_once(
    kind: type[Fake], status: int, words: str, named: str
) -> None:
    fake = kind([[kind().error(status, words, x_should_retry="true")]])
    found = judgments_of(fake, judge_repeats=4, judge_concurrency=1)
    assert {unscored(j, "api_error", named) != "" for j in found} == {True}
    assert len(fake.calls) == 1


def test_date_to_wait_until_is_waited_for() -> None:
    dates = {
        "retry_after": "Sun, 06 Nov 1994 08:49:44 GMT",
        "date": "Sun, 06 Nov 1994 08:49:37 GMT",
    }
    fake, waits = Claude([[Claude().error(429, "slow down", **dates)], verdict_json(4)]), Waits()
    with judge_server(fake, "m") as name:
        panel_result(judging(judge=(name,)), lambda p: p.judge(CASE, "accuracy"), waits)
    assert waits == [7.0]


def test_failure_of_another_call_does_not_hide_a_fatal_one() -> None:
    late: Steps = [Pause(0.2), OpenAI().error(400, "odd")]  # was sent before the key was refused
    fake = OpenAI([[OpenAI().error(401, "no such key")], late])

    async def work(panel: Panel) -> list[JudgeResult]:
        both = await asyncio.gather(*(panel.judge(CASE, "accuracy") for _ in range(2)))
        return [*both, await panel.judge(CASE, "accuracy")]

    with judge_server(fake, "m") as name:
        found = panel_result(judging(judge=(name,)), work)
    kinds = sorted((one.judgments[0].error or {})["kind"] for one in found)
    assert kinds == ["auth", "auth", "bad_request"]
    assert len(fake.calls) == 2


def test_verdict_with_half_a_surrogate_pair_is_a_verdict(kind: type[Fake]) -> None:
    body = kind().reply(verdict_json(4, "half MARK")).replace(b"MARK", rb"\ud83d")
    half = kind().reply(verdict_json(4, f"half {chr(0xD83D)}"))
    for steps in (body[: body.index(b"\r\n")] and half, _resized(body)):
        found = judgment_of(kind([[steps]]))
        assert (found.score, found.reasoning) == (4, "half \N{REPLACEMENT CHARACTER}")
        json.dumps(found.as_dict(), ensure_ascii=False).encode()


def test_body_with_a_byte_that_is_no_text_is_still_a_verdict() -> None:
    body = _resized(OpenAI().reply(verdict_json(4, "half MARK")).replace(b"MARK", b"\xff"))
    assert judgment_of(OpenAI([[body]])).score == 4


def _resized(reply: bytes) -> bytes:
    """Return a reply whose length is right again."""
    top, _, body = reply.partition(b"\r\n\r\n")
    lines = [line for line in top.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


def test_prompt_that_does_not_fit_is_told_as_that() -> None:
    words = "This model's maximum context length is 4096 tokens"
    unscored(judgment_of(OpenAI([[OpenAI().error(400, words)]])), "api_error", "context_overflow")


def test_hanging_server_is_a_timeout(kind: type[Fake]) -> None:
    found = judgment_of(kind([[Hang()]]), judge_timeout=0.3, judge_retries=0)
    unscored(found, "api_error", "timeout")


def test_server_that_drips_for_ever_is_a_timeout(kind: type[Fake]) -> None:
    drip = [head(200, content_length="1000", content_type="application/json")]
    steps = [*drip, *[step for _ in range(200) for step in (Pause(0.05), b" ")]]
    words = unscored(
        judgment_of(kind([steps]), judge_timeout=0.3, judge_retries=0), "api_error", "timeout"
    )
    assert words == "no whole answer within 0.3 s"


def test_connection_that_breaks_is_tried_again(kind: type[Fake]) -> None:
    begun = head(200, content_length="1000", content_type="application/json")
    found = judgment_of(kind([[Close()], [begun, b"{", Close()], verdict_json(4)]))
    assert (found.score, found.retries) == (4, 2)


def test_server_that_is_not_there_is_a_connection_error(kind: type[Fake]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = judging(judge=(f"{kind.provider}:m@http://127.0.0.1:{port}",))
    found = panel_result(settings, lambda p: p.judge(CASE, "accuracy"))
    unscored(found.judgments[0], "api_error", "connection")
    assert found.judgments[0].retries == 4


@pytest.mark.parametrize(
    "body",
    ["<html>", "[]", "{}", '{"content": 5, "stop_reason": null}', b"\xff\xfe", '{"choices": []}'],
)
def test_body_that_is_no_reply_is_malformed(kind: type[Fake], body: str | bytes) -> None:
    steps = [sized(200, body, content_type="application/json")]
    unscored(judgment_of(kind([steps])), "api_error", "malformed")


@pytest.mark.parametrize(
    ("error", "named", "calls"),
    [
        ({"message": "Insufficient credits", "code": 402}, "billing", 1),
        ({"message": "Provider returned error", "code": 502}, "server_error", 5),
        ("the model is gone", "bad_request", 1),
    ],
)
def test_error_under_status_200_is_that_error(error: Any, named: str, calls: int) -> None:
    fake = OpenAI([[sized(200, {"error": error}, content_type="application/json")]])
    found = judgment_of(fake, judge_price=PRICES["openai"])
    words = error if isinstance(error, str) else error["message"]
    assert unscored(found, "api_error", named) == words
    assert (found.calls, found.cost_usd) == (calls, None)


def test_reply_without_usage_has_no_tokens_and_no_cost() -> None:
    reason = "a judge does not say how many tokens it took"
    found = judgment_of(
        Claude([[Claude().reply(verdict_json(4), usage=None)]]), judge_price=PRICES["claude"]
    )
    assert (found.score, found.usage, found.cost_usd) == (4, Usage(), None)
    assert found.cost_reason == reason
    body = {"choices": [{"message": {"content": verdict_json(4)}}]}
    steps = [sized(200, body, content_type="application/json")]
    found = judgment_of(OpenAI([steps]), judge_price=PRICES["openai"])
    assert (found.score, found.usage, found.cost_usd) == (4, Usage(), None)
    assert found.cost_reason == reason


def test_key_and_masked_key_in_an_error_are_not_told() -> None:
    error = CallError("auth", "Incorrect key: sk-abc*****xyz. Sorry")
    error.hide("")
    assert error.words == "Incorrect key: [key] Sorry"


@pytest.mark.parametrize("key", ["gsk_plain", "gsk_back\\slash", "sk-abc+def"])
def test_key_that_a_broken_reply_echoes_is_not_told(
    kind: type[Fake], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    for variable in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(variable, key)
    echo = f"HTTP/1.1 200 OK\r\nno header {key}!\r\n\r\n".encode()
    with ScriptedServer([echo]) as server:
        settings = judging(judge=(f"{kind.provider}:m@{server.host}",))
        found = panel_result(settings, lambda p: p.judge(CASE, "accuracy"))
    assert "no header [key]!" in unscored(found.judgments[0], "api_error", "connection")


def test_key_that_a_verdict_echoes_is_not_kept(kind: type[Fake]) -> None:
    for text in (verdict_json(4, f"use {quote(KEY)} with sk-learn"), f"bad key {KEY}"):
        told = json.dumps(judgment_of(kind([text])).as_dict())
        assert "[key]" in told
        assert KEY not in told
        assert ("sk-learn" in told) == ("sk-learn" in text)


@pytest.mark.parametrize("key", ["two\nlines", "schl\u00fcssel"])
def test_key_that_fits_in_no_header_is_refused_unseen(
    kind: type[Fake], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    variable = {"claude": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}[kind.provider]
    monkeypatch.setenv(variable, key)
    with pytest.raises(SettingsError, match=f"^{variable} is not a valid key: it has") as refused:
        Panel.of(judging(judge=(kind.provider,)))
    assert key not in str(refused.value)
