"""Text that files can hold: what others send may have halves of surrogate pairs, which none can."""

from __future__ import annotations

import json
import re
from typing import Any

# Compiled where they are used: that takes 2 ms, which a session that only imports us need not pay.
_GROUPED = r"(?<=\d)[,\u2009\u202f](?=\d{3}(?!\d))"
_CJK = "\u3040-\u30ff\u3400-\u9fff"  # written without spaces: each sign is a word
_WORD = rf"\d+(?:\.\d+)+|[{_CJK}]|[^\W{_CJK}]+"


def whole(text: str) -> str:
    """Return a text in which halves of a surrogate pair are joined, and lone ones replaced.

    The two halves may have come in two parts of a stream.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def words(text: str) -> str:
    """Return the words of a text between single spaces, one also at each end; empty without any.

    Case, punctuation and the grouping of digits are left out, so that `words(a) in words(b)` tells
    whether one text stands in another.
    """
    found = re.findall(_WORD, re.sub(_GROUPED, "", text.casefold()))
    return f" {' '.join(found)} " if found else ""


def dumps(value: Any) -> str:
    """Return a value as JSON that any file can hold; raises ValueError for NaN and infinities."""
    return whole(json.dumps(value, ensure_ascii=False, allow_nan=False))
