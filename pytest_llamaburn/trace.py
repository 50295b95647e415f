"""The events of one request, and the trace that is built from them.

All `*_ns` are `time.perf_counter_ns` of this process, taken when a socket read returned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pytest_llamaburn import tool_calls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_llamaburn.documents import Failure, ToolCall


CLIENT_FILES = "client_files"  # the client's own failure: the request never reached the server
UNREADABLE, IMPLAUSIBLE = "unreadable", "implausible"  # why a number of the server is rejected
NOT_STREAMED = "not_streamed"
# Limits of counts and durations. They are wide: some tokens have no text (hidden thinking, special
# tokens, a system prompt of the server), and clocks have a limited resolution.
_MOST_TOKENS = 10_000_000  # the longest known context
_TOKENS_PER_BYTE, _BYTES_PER_CHARACTER = 4, 4
_UNSEEN_ANSWER, _UNSEEN_PROMPT = 4096, 65_536  # tokens
_CLOCK_SHARE, _CLOCK_STEPS_MS = 1.01, 50.0


class Sent(msgspec.Struct):
    """The request's bytes were handed to the kernel."""

    t_ns: int


class Headers(msgspec.Struct):
    """The response's head was complete."""

    t_ns: int
    status: int


class Delta(msgspec.Struct, gc=False):
    """A non-empty part of the answer; `kind` is content, thinking, tool or audio."""

    t_ns: int
    kind: str
    text: str


class Usage(msgspec.Struct):
    """The server's token counts as received: None if missing, NaN if unreadable.

    In a Trace they are plausible whole numbers, or None.
    """

    prompt: float | None = None
    cached: float | None = None
    completion: float | None = None
    reasoning: float | None = None
    media: float | None = None  # those of `prompt` that are images, audio or video


class ServerTimings(msgspec.Struct):
    """The server's own durations in ms; None and NaN as in Usage.

    `prompt_tokens` are the processed (uncached) tokens. `eval_tokens` are the generated tokens;
    the first of them was generated before `eval_ms` starts.
    """

    load_ms: float | None = None
    prompt_ms: float | None = None
    prompt_tokens: float | None = None
    eval_ms: float | None = None
    eval_tokens: float | None = None
    queue_ms: float | None = None


class Finished(msgspec.Struct):
    """The answer ended as the protocol defines; `reason` is stop, length or the server's own word.

    `streamed` is False if the whole answer came in one part, although a stream was requested.
    """

    t_ns: int
    reason: str | None
    streamed: bool = True


class Failed(msgspec.Struct):
    """The request failed; `kind` is a failure kind, `message` the server's own text."""

    t_ns: int
    kind: str
    phase: str
    status: int | None = None
    message: str = ""
    flag: str | None = None


Event = Sent | Headers | Delta | Usage | ServerTimings | Finished | Failed
Numbers = TypeVar("Numbers", Usage, ServerTimings)


@dataclass(slots=True)
class Trace:
    """One request, from send to its terminal event.

    `refused` maps the server's numbers that were rejected, and are None, to the reason. An answer
    that was not streamed has no `first_ns`, since its first token was not observed.
    """

    sent_ns: int = 0
    headers_ns: int | None = None
    end_ns: int = 0
    first_ns: int | None = None
    first_answer_ns: int | None = None
    delta_ns: list[int] = field(default_factory=list)
    connect_ms: float | None = None
    usage: Usage = field(default_factory=Usage)
    timings: ServerTimings = field(default_factory=ServerTimings)
    finish_reason: str | None = None
    failure: Failed | None = None
    text: str = ""
    thinking: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    streamed: bool = True
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def flags(self) -> list[str]:
        """Warnings about the numbers of this request."""
        if self.failure is not None:
            return [self.failure.flag] if self.failure.flag else []
        zero = bool(self.delta_ns) and 0 in (self.usage.prompt, self.usage.completion)
        return [
            *([] if self.streamed else [NOT_STREAMED]),
            *(["implausible_counts"] if self.refused or zero else []),
        ]

    @property
    def error(self) -> Failure | None:
        """The failure as in result files, or None if the request succeeded."""
        if self.failure is None:
            return None
        failed = self.failure
        return {
            "kind": failed.kind,
            "phase": failed.phase,
            "status": failed.status,
            "message": failed.message,
        }

    @property
    def last_ns(self) -> int | None:
        """The time when the last part of the answer arrived, or None."""
        return self.delta_ns[-1] if self.delta_ns else None


