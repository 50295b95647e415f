"""Messages with media in the form of each API, and as JSON."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.media import Base64
from pytest_llamaburn.texts import dumps

if TYPE_CHECKING:
    from pytest_llamaburn.media import Medium

Message = dict[str, Any]


def ollama(message: Message) -> Message:
    """Return a message as `/api/chat` takes it: the data of all media in `images`."""
    if "media" not in message:
        return message
    plain = {name: value for name, value in message.items() if name != "media"}
    return {**plain, "images": [medium.data for medium in message["media"]]}


def openai(message: Message) -> Message:
    """Return a message as `/chat/completions` takes it: the media as parts, before the text."""
    if "media" not in message:
        return message
    text = {"type": "text", "text": message["content"]}
    return {"role": message["role"], "content": [*map(_part, message["media"]), text]}


def _part(medium: Medium) -> Message:
    if medium.kind == "audio":
        form = medium.mime.partition("/")[2]
        return {"type": "input_audio", "input_audio": {"data": medium.data, "format": form}}
    name = f"{medium.kind}_url"
    return {"type": name, name: {"url": medium.url}}


def json_of(body: dict[str, Any]) -> list[bytes]:
    """Return a request's body as JSON in UTF-8, in parts.

    Media can have many megabytes and need no escapes, so they are put in after the rest is JSON.
    """
    mark = secrets.token_hex(8)
    large: list[Base64] = []
    messages = [_without(message, mark, large) for message in body["messages"]]
    if not large:
        return [dumps(body).encode()]
    first, *rest = re.split(f"{mark}-\\d+-", dumps({**body, "messages": messages}))
    parts = [first.encode()]
    for medium, text in zip(large, rest, strict=True):
        parts += [*medium.parts, text.encode()]
    return parts


def _without(value: Any, mark: str, large: list[Base64]) -> Any:
    """Return a part of a body with a mark in the place of each medium, which goes to `large`."""
    if isinstance(value, Base64):
        large.append(value)
        return f"{mark}-{len(large)}-"
    if isinstance(value, dict):
        return {name: _without(one, mark, large) for name, one in value.items()}
    if isinstance(value, list):
        return [_without(one, mark, large) for one in value]
    return value
