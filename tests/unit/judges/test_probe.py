"""A judge is looked up before the run: its model's life and its address."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from support.judge_servers import (
    Claude,
    Fake,
    OpenAI,
    judge_server,
    judging,
    verdict_json,
)
from support.judging import CASE, judgments_of, panel_result, unscored
from support.scripted import Close

from pytest_llamaburn.errors import ServerError, UsageError
from pytest_llamaburn.judges._probe import refused

if TYPE_CHECKING:
    from pytest_llamaburn.judges import JudgeResult, Panel


@pytest.mark.filterwarnings("error")
def test_deprecated_model_is_noted_and_still_judges() -> None:
    about = {"lifecycle": "deprecated", "retires_at": "2026-11-30T00:00:00Z"}

    async def work(panel: Panel) -> tuple[JudgeResult, list[str]]:
        return await panel.judge(CASE, "accuracy"), panel.notes

    with judge_server(Claude([verdict_json(4)], about), "claude-sonnet-4-5") as name:
        found, notes = panel_result(judging(judge=(name,)), work)
    assert found.score == 4
    assert notes == ["judge claude-sonnet-4-5 is deprecated and ends on 2026-11-30"]
    with judge_server(OpenAI([verdict_json(4)], {"shutdown_date": "2027-01-14"}), "gpt-4o") as name:
        found, notes = panel_result(judging(judge=(name,)), work)
    assert notes == ["judge gpt-4o is deprecated and ends on 2027-01-14"]


def test_active_model_needs_no_note() -> None:
    async def work(panel: Panel) -> list[str]:
        await panel.open()
        return panel.notes

    for fake in (Claude(about={"lifecycle": "active"}), OpenAI(about={"shutdown_date": None})):
        with judge_server(fake) as name:
            assert panel_result(judging(judge=(name,)), work) == []


def probed(settings: Any) -> None:
    panel_result(settings, lambda panel: panel.probe())


@pytest.mark.parametrize(
    ("status", "words", "said"),
    [
        (401, "no such key", "the key in {key} is refused: no such key"),
        (403, "not for you", "the key in {key} is refused: not for you"),
        (404, "The model `m` does not exist", "no such model: The model `m` does not exist"),
        (404, "model: m", "no such model: model: m"),
        (403, "Missing scopes: api.model.read", None),
        (404, "Cannot GET /v1/models/m", None),
        (404, "GET /model is not here", None),
        (429, "slow down", None),
        (500, "model crashed", None),
    ],
)
def test_look_up_ends_a_run_only_where_no_call_could_succeed(
    kind: type[Fake], status: int, words: str, said: str | None
) -> None:
    fake = kind(looked_up=[kind().error(status, words)])
    with judge_server(fake, "m") as name:
        if said is None:
            probed(judging(judge=(name,)))
        else:
            with pytest.raises(UsageError) as raised:
                probed(judging(judge=(name,)))
            key = {"claude": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}[kind.provider]
            assert str(raised.value).startswith(f"--judge {name}: {said.format(key=key)}")
    assert fake.calls == []


def test_look_up_names_the_judge_nobody_listens_for(kind: type[Fake]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    name = f"{kind.provider}:m@{url}"
    with pytest.raises(ServerError, match=f"^--judge {name}: no server at {url}: "):
        probed(judging(judge=(name,)))


def test_look_up_that_the_network_loses_is_no_reason(kind: type[Fake]) -> None:
    with judge_server(kind(looked_up=[Close()]), "m") as name:
        probed(judging(judge=(name,)))


def test_name_of_two_addresses_is_refused_where_both_are() -> None:
    refusals = [ConnectionRefusedError(), ConnectionRefusedError()]
    assert refused(ExceptionGroup("", refusals))
    assert not refused(ExceptionGroup("", [refusals[0], TimeoutError()]))


def test_retired_model_is_not_found_and_not_asked_again(kind: type[Fake]) -> None:
    fake = kind([[kind().error(404, "model: m")]])
    found = judgments_of(fake, judge_repeats=3, judge_concurrency=1)
    assert {unscored(j, "api_error", "not_found")[:8] for j in found} == {"model: m"}
    assert len(fake.calls) == 1
