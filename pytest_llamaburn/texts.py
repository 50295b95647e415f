"""Words: text that can be written to files, words of a text, and numbers of things."""

from __future__ import annotations

import json
import re

# Compiled where they are used: that takes 2 ms, which a session that only imports us need not pay.
_GROUPED = r"(?<=\d)[,\u2009\u202f](?=\d{3}(?!\d))"
_CJK = "\u3040-\u30ff\u3400-\u9fff"  # scripts without spaces: each character counts as a word
_WORD = rf"\d+(?:\.\d+)+|[{_CJK}]|[^\W{_CJK}]+"


def whole(text: str) -> str:
    """Return a text in which the halves of a surrogate pair are joined and lone ones replaced.

    The two halves may have arrived in two chunks of a stream.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number of things in words, such as `1 request` or `2 requests`."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def span(seconds: float) -> str:
    """Return a time in words, such as `12 s`, `3 min 20 s` or `2 h 5 min`."""
    whole_s = round(seconds)
    if whole_s < 60:
        return f"{whole_s} s"
    minutes, left_s = divmod(whole_s, 60)
    hours, left_min = divmod(minutes, 60)
    parts = [(hours, "h"), (left_min, "min"), (0 if hours else left_s, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def words(text: str) -> str:
    """Return the words of a text, separated and surrounded by single spaces; empty without a word.

    Case, punctuation and digit grouping are removed, so that `words(a) in words(b)` is true if `b`
    contains `a` word for word.
    """
    parts = re.findall(_WORD, re.sub(_GROUPED, "", text.casefold()))
    return f" {' '.join(parts)} " if parts else ""


def dumps(value: object) -> str:
    """Return a value as JSON in valid Unicode; raises ValueError for NaN and infinities."""
    return whole(json.dumps(value, ensure_ascii=False, allow_nan=False))
