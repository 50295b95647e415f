"""Classify failures by the server's message and status code."""

from __future__ import annotations

import html
import json
import os
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.backends._secrets import KEY_VARIABLE, redacted
from pytest_llamaburn.texts import whole
from pytest_llamaburn.trace import Failed, Finished

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MESSAGE_LIMIT = 500
GUARD_CHUNKS = 30  # Ollama ends a stream after this many equal chunks, without an error
# Finish reasons of an aborted answer. `content_filter` is not one of them: such an answer is
# complete for the protocol.
_ABORTED = frozenset(
    ("abort", "aborted", "cancelled", "canceled", "failed", "insufficient_system_resource")
)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.DOTALL | re.IGNORECASE)
_SHOWN = 200  # most bytes of an unreadable answer in a message
# Failures that are not the model's: no server, a broken connection, no access, media that a server
# does not take or that do not fit into its context, tools and schemas that a server does not take,
# or a failed search before the request.
NOT_THE_MODELS = frozenset(
    (
        "auth",
        "client_cancelled",
        "connect_error",
        "connect_refused",
        "connect_timeout",
        "dns",
        "host_rejected",
        "interrupted",
        "loading",
        "media_overflow",
        "media_refused",
        "no_logprobs",
        "not_a_stream",
        "not_found",
        "queue_full",
        "reset",
        "schema_refused",
        "search_failed",
        "server_crash",
        "tools_refused",
    )
)

_OOM = (
    "out of memory",
    "out of device memory",
    "out_of_memory",
    "out_of_device_memory",
    "cudamalloc failed",
    "hipmalloc failed",
    "failed to allocate",
    "allocation failed",
    "not enough memory",
    "insufficient memory",
    "reported out-of-memory",
    "outofmemory",
    "requires more system memory",
)
# The first match wins. A message is more reliable than a status code.
KIND_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("oom", _OOM),
    (
        "context_overflow",
        (
            "exceed_context_size",
            "prompt is longer than the context",
            "context size has been exceeded",
            "exceeds the available context size",
            "maximum context length",
            "input length exceeds",
            "too large to process",
        ),
    ),
    (
        "runner_crash",
        ("runner has unexpectedly stopped", "process has terminated", "unexpected eof"),
    ),
    (
        "queue_full",
        ("maximum pending requests", "queue is full", "overloaded", "server busy"),
    ),
    ("loading", ("loading model",)),
    ("bad_request", ("must be of type",)),
    ("unsupported", ("does not support", "not supported")),
)
_STATUS = {401: "auth", 404: "not_found", 429: "queue_full", 501: "unsupported"}


def classify(status: int | None, body: object) -> tuple[str, str]:
    """Return (kind, the server's shortened message) for an error reply or an error in a stream.

    `body` is the decoded error: text, an object with a message, or JSON inside a string.
    """
    try:
        words, code = _words(body)
    except RecursionError:
        words, code = "an error nested too deeply to read", None
    words = hidden(words)
    status = code if status in (None, 200) and code else status
    lowered = words.lower()
    for kind, needles in KIND_WORDS:
        if any(needle in lowered for needle in needles):
            return kind, _shown(words, MESSAGE_LIMIT)
    return _by_status(status, words), _shown(words, MESSAGE_LIMIT)


def error_in(chunk: Mapping[str, object]) -> Any:
    """Return the error in one chunk of a stream, in any known shape; None if there is no error.

    Servers send `{"error": …}`, `{"detail": …}`, `{"object": "error", "message": …}` and
    `{"code": 500, "message": …}` or `"msg"`. An `error` of null, false or "" is no error.
    """
    for name in ("error", "detail", "errors"):
        if chunk.get(name) not in (None, "", False):
            return chunk[name]
    marked = "error" in (chunk.get("object"), chunk.get("type"))
    has_message = any(isinstance(chunk.get(name), str) for name in ("message", "msg"))
    return chunk if marked or has_message else None


def failed(t_ns: int, error: object) -> Failed:
    """Return the failure for an error in a stream."""
    kind, words = classify(200, error)
    return Failed(t_ns, kind, "stream", 200, words)


