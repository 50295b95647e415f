"""The shapes of OpenAI's chat completions, which local servers speak too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llamaburn.judges import _shown
from pytest_llamaburn.judges._base import Ask, CallError, Reply, Usage, decoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.judges._documents import Schema
    from pytest_llamaburn.judges._shown import Seen

_STOPS = {"length": "length", "content_filter": "refusal"}


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Prompt(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class _Completion(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Prompt | None = None
    completion_tokens_details: _Completion | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: _Usage | None = None


def messages(ask: Ask) -> Any:
    """Return the two messages of a call to a judge."""
    shown: Any = ask.user
    if ask.seen:
        texts = [{"type": "text", "text": text} for text in (ask.user, _shown.about(ask.seen))]
        shown = [*texts, *map(_part, ask.seen)]
    return [{"role": "system", "content": ask.system}, {"role": "user", "content": shown}]


def _part(one: Seen) -> Any:
    if one.kind == "audio":
        sound = {"data": one.data, "format": one.mime.partition("/")[2]}
        return {"type": "input_audio", "input_audio": sound}
    return {"type": "image_url", "image_url": {"url": one.url}}


def response_format(schema: Schema) -> Any:
    """Return the field that makes a server enforce a schema."""
    return {
        "type": "json_schema",
        "json_schema": {"name": "verdict", "strict": True, "schema": schema},
    }


def reply(body: bytes, request_id: str | None, sent: Mapping[str, object]) -> Reply:
    """Return the reply in the body of a completion; raises CallError `malformed`."""
    answer = decoded(body, _Answer, "completion")
    try:
        choice = answer.choices[0]
    except IndexError:
        raise CallError(
            "malformed", "the reply is not a completion: it has no choice", 200
        ) from None
    message = choice.message
    stop = _STOPS.get(choice.finish_reason or "", "end")
    if message.refusal:
        stop = "refusal"
    text, words = message.content or "", message.refusal or ""
    return Reply(text, stop, _usage(answer.usage), answer.model, request_id, sent, words)


def _usage(found: _Usage | None) -> Usage:
    found = found or _Usage()
    prompt = found.prompt_tokens_details or _Prompt()
    apart = (prompt.cached_tokens, prompt.cache_write_tokens, prompt.audio_tokens)
    return Usage(
        None if found.prompt_tokens is None else found.prompt_tokens - sum(filter(None, apart)),
        prompt.cached_tokens,
        prompt.cache_write_tokens,
        found.completion_tokens,
        (found.completion_tokens_details or _Completion()).reasoning_tokens,
        prompt.audio_tokens,
    )
