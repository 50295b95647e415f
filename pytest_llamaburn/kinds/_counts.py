"""Lists of numbers in one setting, such as `0,512,2k`."""

from __future__ import annotations

import re

from pytest_llamaburn.errors import SettingsError

_COUNT = re.compile(r"(\d{1,8})(k?)$")


def counts(text: str, option: str, what: str = "tokens", example: str = "0,512,2k") -> list[int]:
    """Return the numbers in a text such as `0,512,2k`, ascending, each once; 2k is 2048.

    Raises SettingsError if the text is anything else.
    """
    found = set()
    for word in text.split(","):
        match = _COUNT.match(word.strip().lower())
        if not match:
            raise SettingsError(
                f"{option}: '{word.strip()}' is refused: write numbers of {what}, as {example}"
            )
        found.add(int(match[1]) * (1024 if match[2] else 1))
    return sorted(found)
