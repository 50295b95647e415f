"""Calls of tools: how they are read from the messages of a server, or from the text of an answer.

Servers send a call whole, with its arguments as an object, or in pieces, with parts of a JSON text.
A call that cannot be read is kept with its `fault`, so that it counts as wrong.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.texts import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_llamaburn.documents import ToolCall

_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_FENCED = re.compile(r"```(?:json)?\s*\n?(.*?)```", re.DOTALL)
_BEGINNING = re.compile(r"[{\[]")
_MOST_TRIES = 1000  # braces of a text to try; each one costs a parse
_ARGUMENTS = ("arguments", "parameters", "args", "input")  # the names that models use


@dataclass
class _Open:
    """A call whose pieces are still arriving."""

    index: Any
    id: str = ""
    name: str = ""
    text: str = ""  # of its arguments
    whole: dict[str, Any] | None = None  # arguments that came as an object
    fault: str | None = None

    def closed(self) -> ToolCall:
        """Return the call."""
        arguments, fault = self.whole, self.fault
        if arguments is None and fault is None:
            arguments, fault = _arguments(self.text)
        elif arguments is not None:
            arguments, fault = _writable(arguments)
        if not self.name:
            fault = fault or "the call names no tool"
        return {"name": self.name or None, "arguments": arguments, "fault": fault}


def merged(pieces: Iterable[str]) -> list[ToolCall]:
    """Return the calls in the order of their first pieces.

    Each piece is JSON: a list of calls or of parts of calls, or one of them. Parts belong together
    by their index, else by their order. Nothing is raised.
    """
    found: list[_Open] = []
    for piece in pieces:
        try:
            value = json.loads(piece)
        except (ValueError, RecursionError):
            found.append(_Open(None, fault="the call is not JSON"))
            continue
        for part in value if isinstance(value, list) else [value]:
            _take(part, found)
    return [call.closed() for call in found]


def _take(part: Any, found: list[_Open]) -> None:
    """Add a part to the call that it continues, or begin a call with it."""
    inner = part.get("function") if isinstance(part, dict) else None
    fields = inner if isinstance(inner, dict) else part
    if not isinstance(fields, dict):
        found.append(_Open(None, fault="the call is not an object"))
        return
    index, given = part.get("index", fields.get("index")), fields.get("arguments")
    call_id, name = _text(part.get("id")), _text(fields.get("name"))
    call = _continued(found, index, call_id, name, given)
    if call is None:
        call = _Open(index, call_id)
        found.append(call)
    call.name = call.name or name
    if isinstance(given, dict):
        call.whole = given
    elif isinstance(given, str):
        call.text += given
    elif given is not None:
        call.fault = "the arguments are neither an object nor text"


def _continued(
    found: list[_Open], index: object, call_id: str, name: str, given: object
) -> _Open | None:
    """Return the open call that a part continues, or None if it begins another one.

    Some servers give all calls the index 0, or repeat the name with each part.
    """
    alike = [call for call in found if index is None or call.index == index]
    call = alike[-1] if alike else None
    if call is None or isinstance(given, dict) or call.whole is not None:
        return None
    if call_id and call.id and call_id != call.id:
        return next((one for one in found if one.id == call_id), None)
    if index is None and name and not call_id:
        return None
    if name and call.name and name != call.name:
        return None
    return None if name and _arguments(call.text)[0] and given else call


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _arguments(text: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return the arguments in a JSON text, or why it has none; an empty text has no arguments."""
    if not text.strip():
        return {}, None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None, "the arguments are not JSON"
    return _writable(value) if isinstance(value, dict) else (None, "the arguments are no object")


def _writable(value: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    """Return arguments that a result file can hold, or why it cannot."""
    try:
        return json.loads(dumps(value)), None
    except (ValueError, RecursionError):
        return None, "the arguments have a number that is not JSON, or are nested too deeply"


def in_text(text: str) -> list[ToolCall]:
    """Return the calls that a model wrote into its answer; none if the text has no call.

    They are in `<tool_call>` tags, or JSON objects with a name and arguments: the whole text, the
    last code block with any, or wherever they are in the text.
    """
    if tagged := _TAGGED.findall(text):
        return [call for inner in tagged for call in _tagged(inner)]
    for part in (text, *reversed(_FENCED.findall(text))):
        value = _value(part)
        if calls := _calls_of(value):
            return calls
    return [call for value in _values(text) for call in _calls_of(value)]


def _tagged(inner: str) -> list[ToolCall]:
    fault: ToolCall = {"name": None, "arguments": None, "fault": "the call in tags is not JSON"}
    return _calls_of(_value(inner)) or [fault]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON values within a text."""
    decoder, end = json.JSONDecoder(), 0
    for match in islice(_BEGINNING.finditer(text), _MOST_TRIES):
        if match.start() < end:
            continue
        try:
            value, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        yield value


def _calls_of(value: object) -> list[ToolCall]:
    """Return the calls that a JSON value has; none if it looks like anything else."""
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    calls = [_call_of(one) for one in (value if isinstance(value, list) else [value])]
    return [call for call in calls if call is not None]


def _call_of(value: object) -> ToolCall | None:
    inner = value.get("function") if isinstance(value, dict) else None
    fields = inner if isinstance(inner, dict) else value
    if not isinstance(fields, dict) or not isinstance(fields.get("name"), str):
        return None
    given = next((fields[name] for name in _ARGUMENTS if name in fields), None)
    if isinstance(given, dict):
        arguments, fault = _writable(given)
    elif isinstance(given, str):
        arguments, fault = _arguments(given)
    else:
        return None
    return {"name": fields["name"], "arguments": arguments, "fault": fault}


def written(text: str, calls: Iterable[Any]) -> str:
    """Return the text of an answer and its calls, a line each: `get_weather({"city": "Oslo"})`."""
    lines = [text] if text else []
    for call in calls:
        given = "?" if call["arguments"] is None else dumps(call["arguments"])
        lines.append(f"{call['name'] or '?'}({given})")
    return "\n".join(lines)
