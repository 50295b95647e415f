"""Anthropic's models through Anthropic's own SDK."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from pytest_llamaburn.errors import MissingExtraError
from pytest_llamaburn.judges import _base, _probe, _shown
from pytest_llamaburn.judges._base import Ask, CallError, Reply, Spec, Usage

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

    from pytest_llamaburn.judges._documents import Parameters

# The API refuses sampling parameters from this version on; an older one still takes them for the
# models that know them.
_OLDER_API = "2023-06-01"
_SAMPLING = re.compile(r"claude-(3|(opus|sonnet|haiku)-4(-[015])?(-\d{8})?$)")
_STOPS = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


class _Block(msgspec.Struct):
    type: str
    text: str = ""


class _Thinking(msgspec.Struct):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _Thinking | None = None


class _Details(msgspec.Struct):
    category: str | None = None
    explanation: str | None = None


class _Message(msgspec.Struct):
    content: list[_Block]
    stop_reason: str | None
    model: str | None = None
    usage: _Usage | None = None
    stop_details: _Details | None = None


class Judge(_base.Judge):
    """A Claude model."""

    provider = "claude"
    key_variable = "ANTHROPIC_API_KEY"
    default_model = "claude-sonnet-5-5"
    parameters: ClassVar = {
        "temperature": r"\btemperature\b",
        "thinking": r"\bthinking\b",
        "effort": r"\beffort\b",
        "format": r"output_config\.format|output_format|json_schema|structured output",
    }

    def __init__(self, spec: Spec, timeout_s: float = 300.0) -> None:
        """Take the model and address; raises MissingExtraError without the SDK."""
        super().__init__(spec, timeout_s)
        self._client: AsyncAnthropic = _client(self)

    async def probe(self) -> None:
        """Look the model up, which is free; raises UsageError if key or model is refused."""
        import anthropic

        await _probe.look_up(self, self._client, anthropic)

    async def open(self) -> None:
        """Note whether the model is deprecated or retired, if the server says so."""
        from anthropic import AnthropicError

        try:
            found = await self._client.models.retrieve(self.model, timeout=_probe.LOOK_UP_S)
        except AnthropicError:
            return
        if getattr(found, "lifecycle", None) in ("deprecated", "retired"):
            end = f" and ends on {found.retires_at:%Y-%m-%d}" if found.retires_at else ""
            self.notes[f"judge {self.model} is {found.lifecycle}{end}"] = None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def known_refusals(self) -> dict[str, str]:
        """Return sampling parameters for today's models, thinking and effort for older ones."""
        if not _SAMPLING.match(self.model):
            return {"temperature": f"{self.model} takes no sampling parameters"}
        older = f"{self.model} is asked at a set temperature instead"
        return {"thinking": older, "effort": older}

    def options(self, ask: Ask) -> Parameters:
        """Return temperature, adaptive thinking, effort and the schema."""
        return {
            "temperature": ask.temperature,
            "thinking": {"type": "adaptive"},
            "effort": "medium",
            "format": {"type": "json_schema", "schema": ask.schema},
        }

    async def _send(self, ask: Ask, options: Parameters) -> Reply:
        import anthropic

        create: Any = self._client.messages.with_raw_response.create
        try:
            raw = await create(**_request(self.model, ask, options))
            body = await raw.read()
        except anthropic.APIStatusError as err:
            raise _base.failed(err.status_code, err.body, err.response.headers) from None
        except anthropic.APIError as err:
            raise CallError("connection", f"{err} {err.__cause__ or ''}") from None
        request_id = raw.headers.get("request-id")
        message = _base.decoded(body, _Message, "message")
        text = "".join(block.text for block in message.content if block.type == "text")
        details = message.stop_details or _Details()
        words = ": ".join(word for word in (details.category, details.explanation) if word)
        stop = _STOPS.get(message.stop_reason or "", "end")
        return Reply(text, stop, _usage(message.usage), message.model, request_id, options, words)


def _client(judge: Judge) -> AsyncAnthropic:
    try:
        from anthropic import AsyncAnthropic
    except ImportError:
        raise MissingExtraError("judge", "the judge claude") from None
    return AsyncAnthropic(
        api_key=judge.key, base_url=judge.url, max_retries=0, timeout=judge.backstop_s
    )


def _request(model: str, ask: Ask, options: Parameters) -> Parameters:
    """Return the arguments of `create`.

    The model is sent in `extra_body`, which the SDK does not check: it would warn of a deprecated
    model with each call, and fail under `-W error`. The SDK has no keyword for temperature.
    """
    config = {n: options[n] for n in ("effort", "format") if n in options}
    sampled = "temperature" in options
    return {
        "model": "",
        "max_tokens": ask.max_tokens,
        "system": ask.system,
        "messages": [{"role": "user", "content": content_of(ask)}],
        **({"thinking": options["thinking"]} if "thinking" in options else {}),
        **({"output_config": config} if config else {}),
        **({"extra_headers": {"anthropic-version": _OLDER_API}} if sampled else {}),
        "extra_body": {"model": model}
        | ({"temperature": options["temperature"]} if sampled else {}),
    }


def _usage(found: _Usage | None) -> Usage:
    found = found or _Usage()
    return Usage(
        found.input_tokens,
        found.cache_read_input_tokens,
        found.cache_creation_input_tokens,
        found.output_tokens,
        found.output_tokens_details.thinking_tokens if found.output_tokens_details else None,
    )


def content_of(ask: Ask) -> Any:
    """Return the text of a call, with the images if there are any."""
    if not ask.seen:
        return ask.user
    sources = [{"type": "base64", "media_type": one.mime, "data": one.data} for one in ask.seen]
    texts = [{"type": "text", "text": text} for text in (ask.user, _shown.about(ask.seen))]
    return [*texts, *({"type": "image", "source": one} for one in sources)]
