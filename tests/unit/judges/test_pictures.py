"""What judges are sent of the pictures that the code of an answer drew."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pytest_llamaburn.judges import _base, _completions, claude, ollama
from pytest_llamaburn.judges._base import Ask, CallError, Judge, Reply, Usage

PLAIN = Ask("system", "user", {}, 10)
PICTURED = PLAIN._replace(pictures=("cGlj",))


def test_each_protocol_carries_the_picture_beside_the_text() -> None:
    _, openai = _completions.messages(PICTURED)
    assert openai["content"][-1]["image_url"] == {"url": "data:image/png;base64,cGlj"}
    _, native = ollama.messages_of(PICTURED)
    assert native["images"] == ["cGlj"]
    source = claude.content_of(PICTURED)[-1]["source"]
    assert source == {"type": "base64", "media_type": "image/png", "data": "cGlj"}


def test_without_a_picture_the_messages_are_texts() -> None:
    expected = {"role": "user", "content": "user"}
    assert [_completions.messages(PLAIN)[1], ollama.messages_of(PLAIN)[1]] == [expected, expected]
    assert claude.content_of(PLAIN) == "user"


class Blind(Judge):
    """A judge that refuses pictures."""

    provider = "ollama"
    words = "this model does not support image input"

    def options(self, ask: Ask) -> dict[str, Any]:
        return {}

    async def _send(self, ask: Ask, options: dict[str, Any]) -> Reply:
        if ask.pictures:
            raise CallError("bad_request", self.words, 400)
        return Reply("fine", "end", Usage())


def test_judge_that_refuses_pictures_is_asked_without_and_that_is_told() -> None:
    judge = Blind(_base.parse("ollama:blind"))
    with pytest.raises(CallError) as refused:
        asyncio.run(judge.send(PICTURED))
    assert (refused.value.kind, refused.value.transient) == ("parameter", True)
    assert asyncio.run(judge.send(PICTURED)).text == "fine"
    assert [*judge.notes] == ["ollama:blind does not accept pictures: it judged the code alone"]


def test_other_refusals_do_not_take_the_picture_away() -> None:
    judge = Blind(_base.parse("ollama:blind"))
    judge.words = "the prompt is too long"
    for _ in range(2):
        with pytest.raises(CallError, match="bad_request"):
            asyncio.run(judge.send(PICTURED))
    assert not judge.notes
