"""What one request did: the events a backend yields and the record they fold into.

All `*_ns` are `time.perf_counter_ns` of this process, taken when a socket read returned.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


CLIENT_FILES = "client_files"  # the kind of failure that is ours: the server never heard of it


class Sent(msgspec.Struct):
    """The request's bytes were handed to the kernel."""

    t_ns: int


class Headers(msgspec.Struct):
    """The response's head was complete."""

    t_ns: int
    status: int


class Delta(msgspec.Struct, gc=False):
    """A non-empty piece of the answer; `kind` is content, thinking, tool or audio."""

    t_ns: int
    kind: str
    text: str


class Usage(msgspec.Struct):
    """The server's own token counts; None where it gives none."""

    prompt: int | None = None
    cached: int | None = None
    completion: int | None = None
    reasoning: int | None = None


class ServerTimings(msgspec.Struct):
    """The server's own clock in milliseconds.

    `prompt_tokens` are those really processed (uncached); `eval_tokens` were generated, the first
    of them before `eval_ms` starts.
    """

    load_ms: float | None = None
    prompt_ms: float | None = None
    prompt_tokens: int | None = None
    eval_ms: float | None = None
    eval_tokens: int | None = None
    queue_ms: float | None = None


class Finished(msgspec.Struct):
    """The answer ended as the protocol wants it to; `reason` is stop, length or the server's."""

    t_ns: int
    reason: str | None


class Failed(msgspec.Struct):
    """The request failed; `kind` is one of the failure kinds, `message` the server's own words."""

    t_ns: int
    kind: str
    phase: str
    status: int | None = None
    message: str = ""
    flag: str | None = None


Event = Sent | Headers | Delta | Usage | ServerTimings | Finished | Failed


@dataclass(slots=True)
class Trace:
    """One request from send to its one terminal event."""

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

    @property
    def error(self) -> dict[str, Any] | None:
        """How it failed, as result files have it; None if it did not."""
        if self.failure is None:
            return None
        names = ("kind", "phase", "status", "message")
        return {name: getattr(self.failure, name) for name in names}

    @property
    def last_ns(self) -> int | None:
        """When the last piece of the answer arrived."""
        return self.delta_ns[-1] if self.delta_ns else None


def fold(events: Iterable[Event], connect_ms: float | None = None) -> Trace:
    """Return the Trace of one request's events."""
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
    trace.text, trace.thinking = "".join(text["content"]), "".join(text["thinking"])
    return trace


def answered(trace: Trace) -> Trace:
    """Return the trace of a timed request, failed where it ended well without a piece of an answer.

    A server that counts a generated token has answered: the first may be the end.
    """
    if not (trace.failure or trace.delta_ns or trace.usage.completion):
        words = "the stream ended without any piece of an answer"
        trace.failure = Failed(trace.end_ns, "empty_answer", "stream", 200, words)
    return trace


def _apply(trace: Trace, event: Any) -> None:
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
        case Failed():
            trace.end_ns, trace.failure = event.t_ns, event
