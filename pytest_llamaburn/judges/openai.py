"""OpenAI's models, or any server with `/v1/chat/completions`, through OpenAI's own SDK."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_llamaburn.backends._address import api_root
from pytest_llamaburn.errors import MissingExtraError
from pytest_llamaburn.judges import _base, _completions, _probe
from pytest_llamaburn.judges._base import Ask, CallError, Reply, Spec

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from pytest_llamaburn.judges._documents import Parameters

# Reasoning models accept an effort, and no sampling parameters while they reason.
_REASONS = re.compile(r"(o\d|gpt-([5-9]|\d\d))")


class Judge(_base.Judge):
    """A model at OpenAI or at a server that speaks its protocol."""

    provider = "openai"
    key_variable = "OPENAI_API_KEY"
    default_model = "gpt-5.5-2026-04-23"  # dated, so that the name always means the same judge
    takes = ("image", "audio")
    parameters: ClassVar = {
        "temperature": r"\btemperature\b",
        "reasoning_effort": r"\breasoning_effort\b|reasoning\.effort",
        "response_format": r"\bresponse_format\b|json_schema",
        "max_completion_tokens": r"\bmax_completion_tokens\b",
    }

    def __init__(self, spec: Spec, timeout_s: float = 300.0) -> None:
        """Take the model and address; raises MissingExtraError without the SDK."""
        super().__init__(spec, timeout_s)
        self._client: AsyncOpenAI = _client(self)

    async def probe(self) -> None:
        """Look the model up, which is free; raises UsageError if key or model is refused."""
        import openai

        await _probe.look_up(self, self._client, openai)

    async def open(self) -> None:
        """Note when the model ends, if the server says so."""
        from openai import OpenAIError

        try:
            found = await self._client.models.retrieve(self.model, timeout=_probe.LOOK_UP_S)
        except OpenAIError:
            return
        if end := getattr(found, "shutdown_date", None):
            self.notes[f"judge {self.model} is deprecated and ends on {end}"] = None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def known_refusals(self) -> dict[str, str]:
        """Return temperature for models that reason, effort for the others."""
        if _REASONS.match(self.model):
            return {"temperature": f"{self.model} takes no temperature while it reasons"}
        return {"reasoning_effort": f"{self.model} is not known to reason"}

    def options(self, ask: Ask) -> Parameters:
        """Return temperature, effort, the schema and the bound of the answer."""
        return {
            "temperature": ask.temperature,
            "reasoning_effort": "medium",
            "response_format": _completions.response_format(ask.schema),
            "max_completion_tokens": ask.max_tokens,
        }

    async def _send(self, ask: Ask, options: Parameters) -> Reply:
        import openai

        create: Any = self._client.chat.completions.with_raw_response.create
        older = {} if "max_completion_tokens" in options else {"max_tokens": ask.max_tokens}
        request = {"model": self.model, "messages": _completions.messages(ask), **older, **options}
        try:
            raw = await create(**request)
        except openai.APIStatusError as err:
            raise _base.failed(err.status_code, err.body, err.response.headers) from None
        except openai.APIError as err:
            raise CallError("connection", f"{err} {err.__cause__ or ''}") from None
        return _completions.reply(raw.content, raw.headers.get("x-request-id"), options)


def _client(judge: Judge) -> AsyncOpenAI:
    try:
        from openai import AsyncOpenAI
    except ImportError:
        raise MissingExtraError("judge", "the judge openai") from None
    url = api_root(judge.url) if judge.url else None
    url = f"{url}/v1" if url and url.count("/") == 2 else url
    return AsyncOpenAI(api_key=judge.key, base_url=url, max_retries=0, timeout=judge.backstop_s)
