"""Messages with media, in the form of each API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
