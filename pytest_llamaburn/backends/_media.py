"""Messages with media in the form of each API, and as JSON."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.media import Base64
from pytest_llamaburn.texts import dumps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.media import Medium

Message = dict[str, Any]


def ollama(message: Message) -> Message:
    """Return a message as `/api/chat` takes it: the data of all media in `images`.

    What is told of media stands before the text: this API has no place between images.
    """
    if "media" not in message:
        return message
    media: Sequence[Medium] = message["media"]
    plain = {name: value for name, value in message.items() if name != "media"}
    plain["content"] = "\n\n".join([*(one.text for one in media if one.text), message["content"]])
    return {**plain, "images": [part.data for medium in media for part in medium.sent]}


def openai(message: Message) -> Message:
    """Return a message as `/chat/completions` takes it: the media as parts, before the text.

    What is told of a medium is a part of text before it.
    """
    if "media" not in message:
        return message
    sent = [part for medium in message["media"] for part in medium.sent]
    shown = [one for part in sent for one in (*map(_text, filter(None, [part.text])), _part(part))]
    return {"role": message["role"], "content": [*shown, _text(message["content"])]}


def _text(words: str) -> Message:
    return {"type": "text", "text": words}


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
    messages = [_without(message, mark, large) for message in body.get("messages", ())]
    if not large:
        return [dumps(body).encode()]
    first, *rest = re.split(f"{mark}-\\d+-", dumps({**body, "messages": messages}))
    parts = [first.encode()]
    for medium, text in zip(large, rest, strict=True):
        parts += [*medium.parts, text.encode()]
    return parts


def _without(value: object, mark: str, large: list[Base64]) -> Any:
    """Return a part of a body with a mark in the place of each medium, which goes to `large`."""
    if isinstance(value, Base64):
        large.append(value)
        return f"{mark}-{len(large)}-"
    if isinstance(value, dict):
        return {name: _without(one, mark, large) for name, one in value.items()}
    if isinstance(value, list):
        return [_without(one, mark, large) for one in value]
    return value
