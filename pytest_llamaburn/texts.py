"""Text that files can hold: what others send may have halves of surrogate pairs, which none can."""

from __future__ import annotations

import json
from typing import Any


def whole(text: str) -> str:
    """Return a text in which halves of a surrogate pair are joined, and lone ones replaced.

    The two halves may have come in two parts of a stream.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def dumps(value: Any) -> str:
    """Return a value as JSON that any file can hold; raises ValueError for NaN and infinities."""
    return whole(json.dumps(value, ensure_ascii=False, allow_nan=False))
