"""The kinds of failure, told apart by what the server said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE_LIMIT = 500
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
_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
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
    words = words.encode(errors="replace").decode()  # half a surrogate pair fits in no file
    status = code if status in (None, 200) and code else status
    lowered = words.lower()
    for kind, needles in _WORDS:
        if any(needle in lowered for needle in needles):
            return kind, words[:MESSAGE_LIMIT]
    return _by_status(status, words), words[:MESSAGE_LIMIT]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait in seconds that a server asks for, None for none or a date."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * scale)
        except (KeyError, ValueError):
            continue
    return None


def _by_status(status: int | None, words: str) -> str:
    if status == 403:
        return "auth" if words else "host_rejected"  # an empty 403 refuses our Host header
    if status in _STATUS:
        return _STATUS[status]
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
        if "error" in body:
            return _words(body["error"])
        words, _ = _words(str(body.get("message", body)))
        code = body.get("code")
        extra = f" ({body['type']})" if isinstance(body.get("type"), str) else ""
        return words + extra, code if isinstance(code, int) else None
    return str(body), None
