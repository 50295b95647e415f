"""Keys in what servers say: left out, in whatever notation a server repeats them."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from functools import lru_cache

KEY_VARIABLE = "LLAMABURN_API_KEY"  # of the server under test
HIDDEN = "[key]"
_LOOK_ALIKE = re.compile(r"\bsk-[\w*.-]+")  # keys of others, and ours with stars in it
_SHORTEST = 8  # a shorter key is looked for as it is: its encodings are in ordinary words
_SHORTEST_PART = 6  # of a key that was cut at the end of a text


def redacted(text: str, key: str) -> str:
    """Return a text without a key, and without what looks like one.

    The key may be URL-encoded, escaped as in JSON, Python or HTML, in base64, in capital letters,
    or cut at the end of the text.
    """
    for pattern in _patterns(key):
        text = pattern.sub(HIDDEN, text)
    lengths = range(len(key) - 1, _SHORTEST_PART - 1, -1)
    cut = next((n for n in lengths if text.endswith(key[:n])), 0)
    return _LOOK_ALIKE.sub(HIDDEN, text[: len(text) - cut] + HIDDEN if cut else text)


@lru_cache
def _patterns(key: str) -> tuple[re.Pattern[str], ...]:
    if len(key) < _SHORTEST:
        return (re.compile(re.escape(key)),) if key else ()
    written = "".join(map(_written, key))
    return (re.compile(written, re.IGNORECASE), *map(re.compile, map(re.escape, _base64(key))))


def _written(sign: str) -> str:
    """Return a pattern of the ways to write one character of a key."""
    n, plain, entity = ord(sign), re.escape(sign), re.escape(html.escape(sign))
    return rf"(?:\\*{plain}|%(?:25)*{n:02x}|\\+(?:u00|x){n:02x}|&#(?:0*{n}|x0*{n:x});|{entity})"


def _base64(key: str) -> list[str]:
    """Return what base64 makes of a key wherever in a longer text it stands."""
    found = []
    for before, begin in ((0, 0), (1, 2), (2, 3)):
        data = bytes(before) + key.encode()
        found.append(b64encode(data).decode()[begin : len(data) * 8 // 6])
    return [*found, *(text.replace("+", "-").replace("/", "_") for text in found)]
