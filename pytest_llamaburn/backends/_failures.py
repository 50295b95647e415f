"""The kinds of failure, told apart by what the server said."""

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
    from collections.abc import Mapping

MESSAGE_LIMIT = 500
# Reasons to finish that say that the answer was broken off, not that the model had ended it. An
# answer that a filter cut is whole for the protocol: its reason says `content_filter`.
_BROKEN_OFF = frozenset(
    ("abort", "aborted", "cancelled", "canceled", "failed", "insufficient_system_resource")
)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.DOTALL | re.IGNORECASE)
_SHOWN = 200  # bytes of an answer that is shown because nobody could read it
# Failures that say nothing about the model: nobody was there to ask, the connection broke, we were
# not let in, or it was never asked because the search before it failed.
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
        "no_logprobs",
        "not_a_stream",
        "not_found",
        "queue_full",
        "reset",
        "search_failed",
        "server_crash",
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
# First match wins; a server's words are a better witness than its status code.
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


def classify(status: int | None, body: Any) -> tuple[str, str]:
    """Return (kind, the server's own words, bounded) for an error reply or an error in a stream.

    `body` is the decoded error: text, an object with a message, or JSON inside a string.
    """
    try:
        words, code = _words(body)
    except RecursionError:
        words, code = "an error nested too deeply to be read", None
    words = redacted(whole(words), os.environ.get(KEY_VARIABLE, "").strip())
    status = code if status in (None, 200) and code else status
    lowered = words.lower()
    for kind, needles in KIND_WORDS:
        if any(needle in lowered for needle in needles):
            return kind, _shown(words, MESSAGE_LIMIT)
    return _by_status(status, words), _shown(words, MESSAGE_LIMIT)


def error_in(found: Mapping[str, Any]) -> Any:
    """Return the error that a piece of a stream tells in any of the known shapes, None for none.

    Servers send `{"error": …}`, `{"detail": …}`, `{"object": "error", "message": …}` and
    `{"code": 500, "message": …}` or `"msg"`; an `error` that is null, false or empty text tells of
    none.
    """
    for name in ("error", "detail", "errors"):
        if found.get(name) not in (None, "", False):
            return found[name]
    marked = "error" in (found.get("object"), found.get("type"))
    worded = any(isinstance(found.get(name), str) for name in ("message", "msg"))
    return found if marked or worded else None


def failed(t_ns: int, error: Any) -> Failed:
    """Return the failure that an error in a stream tells."""
    kind, words = classify(200, error)
    return Failed(t_ns, kind, "stream", 200, words)


def ended(t_ns: int, reason: str | None, *, streamed: bool = True) -> Finished | Failed:
    """Return how an answer ended that the server says is over."""
    said = (reason or "").lower()
    if said in _BROKEN_OFF or "error" in said:
        return failed(t_ns, f"the server broke the answer off: its reason to finish is '{reason}'")
    return Finished(t_ns, reason, streamed)


def malformed(t_ns: int, data: bytes, why: object) -> Failed:
    """Return the failure of a piece of a stream that cannot be read."""
    return Failed(t_ns, "malformed_chunk", "stream", 200, f"{why}: {data[:_SHOWN]!r}")


def no_stream(t_ns: int, body: bytes) -> Failed:
    """Return the failure of a body that is no stream at all: what came instead."""
    title = _TITLE.search(body)
    shown = _line(title[1] if title else body)
    if title:
        came = f"an HTML page titled '{html.unescape(shown)}'"
    elif body[:1] == b"<":
        came = f"a page in HTML or XML: {shown}"
    else:
        came = f"{'JSON' if body[:1] in (b'{', b'[') else 'text'} that is no stream: {shown}"
    words = f"asked for a stream, the server sent {came}"
    return Failed(t_ns, "not_a_stream", "stream", 200, words)


def _line(data: bytes) -> str:
    return _shown(" ".join(data.decode("utf-8", "replace").split()), _SHOWN)


def _shown(words: str, most: int) -> str:
    """Return a server's words, bounded, without what moves a terminal's cursor or fits in no file.

    Half a surrogate pair does not.
    """
    kept = (c if c.isprintable() or c in "\n\t" else "?" for c in words[:most])
    return "".join(kept)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait in seconds that a server asks for, as a number or a date; None for none.

    A date is held against the server's own clock where it tells it.
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
    """Return the time that an HTTP date says, None where it is no date."""
    try:
        found = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _by_status(status: int | None, words: str) -> str:
    if status == 403:
        return "auth" if words else "host_rejected"  # an empty 403 refuses our Host header
    if status in _STATUS:
        return _STATUS[status]
    if status is not None and 300 <= status < 400:
        return "not_found"  # it is elsewhere: no model has answered
    if status is not None and 400 <= status < 500:
        return "bad_request"
    return "server_error"


def _words(body: Any) -> tuple[str, int | None]:
    """Return the message and the code inside an error of any of the known shapes."""
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
