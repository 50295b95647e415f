"""What judges see and hear, on the wire of each provider, and what is told of what they got."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.judge_servers import Claude as ClaudeServer
from support.judge_servers import OpenAI, judge_server, judging, verdict_json
from support.judging import CASE, panel_result
from support.scripted import OllamaFacade, Request, ScriptedServer, Steps, sized

from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.judges import Judgment, Shown, _base, parse
from pytest_llamaburn.judges._base import Ask, CallError, Judge, Reply, Usage
from pytest_llamaburn.judges._estimate import of as estimate_of
from pytest_llamaburn.judges._prompt import absolute
from pytest_llamaburn.judges._result import JudgeResult
from pytest_llamaburn.media import Base64, Medium

if TYPE_CHECKING:
    from support.judge_servers import Fake

PNG = Medium("image", "image/png", Base64(b"cGlj"), {})
JPEG = Medium("image", "image/jpeg", Base64(b"anBn"), {})
WAV = Medium("audio", "audio/wav", Base64(b"d2F2"), {})
DRAWN = Shown("image", "answer", 1600, lambda: PNG)
PHOTO = Shown("image", "question", 5000, lambda: JPEG)
SAID = Shown("audio", "question", 350, lambda: WAV)
SEEING = CASE._replace(shown=(PHOTO, DRAWN, SAID))
ABOUT = "The images belong to the QUESTION; the answer was given to them. The picture shows what"
HEARD = "The recordings belong to the QUESTION; the answer was given to them."


def judged(fake: Fake, case: Any = SEEING, **values: Any) -> Judgment:
    with judge_server(fake, "m") as name:
        found = panel_result(judging(judge=(name,), **values), lambda p: p.judge(case, "accuracy"))
    assert isinstance(found, JudgeResult)
    return found.judgments[0]


def test_claude_gets_images_as_base64_sources_with_their_type() -> None:
    fake = ClaudeServer([verdict_json(4)])
    found = judged(fake)
    _, about, *images = fake.calls[0]["messages"][0]["content"]
    assert about["text"].startswith(ABOUT)
    assert HEARD not in about["text"]
    sources = [{"type": "base64", "media_type": m, "data": d} for m, d in TYPES]
    assert images == [{"type": "image", "source": one} for one in sources]
    assert (found.score, found.shown) == (4, ("image", "image"))


TYPES = (("image/jpeg", "anBn"), ("image/png", "cGlj"))


def test_openai_gets_images_as_data_urls_and_recordings_as_input_audio() -> None:
    fake = OpenAI([verdict_json(4)])
    found = judged(fake)
    _, about, *parts = fake.calls[0]["messages"][1]["content"]
    assert HEARD in about["text"]
    urls = [{"url": f"data:{mime};base64,{data}"} for mime, data in TYPES]
    sound = {"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}}
    assert parts == [*({"type": "image_url", "image_url": url} for url in urls), sound]
    assert found.shown == ("image", "image", "audio")
    assert found.as_dict()["shown"] == ["image", "image", "audio"]


class _Ollama(OllamaFacade):
    """Ollama with a judge that gives a verdict, and counts the tokens of images in the prompt."""

    asked: Any = None

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/chat":
            return super().__call__(request)
        self.asked = request.json
        message = {"role": "assistant", "content": verdict_json(4)}
        about = {"done": True, "done_reason": "stop", "prompt_eval_count": 812, "eval_count": 60}
        return [sized(200, {"model": "tiny", "message": message, **about})]


def test_ollama_gets_images_beside_the_text() -> None:
    facade = _Ollama()
    with ScriptedServer(facade) as server:
        name = f"ollama:tiny:latest@{server.host}"
        result = panel_result(judging(judge=(name,)), lambda p: p.judge(SEEING, "accuracy"))
    user = facade.asked["messages"][1]
    assert user["images"] == ["anBn", "cGlj"]
    assert ABOUT in user["content"]
    assert result.judgments[0].shown == ("image", "image")
    assert result.judgments[0].usage.input == 812


def test_without_media_the_messages_are_texts_and_nothing_is_recorded() -> None:
    for fake in (ClaudeServer([verdict_json(4)]), OpenAI([verdict_json(4)])):
        found = judged(fake, CASE)
        assert isinstance(fake.calls[0]["messages"][-1]["content"], str)
        assert found.shown == ()


PRICES = ("m.input=3", "m.output=15")


def test_tokens_of_images_cost_what_the_provider_reports() -> None:
    usage = {"input_tokens": 2500, "output_tokens": 100}
    fake = ClaudeServer([[ClaudeServer().reply(verdict_json(4), usage=usage)]])
    found = judged(fake, judge_price=PRICES)
    assert found.cost_usd == pytest.approx((2500 * 3 + 100 * 15) / 1e6)


@pytest.mark.parametrize(
    ("prices", "cost"),
    [(PRICES, None), ((*PRICES, "m.audio=40"), (900 * 3 + 300 * 40 + 100 * 15) / 1e6)],
)
def test_tokens_of_recordings_have_a_price_of_their_own(
    prices: tuple[str, ...], cost: float | None
) -> None:
    details = {"audio_tokens": 300}
    usage = {"prompt_tokens": 1200, "completion_tokens": 100, "prompt_tokens_details": details}
    body = {"choices": [{"message": {"content": verdict_json(4)}}], "model": "m", "usage": usage}
    fake = OpenAI([[sized(200, body, content_type="application/json")]])
    found = judged(fake, judge_price=prices)
    assert (found.usage.input, found.usage.audio) == (900, 300)
    assert found.cost_usd == (None if cost is None else pytest.approx(cost))
    assert bool(found.cost_reason) is (cost is None)


def test_an_estimate_counts_the_media_that_a_judge_takes() -> None:
    with judge_server(ClaudeServer([]), "m") as name:

        async def tokens(panel: Any) -> list[int]:
            prompt = absolute(CASE, "accuracy")
            prompts = (prompt, prompt._replace(shown=SEEING.shown))
            return [estimate_of(panel.callers[0], [one]).input_tokens for one in prompts]

        plain, seeing = panel_result(judging(judge=(name,)), tokens)
    assert seeing - plain == 1600 + 5000  # it does not hear


class Limited(Judge):
    """A judge that refuses media of a kind."""

    provider = "ollama"
    takes = ("image", "audio")
    words = "this model does not support image input"
    refuses = "image"

    def options(self, ask: Ask) -> dict[str, Any]:
        return {}

    async def _send(self, ask: Ask, options: dict[str, Any]) -> Reply:
        if any(one.kind == self.refuses for one in ask.seen):
            raise CallError("bad_request", self.words, 400)
        return Reply(json.dumps([one.kind for one in ask.seen]), "end", Usage())


ASK = Ask("system", "user", {}, 10, shown=(PHOTO, SAID))


@pytest.mark.parametrize(
    ("refuses", "words", "left", "note"),
    [
        ("image", "no image input", ["audio"], "does not accept images"),
        ("audio", "input_audio is not supported", ["image"], "does not accept recordings"),
    ],
)
def test_a_judge_that_refuses_a_medium_is_asked_without_and_that_is_told(
    refuses: str, words: str, left: list[str], note: str
) -> None:
    judge = Limited(_base.parse("ollama:limited"))
    judge.refuses, judge.words = refuses, words
    with pytest.raises(CallError) as refused:
        asyncio.run(judge.send(ASK))
    assert (refused.value.kind, refused.value.transient) == ("parameter", True)
    reply = asyncio.run(judge.send(ASK))
    assert (json.loads(reply.text), reply.seen) == (left, tuple(left))
    assert [*judge.notes] == [f"ollama:limited {note}: it judged the texts alone"]


def test_other_refusals_do_not_take_the_media_away() -> None:
    judge = Limited(_base.parse("ollama:limited"))
    judge.words = "the prompt is too long"
    for _ in range(2):
        with pytest.raises(CallError, match="bad_request"):
            asyncio.run(judge.send(ASK))
    assert not judge.notes


def test_a_medium_that_is_gone_is_left_out_and_told() -> None:
    def gone() -> Medium:
        raise DatasetError("a.png cannot be read: it does not exist")

    judge = Limited(parse("ollama:limited"))
    reply = asyncio.run(judge.send(ASK._replace(shown=(PHOTO._replace(medium=gone), SAID))))
    assert reply.seen == ("audio",)
    (note,) = judge.notes
    assert note == "ollama:limited judged without a medium: a.png cannot be read: it does not exist"