def fold(
    events: Iterable[Event], connect_ms: float | None = None, sent_bytes: int | None = None
) -> Trace:
    """Return the Trace of one request's events; `sent_bytes` limits the count of prompt tokens."""
    trace = Trace(connect_ms=connect_ms)
    text: dict[str, list[str]] = {"content": [], "thinking": []}
    for event in events:
        if type(event) is Delta:
            trace.delta_ns.append(event.t_ns)
            text.setdefault(event.kind, []).append(event.text)
            if trace.first_answer_ns is None and event.kind != "thinking":
                trace.first_answer_ns = event.t_ns
        else:
            _apply(trace, event)
    trace.first_ns = trace.delta_ns[0] if trace.delta_ns else None
    if not trace.streamed:
        trace.first_ns = trace.first_answer_ns = None
    whole = {kind: _writable("".join(pieces)) for kind, pieces in text.items()}
    trace.text, trace.thinking = whole["content"], whole["thinking"]
    trace.tool_calls = tool_calls.merged(text.get("tool", ()))
    _believe(trace, sum(map(len, whole.values())), sent_bytes)
    return trace


def _writable(text: str) -> str:
    """Return a text that UTF-8 can encode: surrogate pairs are joined, lone halves replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _believe(trace: Trace, characters: int, sent_bytes: int | None) -> None:
    """Keep the plausible numbers of the server; note why the others become None."""
    limits = _limits(trace, characters, sent_bytes)
    trace.usage = _believed(trace.usage, limits, trace.refused)
    trace.timings = _believed(trace.timings, limits, trace.refused)


def _limits(trace: Trace, characters: int, sent_bytes: int | None) -> dict[str, float]:
    """Return the upper limit of each number.

    A token has about one byte or more; a part is no larger than its whole; nothing takes longer
    than the request. A negative queue time means that the server's partial times exceed its total,
    so all of its times are rejected.
    """
    usage, took_ms = trace.usage, (trace.end_ns - trace.sent_ns) / 1e6
    longest_ms = _CLOCK_SHARE * took_ms + _CLOCK_STEPS_MS
    if (trace.timings.queue_ms or 0) < 0:
        longest_ms = -1.0
    prompt = _MOST_TOKENS if sent_bytes is None else _TOKENS_PER_BYTE * sent_bytes + _UNSEEN_PROMPT
    answer = _TOKENS_PER_BYTE * _BYTES_PER_CHARACTER * characters + _UNSEEN_ANSWER
    if _within(usage.reasoning, _MOST_TOKENS):
        answer += int(usage.reasoning or 0)
    return {
        **dict.fromkeys(("load_ms", "prompt_ms", "eval_ms", "queue_ms"), longest_ms),
        **dict.fromkeys(("prompt", "prompt_tokens"), prompt),
        **dict.fromkeys(("completion", "eval_tokens"), answer),
        "cached": (usage.prompt or prompt) if _within(usage.prompt, prompt) else prompt,
        "media": (usage.prompt or prompt) if _within(usage.prompt, prompt) else prompt,
        "reasoning": (usage.completion or answer) if _within(usage.completion, answer) else answer,
    }


def _believed(numbers: Numbers, limits: dict[str, float], refused: dict[str, str]) -> Numbers:
    """Return the numbers; an unreadable or implausible number becomes None and is noted."""
    kept: dict[str, float | None] = {}
    for name in numbers.__struct_fields__:
        value, whole = getattr(numbers, name), not name.endswith("_ms")
        kept[name] = None
        if value is None:
            continue
        if math.isnan(value):
            refused[name] = UNREADABLE
        elif not _within(value, limits[name]) or (whole and value != int(value)):
            refused[name] = IMPLAUSIBLE
        else:
            kept[name] = int(value) if whole else value
    return type(numbers)(**kept)


def _within(value: float | None, limit: float) -> bool:
    return value is not None and 0 <= value <= limit


def answered(trace: Trace) -> Trace:
    """Return the trace of a timed request; one that ended without any answer becomes a failure.

    One counted token is an answer even without text: it may be the end token.
    """
    counted = trace.usage.completion or 0
    if not (trace.failure or trace.delta_ns or counted == 1):
        words = "the stream ended without any part of an answer"
        words += f", although the server counted {counted} tokens" if counted else ""
        trace.failure = Failed(trace.end_ns, "empty_answer", "stream", 200, words)
    return trace


def _apply(trace: Trace, event: object) -> None:
    match event:
        case Sent():
            trace.sent_ns = event.t_ns
        case Headers():
            trace.headers_ns = event.t_ns
        case Usage():
            trace.usage = event
        case ServerTimings():
            trace.timings = event
        case Finished():
            trace.end_ns, trace.finish_reason = event.t_ns, event.reason
            trace.streamed = event.streamed
        case Failed():
            trace.end_ns, trace.failure = event.t_ns, event
