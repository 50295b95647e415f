"""Calls of tools on the wire: the bytes of both dialects, and what a request carries."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.scripted import chunked, events_of, head, replay, settings_for, sized
from support.tool_servers import endless_ollama, endless_openai

from pytest_llamaburn.backends import ollama, openai
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.trace import Trace, fold

if TYPE_CHECKING:
    from collections.abc import Sequence

OLLAMA = ollama.Backend(settings_for("127.0.0.1:1"))
OPENAI = openai.Backend(settings_for("127.0.0.1:1"))
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {}}}]
OSLO = {"name": "get_weather", "arguments": {"city": "Oslo"}, "fault": None}
ROME = {"name": "get_weather", "arguments": {"city": "Rome"}, "fault": None}
# As Ollama 0.32 sends them: a call is whole, its arguments are an object.
OLLAMA_LINES = (
    (
        b'{"model":"tiny","created_at":"2026-11-30T21:00:00.1Z","message":{"role":"assistant",'
        b'"content":"","tool_calls":[{"id":"call_1","function":{"index":0,"name":"get_weather",'
        b'"arguments":{"city":"Oslo"}}}]},"done":false}\n'
    ),
    (
        b'{"model":"tiny","created_at":"2026-11-30T21:00:00.2Z","message":{"role":"assistant",'
        b'"content":"","tool_calls":[{"id":"call_2","function":{"index":1,"name":"get_weather",'
        b'"arguments":{"city":"Rome"}}}]},"done":false}\n'
    ),
    (
        b'{"model":"tiny","created_at":"2026-11-30T21:00:00.3Z","message":{"role":"assistant",'
        b'"content":""},"done":true,"done_reason":"stop","prompt_eval_count":90,"eval_count":40}\n'
    ),
)
# As llama.cpp sends them: id and name first, then the arguments as pieces of a text.
_OPEN = b'data: {"choices":[{"finish_reason":null,"index":0,"delta":'
OPENAI_EVENTS = (
    _OPEN + b'{"role":"assistant","content":null}}],"object":"chat.completion.chunk"}\n\n',
    _OPEN + b'{"tool_calls":[{"index":0,"id":"kEp1","type":"function","function":'
    b'{"name":"get_weather","arguments":"{"}}]}}]}\n\n',
    _OPEN + b'{"tool_calls":[{"index":0,"function":{"arguments":"\\"city\\":"}}]}}]}\n\n',
    _OPEN + b'{"tool_calls":[{"index":0,"function":{"arguments":"\\"Oslo\\"}"}}]}}]}\n\n',
    _OPEN + b'{"tool_calls":[{"index":1,"id":"kEp2","type":"function","function":'
    b'{"name":"get_weather","arguments":"{\\"city\\":\\"Rome\\"}"}}]}}]}\n\n',
    b'data: {"choices":[{"finish_reason":"tool_calls","index":0,"delta":{}}]}\n\n',
    b'data: {"choices":[],"usage":{"completion_tokens":40,"prompt_tokens":90}}\n\n',
    b"data: [DONE]\n\n",
)


def trace_of(backend: Any, reads: Sequence[bytes]) -> Trace:
    return fold(events_of(backend, asyncio.run(replay(reads))))


def test_ollamas_whole_calls_are_in_the_trace() -> None:
    trace = trace_of(OLLAMA, chunked(*OLLAMA_LINES))
    assert trace.tool_calls == [OSLO, ROME]
    assert (trace.text, trace.failure, trace.finish_reason) == ("", None, "stop")
    assert (len(trace.delta_ns), trace.usage.completion) == (2, 40)


def test_calls_in_pieces_are_in_the_trace() -> None:
    trace = trace_of(OPENAI, chunked(*OPENAI_EVENTS))
    assert trace.tool_calls == [OSLO, ROME]
    assert (trace.text, trace.failure, trace.finish_reason) == ("", None, "tool_calls")
    assert (len(trace.delta_ns), trace.usage.completion) == (4, 40)


@pytest.mark.parametrize(
    ("backend", "payloads"),
    [(OLLAMA, OLLAMA_LINES), (OPENAI, OPENAI_EVENTS)],
    ids=["ndjson", "sse"],
)
def test_calls_are_the_same_wherever_the_network_cuts_the_stream(
    backend: Any, payloads: Sequence[bytes]
) -> None:
    raw = b"".join(payloads)
    start = head(200, content_length=str(len(raw)))
    for size in (1, 7, 64):
        reads = [raw[at : at + size] for at in range(0, len(raw), size)]
        assert trace_of(backend, [start, *reads]).tool_calls == [OSLO, ROME]


def test_an_ollama_that_sends_arguments_as_text_is_understood() -> None:
    line = OLLAMA_LINES[0].replace(b'{"city":"Oslo"}', b'"{\\"city\\":\\"Oslo\\"}"')
    assert trace_of(OLLAMA, chunked(line, OLLAMA_LINES[2])).tool_calls == [OSLO]


def test_a_server_that_sends_arguments_as_an_object_is_understood() -> None:
    body = (
        b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"get_weather",'
        b'"arguments":{"city":"Oslo"}}}]},"finish_reason":"tool_calls"}]}'
    )
    assert trace_of(OPENAI, [sized(200, body)]).tool_calls == [OSLO]


def test_half_of_a_call_is_unreadable_and_no_crash() -> None:
    trace = trace_of(OPENAI, chunked(*OPENAI_EVENTS[:3], *OPENAI_EVENTS[5:]))
    assert [call["fault"] for call in trace.tool_calls] == ["the arguments are not JSON"]
    assert trace.failure is None


@pytest.mark.parametrize(
    ("backend", "begun"), [(OLLAMA, endless_ollama()), (OPENAI, endless_openai())]
)
def test_a_call_without_an_end_is_a_cut_stream(backend: Any, begun: Any) -> None:
    trace = trace_of(backend, [step for step in begun if isinstance(step, bytes)])
    assert trace.failure is not None
    assert [call["name"] for call in trace.tool_calls] == ["set_timer"]


def test_a_request_has_tools_and_a_schema_as_the_dialect_has_them() -> None:
    schema = {"type": "object"}
    assert OLLAMA.structure(TOOLS, schema) == {"tools": TOOLS, "format": schema}
    assert OLLAMA.structure([], schema) == {"format": schema}
    assert OPENAI.structure(TOOLS, None) == {"tools": TOOLS, "parallel_tool_calls": True}
    asked = {"name": "answer", "schema": schema, "strict": True}
    form = {"type": "json_schema", "json_schema": asked}
    assert OPENAI.structure([], schema) == {"response_format": form}
    assert "tools" not in OLLAMA.body(Model("tiny", "tiny"), [])
