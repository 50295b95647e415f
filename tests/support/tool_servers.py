"""Servers that call tools: perfectly, wrongly, always, in pieces, or without an end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from support.scripted import (
    OPENAI_USAGE,
    Close,
    Hang,
    LlamaCppFacade,
    OllamaFacade,
    Piece,
    Request,
    Steps,
    chunked,
    ollama_line,
    ollama_stream,
    openai_chunk,
    openai_stream,
    sized,
    sse,
)

Call: TypeAlias = Mapping[str, Any]
Said: TypeAlias = "str | Sequence[Call] | Steps"  # text, calls, or the bytes of the answer
Answers: TypeAlias = Callable[[str], Said]  # to the text of a question

_TOKENS = 40  # of a prompt; tools and a schema add as many


def prompt_of(request: Request) -> str:
    """Return the text of the last message."""
    text: str = request.json["messages"][-1]["content"]
    return text


def tokens_of(request: Request) -> int:
    """Return how many tokens a prompt seems to have: more with tools, and with a schema."""
    return _TOKENS * (1 + ("tools" in request.json))


def ollama_calls(calls: Sequence[Call]) -> list[Piece]:
    """Return the messages in which Ollama sends calls: whole, with arguments as objects."""
    return [
        {"tool_calls": [{"id": f"call_{n}", "function": {"index": n, **call}}]}
        for n, call in enumerate(calls)
    ]


def openai_calls(calls: Sequence[Call], size: int = 5) -> list[Piece]:
    """Return the deltas in which llama.cpp sends calls: the arguments as text, in pieces."""
    deltas: list[Piece] = []
    for n, call in enumerate(calls):
        text = json.dumps(call["arguments"])
        about = {"id": f"call_{n}", "type": "function"}
        first = {"index": n, **about, "function": {"name": call["name"], "arguments": ""}}
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        parts = [first, *({"index": n, "function": {"arguments": one}} for one in pieces)]
        deltas += [{"tool_calls": [part]} for part in parts]
    return deltas


@dataclass
class ToolOllama(OllamaFacade):
    """Ollama with a model that answers questions with calls or text."""

    capabilities: Sequence[str] = ("completion", "tools")
    says: Answers = lambda _: "no idea"
    asked: list[Any] = field(default_factory=list)

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/chat" or not request.json["messages"]:
            return super().__call__(request)
        self.loaded = True
        said: Said = "Hello"
        if "Say hello" not in prompt_of(request):
            self.asked.append(request.json)
            said = self.says(prompt_of(request))
        counts = {"prompt_eval_count": tokens_of(request)}
        if isinstance(said, str):
            return ollama_stream([said], **counts)
        if said and isinstance(said[0], Mapping):  # type: ignore[index]
            return ollama_stream(ollama_calls(said), **counts)  # type: ignore[arg-type]
        return said  # type: ignore[return-value]


@dataclass
class ToolLlama(LlamaCppFacade):
    """llama.cpp with a model that answers questions with calls or text; calls come in pieces.

    With `drops_tools` it accepts tools, and the model does not get them.
    """

    says: Answers = lambda _: "no idea"
    asked: list[Any] = field(default_factory=list)
    drops_tools: bool = False

    def __call__(self, request: Request) -> Steps:
        if request.path != "/v1/chat/completions":
            return super().__call__(request)
        said: Said = "Hello"
        if "Say hello" not in prompt_of(request):
            self.asked.append(request.json)
            said = self.says(prompt_of(request))
        tokens = _TOKENS if self.drops_tools else tokens_of(request)
        usage = {**OPENAI_USAGE, "prompt_tokens": tokens}
        if isinstance(said, str):
            return [*openai_stream([said], usage), Close()]
        if said and isinstance(said[0], Mapping):  # type: ignore[index]
            return [*openai_stream(openai_calls(said), usage), Close()]  # type: ignore[arg-type]
        return said  # type: ignore[return-value]


def endless_ollama() -> Steps:
    """Return an answer whose only call begins, and whose stream then says nothing more."""
    begun = ollama_line({"tool_calls": [{"function": {"name": "set_timer", "arguments": {}}}]})
    return [*chunked(begun, content_type="application/x-ndjson")[:-1], Hang()]


def endless_openai() -> Steps:
    """Return an answer with half of a call's arguments, and then nothing more."""
    function = {"name": "set_timer", "arguments": '{"minutes": '}
    begun = sse(openai_chunk({"tool_calls": [{"index": 0, "id": "c", "function": function}]}))
    return [*chunked(begun, content_type="text/event-stream")[:-1], Hang()]


def refused() -> Steps:
    """Return Ollama's refusal of tools."""
    return [sized(400, {"error": "registry.ollama.ai/library/tiny does not support tools"})]
