"""A model in our own llama.cpp; `response_format` makes it follow the schema."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ClassVar

from pytest_llamaburn.backends import _catalogue, embedded
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.judges import _base, _completions, _local

if TYPE_CHECKING:
    from pytest_llamaburn.judges._base import Ask, Reply, Spec
    from pytest_llamaburn.judges._documents import Parameters

_CONTEXT = 8192


class Judge(_base.Judge):
    """A model of the catalogue or a GGUF file, in a child process."""

    provider = "embedded"
    local = True
    default_model = _catalogue.DEFAULT_MODEL
    takes = ("image", "audio")
    parameters: ClassVar = {
        "temperature": r"\btemperature\b",
        "response_format": r"\bresponse_format\b",
    }

    def __init__(self, spec: Spec, timeout_s: float = 300.0) -> None:
        """Take the model; `open` starts the child process. Raises SettingsError for a URL."""
        super().__init__(spec, timeout_s)
        if self.url:
            raise SettingsError(f"--judge {spec}: the embedded judge has no address; drop the @URL")
        self._backend = embedded.Backend(_local.settings(None, _CONTEXT))

    async def probe(self) -> None:
        """Find or fetch the file of the model; raises ModelError or MissingExtraError."""
        with _local.in_its_name(self, self._backend):
            embedded.locate(self.model, quiet=not sys.stderr.isatty())

    async def open(self) -> None:
        """Start the child process; raises ModelError or MissingExtraError if it cannot serve."""
        with _local.in_its_name(self, self._backend):
            await self._backend.open(self.model)

    async def close(self) -> None:
        """Stop the child process."""
        self._backend.close()

    def options(self, ask: Ask) -> Parameters:
        """Return temperature and the schema."""
        return {
            "temperature": ask.temperature,
            "response_format": _completions.response_format(_local.bounded(ask.schema)),
        }

    async def _send(self, ask: Ask, options: Parameters) -> Reply:
        body = {
            "model": self.model,
            "messages": _completions.messages(ask),
            "max_tokens": _local.room(ask, _CONTEXT),
            "seed": 0,
            **options,
        }
        path = self._backend.chat_path
        answer = await _local.post(self._backend, path, body, self.backstop_s)
        reply = _completions.reply(answer, None, options)
        return reply._replace(model=self.model)  # the server would name the path of the file
