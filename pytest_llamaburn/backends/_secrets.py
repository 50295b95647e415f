"""API keys: reading them, and removing them from texts that servers send, in any encoding."""

from __future__ import annotations

import html
import os
import re
from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_VARIABLE = "LLAMABURN_API_KEY"  # of the server under test
HIDDEN = "[key]"
_LOOK_ALIKE = re.compile(r"\bsk-[\w*.-]+")  # other keys, and our key with masked characters
_SHORTEST = 8  # a shorter key is only searched as plain text: its encodings match ordinary words
_SHORTEST_PART = 6  # characters of a key that is cut off at the end of a text


def redacted(text: str, key: str) -> str:
    """Return a text in which the key, and anything that looks like a key, is hidden.

    The key may be URL-encoded, escaped as in JSON, Python or HTML, in base64, in capital letters,
    or cut off at the end of the text.
    """
    text = _hidden(text, key)
    lengths = range(len(key) - 1, _SHORTEST_PART - 1, -1)
    cut = next((n for n in lengths if text.endswith(key[:n])), 0)
    return _LOOK_ALIKE.sub(HIDDEN, text[: len(text) - cut] + HIDDEN if cut else text)


def without(text: str, key: str) -> str:
    """Return an answer in which the key alone is hidden, in any encoding.

    In an answer, sk-learn is a word, and so is a short key such as `none`.
    """
    return text if len(key) < _SHORTEST else _hidden(text, key)


def _hidden(text: str, key: str) -> str:
    for pattern in _patterns(key):
        text = pattern.sub(HIDDEN, text)
    return text


@lru_cache
def _patterns(key: str) -> tuple[re.Pattern[str], ...]:
    if len(key) < _SHORTEST:
        return (re.compile(re.escape(key)),) if key else ()
    written = "".join(map(_written, key))
    return (re.compile(written, re.IGNORECASE), *map(re.compile, map(re.escape, _base64(key))))


def _written(sign: str) -> str:
    """Return a pattern that matches one character of a key in every encoding."""
    n, plain, entity = ord(sign), re.escape(sign), re.escape(html.escape(sign))
    return rf"(?:\\*{plain}|%(?:25)*{n:02x}|\\+(?:u00|x){n:02x}|&#(?:0*{n}|x0*{n:x});|{entity})"


def _base64(key: str) -> list[str]:
    """Return the base64 forms of a key at each of the three possible offsets in a longer text."""
    encoded = []
    for before, begin in ((0, 0), (1, 2), (2, 3)):
        data = bytes(before) + key.encode()
        encoded.append(b64encode(data).decode()[begin : len(data) * 8 // 6])
    return [*encoded, *(text.replace("+", "-").replace("/", "_") for text in encoded)]


def key_of(environ: Mapping[str, str], variable: str) -> str:
    """Return an API key from the environment, or an empty text.

    Raises SettingsError if the key cannot be sent in an HTTP header; the message hides the key.
    """
    key = environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            f"{variable} is not a valid key: it has characters that no header allows"
        )
    return key


def auth_headers() -> dict[str, str]:
    """Return the Authorization header for the server under test; empty if no key is set.

    Raises SettingsError if the key cannot be sent in an HTTP header.
    """
    key = key_of(os.environ, KEY_VARIABLE)
    return {"Authorization": f"Bearer {key}"} if key else {}
