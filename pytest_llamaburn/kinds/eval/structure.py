"""Tools and schemas of questions: in the request, or only in the text that the model reads.

In the request, the server may hold the model to them, and sends calls of tools as such. In the
text, nothing holds the model, and calls are read from its answer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import tool_calls
from pytest_llamaburn.errors import ServerError, SettingsError
from pytest_llamaburn.thinking import split_thinking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from pytest_llamaburn.backends._base import Backend, Body, Message, Model, Server
    from pytest_llamaburn.documents import Document, ToolCall
    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.kinds.eval.settings import Eval
    from pytest_llamaburn.trace import Trace

_REFUSED: Final = ("bad_request", "unsupported")  # failures of a request that a server rejects
_HOW: Final = (
    "To call tools, answer with JSON only: a list with an object for each call, such as "
    '[{"name": "tool", "arguments": {"argument": "value"}}]. If no call is due, or if an argument '
    "is not known, answer in plain words."
)
_PROBE: Final = "Say hello in one short sentence."
_BY_PROMPT: Final = "use --structured prompt, which gives them to the model as text"


def tools_of(question: Question) -> list[Document]:
    """Return the tools of a question, as requests have them."""
    tools: list[Document] = question.options.get("tools", [])
    return [{"type": "function", "function": tool} for tool in tools]


def prompt(question: Question, text: str, settings: Eval) -> str:
    """Return the text of a question; with --structured prompt it has the tools."""
    tools = question.options.get("tools", [])
    if not tools or settings.structured != "prompt":
        return text
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    return f"{text}\n\nYou may call these tools:\n{listed}\n\n{_HOW}"


def fields(question: Question, backend: Backend, settings: Eval) -> Body:
    """Return what a request has besides, so that the server knows the tools and the schema."""
    tools = [] if settings.structured == "prompt" else tools_of(question)
    schema = question.options.get("schema") if settings.structured == "server" else None
    return backend.structure(tools, schema) if tools or schema is not None else {}


def calls_of(question: Question, trace: Trace, settings: Eval) -> Document:
    """Return the field `tool_calls` of an answer to a question with tools; or nothing."""
    if not question.options.get("tools"):
        return {}
    if settings.structured == "prompt":
        return {"tool_calls": tool_calls.in_text(split_thinking(trace.text)[0])}
    return {"tool_calls": trace.tool_calls}


def refuse(question: Question, trace: Trace, settings: Eval) -> None:
    """Set the kind of failure of a request that was refused for its tools or its schema."""
    if trace.failure is None or trace.failure.kind not in _REFUSED:
        return
    if settings.structured != "prompt" and question.options.get("tools"):
        trace.failure.kind = "tools_refused"
    elif settings.structured == "server" and question.options.get("schema") is not None:
        trace.failure.kind = "schema_refused"


def said(row: Any) -> str:
    """Return the text of an answer with its calls of tools."""
    calls: Sequence[ToolCall] = row.get("tool_calls") or ()
    return tool_calls.written(row["answer"] or "", calls)


def check(settings: Eval, questions: Iterable[Question]) -> None:
    """Raise SettingsError if no question has tools or a schema."""
    if not any(name in one.options for one in questions for name in ("tools", "schema")):
        given = (
            f"--vary {settings.vary}" if settings.vary else f"--structured {settings.structured}"
        )
        raise SettingsError(
            f"{given} is refused: no question of {', '.join(settings.set)} has tools or a schema: "
            "leave the option out"
        )


async def probe(
    backend: Backend,
    of: tuple[Model, Server],
    asked: tuple[Iterable[Question], Eval],
    send: Callable[[Body], Awaitable[Trace]],
) -> None:
    """Raise ServerError if the server takes no tools or no schema, or if the model gets none.

    A server that accepts tools for a model whose chat template has no place for them drops them:
    then the prompt has the same tokens with and without.
    """
    (model, server), (questions, settings) = of, asked
    every = [*questions]
    with_tools = next((q for q in every if q.options.get("tools")), None)
    with_schema = next((q for q in every if q.options.get("schema") is not None), None)
    words: list[Message] = [{"role": "user", "content": _PROBE}]
    body = backend.body(model, words)
    if with_tools is not None and settings.structured != "prompt":
        _refuse_incapable(model, server)
        given = await send({**body, **fields(with_tools, backend, settings)})
        _refuse_refusal(given, f"{server.host} refuses tools of {model.id}")
        if given.failure is None:
            bare = await send(body)
            tokens = given.usage.prompt, bare.usage.prompt
            if None not in tokens and tokens[0] == tokens[1]:
                raise ServerError(
                    f"--set: {server.host} accepts tools, but {model.id} does not get them: its "
                    f"prompt has {tokens[0]} tokens with and without: {_BY_PROMPT}"
                )
    if with_schema is not None and settings.structured == "server":
        given = await send({**body, **fields(with_schema, backend, settings)})
        _refuse_refusal(given, f"{server.host} refuses the schema of answers")


def _refuse_incapable(model: Model, server: Server) -> None:
    """Raise ServerError if Ollama says that the model has no place for tools."""
    if server.kind == "ollama" and model.capabilities and "tools" not in model.capabilities:
        raise ServerError(
            f"--set: {model.id} does not support tools, as {server.host} says: {_BY_PROMPT}"
        )


def _refuse_refusal(trace: Trace, words: str) -> None:
    if trace.failure is not None and trace.failure.kind in _REFUSED:
        raise ServerError(f"--set: {words}: {trace.failure.message}: {_BY_PROMPT}")