def ended(t_ns: int, reason: str | None, *, streamed: bool = True) -> Finished | Failed:
    """Return the end of a finished answer: a failure if the finish reason says that it aborted."""
    word = (reason or "").lower()
    if word in _ABORTED or "error" in word:
        return failed(t_ns, f"the server aborted the answer: finish reason '{reason}'")
    return Finished(t_ns, reason, streamed)


def guarded(t_ns: int, recent: Sequence[str]) -> Failed | None:
    """Return the failure of a stream that Ollama ended early, because its last chunks are equal."""
    if len(recent) < GUARD_CHUNKS or len(set(recent)) > 1:
        return None
    words = f"the stream ended without done:true after {GUARD_CHUNKS} equal chunks"
    return Failed(t_ns, "truncated_stream", "stream", 200, words, flag="repetition_guard")


def malformed(t_ns: int, data: bytes, why: object) -> Failed:
    """Return the failure for a chunk that cannot be decoded."""
    return Failed(t_ns, "malformed_chunk", "stream", 200, f"{why}: {_start_of(data)}")


def no_stream(t_ns: int, body: bytes) -> Failed:
    """Return the failure for a body that is not a stream; its message shows the body's start."""
    title = _TITLE.search(body)
    text = (title[1] if title else body).decode("utf-8", "replace")
    shown = _shown(" ".join(text.split()), _SHOWN)
    if title:
        content = f"an HTML page titled '{html.unescape(shown)}'"
    elif body[:1] == b"<":
        content = f"a page in HTML or XML: {shown}"
    else:
        content = f"plain {'JSON' if body[:1] in (b'{', b'[') else 'text'}: {shown}"
    words = f"the server sent no stream, but {content}"
    return Failed(t_ns, "not_a_stream", "stream", 200, words)


def hidden(words: str) -> str:
    """Return words of the server under test without its key, which some servers echo."""
    return redacted(whole(words), os.environ.get(KEY_VARIABLE, "").strip())


def _shown(words: str, limit: int) -> str:
    """Return a server's words, shortened; unprintable characters and lone surrogates become ?."""
    kept = (c if c.isprintable() or c in "\n\t" else "?" for c in hidden(words)[:limit])
    return "".join(kept)


def _start_of(data: bytes) -> str:
    """Return the start of a body as Python writes bytes; the key is hidden before the cut."""
    text = hidden(data[: 10 * _SHOWN].decode("latin-1"))
    return repr(text.encode("latin-1")[:_SHOWN])


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in a Retry-After header, which may be a date; None without the header.

    A date is compared with the server's own `Date` header if there is one.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * scale)
        except (KeyError, ValueError):
            continue
    until = _date(headers.get("retry-after"))
    now = _date(headers.get("date")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds()) if until else None


def _date(text: str | None) -> datetime | None:
    """Return the time of an HTTP date, or None if the text is not a date."""
    try:
        time = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _by_status(status: int | None, words: str) -> str:
    if status == 403:
        return "auth" if words else "host_rejected"  # an empty 403 rejects our Host header
    if status in _STATUS:
        return _STATUS[status]
    if status is not None and 300 <= status < 400:
        return "not_found"  # a redirect: no model has answered
    if status is not None and 400 <= status < 500:
        return "bad_request"
    return "server_error"


def _words(body: object) -> tuple[str, int | None]:
    """Return (message, code) of an error in any known shape."""
    if isinstance(body, (bytes, str)):
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        try:
            inner = json.loads(text)
        except (ValueError, RecursionError):
            return text.strip(), None
        return _words(inner) if isinstance(inner, (dict, str)) else (text.strip(), None)
    if isinstance(body, dict):
        for name in ("error", "detail", "errors"):
            if body.get(name):
                return _words(body[name])
        words, _ = _words(str(body.get("message") or body.get("msg") or body))
        code = body.get("code")
        extra = f" ({body['type']})" if isinstance(body.get("type"), str) else ""
        return words + extra, code if isinstance(code, int) else None
    return str(body), None
