"""How a judge is named, and what cannot be meant."""

from __future__ import annotations

import sys

import pytest
from support.judge_servers import (
    judging,
)
from support.judging import panel_result

from pytest_llamaburn import judges
from pytest_llamaburn.errors import MissingExtraError, SettingsError
from pytest_llamaburn.judges import Panel, Spec


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("claude", Spec("claude", None, None)),
        ("openai:gpt-5.5", Spec("openai", "gpt-5.5", None)),
        (
            "ollama:qwen3:8b@http://127.0.0.1:11434",
            Spec("ollama", "qwen3:8b", "http://127.0.0.1:11434"),
        ),
        ("openai@https://a.example/v1/", Spec("openai", None, "https://a.example/v1")),
        ("embedded:x.gguf", Spec("embedded", "x.gguf", None)),
    ],
)
def test_judge_is_named_by_provider_model_and_url(text: str, spec: Spec) -> None:
    assert judges.parse(text) == spec
    assert str(spec) == text.rstrip("/")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cloude", "did you mean 'claude'"),
        ("claude:", "names no model"),
        ("claude@127.0.0.1:80", "write http://HOST"),
        ("claude@http://me:pass@host", "without a user or password"),
        ("claude@", "write http://HOST"),
    ],
)
def test_judge_that_cannot_be_meant_is_refused(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        judges.parse(text)
    assert "pass@" not in str(refused.value)


def test_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider, variable in (("claude", "ANTHROPIC_API_KEY"), ("openai", "OPENAI_API_KEY")):
        monkeypatch.delenv(variable)
        with pytest.raises(SettingsError, match=f"set the environment variable {variable}"):
            Panel.of(judging(judge=(provider,)))


def test_missing_sdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider, package in (("claude", "anthropic"), ("openai", "openai")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtraError, match=r"pytest-llamaburn\[judge\]"):
            Panel.of(judging(judge=(provider,)))


def test_model_may_come_from_the_table_of_models() -> None:
    settings = judging(judge=("claude", "openai:o3"), judge_model=("claude=c", "openai=d"))
    names = panel_result(settings, names_of)
    assert names == ["claude:c", "openai:o3"]


async def names_of(panel: Panel) -> list[str]:
    return [caller.judge.name for caller in panel.callers]


@pytest.mark.parametrize("entry", ["claude", "claude=", "cloud=x"])
def test_entry_of_the_table_of_models_that_is_none_is_refused(entry: str) -> None:
    with pytest.raises(SettingsError, match="--judge-model"):
        Panel.of(judging(judge=("claude",), judge_model=(entry,)))


def test_judge_without_a_model_or_with_an_address_it_cannot_have_is_refused() -> None:
    with pytest.raises(SettingsError, match="write ollama:MODEL"):
        Panel.of(judging(judge=("ollama",)))
    with pytest.raises(SettingsError, match="has no address"):
        Panel.of(judging(judge=("embedded@http://127.0.0.1:1",)))


def test_model_may_not_judge_itself() -> None:
    async def work(panel: Panel) -> None:
        panel.refuse_self("another")
        panel.refuse_self("qwen3:8b")

    with pytest.raises(SettingsError, match="would judge itself"):
        panel_result(judging(judge=("ollama:qwen3:8b",)), work)
    with pytest.raises(SettingsError, match="would judge itself"):
        panel_result(judging(judge=("ollama:tiny:latest",)), lambda p: _refuse(p, "tiny"))


async def _refuse(panel: Panel, model: str) -> None:
    panel.refuse_self(model)
