"""Server-sent events: the data of each event, with the time at which it came."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def sse(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield (stamp, data) of each server-sent event.

    Comments, ids, event names and events without data are skipped. Data lose their outer blanks.
    An event named `error`, or an `error:` field as old llama.cpp builds send, becomes the object
    `{"error": …}`.
    """
    data, at, failed = b"", 0, False
    more: list[bytes] = []
    for stamp, line in lines:
        if line[:5] == b"data:":
            part, at = line[5:].strip(), stamp
            if data:
                more.append(part)
            else:
                data = part
        elif not line or line.isspace():
            if data or failed:
                yield at, _event(data, more, failed=failed)
            data, more, failed = b"", more and [], False
        elif line[:6] == b"event:":
            failed, at = line[6:].strip() == b"error", stamp
        elif line[:6] == b"error:":
            yield stamp, _error(line[6:])
    if data or failed:
        yield at, _event(data, more, failed=failed)


def _event(data: bytes, more: list[bytes], *, failed: bool) -> bytes:
    """Return the joined data lines of an event; as an error object if `failed`."""
    whole = b"\n".join([data, *more]) if more else data
    return _error(whole) if failed else whole


def _error(data: bytes) -> bytes:
    """Return `{"error": data}`; the data may be JSON or plain text."""
    try:
        error = json.loads(data)
    except (ValueError, RecursionError):
        error = data.decode("utf-8", "replace").strip()
    return json.dumps({"error": error or "an error without a message"}).encode()
