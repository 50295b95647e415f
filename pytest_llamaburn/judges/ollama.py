"""A model of an Ollama server; `format` makes it follow the schema."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from pytest_llamaburn.backends import ollama
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.judges import _base, _completions, _local, _probe, _shown
from pytest_llamaburn.judges._base import Ask, Reply, Spec, Usage

if TYPE_CHECKING:
    from pytest_llamaburn.judges._documents import Parameters


class _Message(msgspec.Struct):
    content: str = ""


class _Answer(msgspec.Struct):
    message: _Message
    model: str | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None


class Judge(_base.Judge):
    """A model at Ollama."""

    provider = "ollama"
    local = True
    parameters: ClassVar = {
        "temperature": r"\btemperature\b",
        "format": r"\bformat\b",
        "think": r"\bthink",
    }

    def __init__(self, spec: Spec, timeout_s: float = 300.0) -> None:
        """Take the model and address; without an address OLLAMA_HOST gives it."""
        super().__init__(spec, timeout_s)
        host = self.url or os.environ.get("OLLAMA_HOST") or None
        self._backend = ollama.Backend(_local.settings(host))
        self._num_ctx = _local.CONTEXT

    async def probe(self) -> None:
        """Look the model up without loading it; raises UsageError if it is missing."""
        try:
            await self.open()
        except ServerError as err:
            if err.__cause__ is None or _probe.refused(err):
                raise

    async def open(self) -> None:
        """Look the model up; raises ModelError or ServerError if it is not available."""
        with _local.in_its_name(self, self._backend):
            await self._backend.server()  # raises if the server is not Ollama
            model = await self._backend.describe(self.model)
        self._num_ctx = min(_local.CONTEXT, model.context_length or _local.CONTEXT)
        if model.digest:
            self.notes[f"judge {self.name} has digest {model.digest}"] = None

    def options(self, ask: Ask) -> Parameters:
        """Return temperature, the schema, and no thinking, which would use up the tokens."""
        return {
            "temperature": ask.temperature,
            "format": _local.bounded(ask.schema),
            "think": False,
        }

    async def _send(self, ask: Ask, options: Parameters) -> Reply:
        sampling = {k: v for k, v in options.items() if k == "temperature"}
        limits = {"num_ctx": self._num_ctx, "num_predict": _local.room(ask, self._num_ctx)}
        body = {
            "model": self.model,
            "messages": messages_of(ask),
            "stream": False,
            "options": {"seed": 0} | limits | sampling,
            **{k: v for k, v in options.items() if k != "temperature"},
        }
        answer = await _local.post(self._backend, "/api/chat", body, self.backstop_s)
        found = _base.decoded(answer, _Answer, "chat answer")
        stop = "length" if found.done_reason == "length" else "end"
        usage = Usage(input=found.prompt_eval_count, output=found.eval_count)
        return Reply(found.message.content, stop, usage, found.model, sent=options)


def messages_of(ask: Ask) -> Any:
    """Return the messages of a call; images stand beside the text."""
    if not ask.seen:
        return _completions.messages(ask)
    text = f"{ask.user}\n\n{_shown.about(ask.seen)}"
    shown = {"role": "user", "content": text, "images": [one.data for one in ask.seen]}
    return [{"role": "system", "content": ask.system}, shown]
